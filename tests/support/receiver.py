"""A real receiver of OpenLineage's events."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]


class Received(list[Event]):
    """Events that were taken."""

    url = ""

    n_wanted: int | None = None
    """Once there are so many, no more are taken."""

    answer = 403
    """What is said then, if anything."""

    n_asked = 0


@contextmanager
def receiving() -> Iterator[Received]:
    """Receive events at OpenLineage's address."""
    events, over = Received(), threading.Event()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/lineage"
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_taken = len(events) != events.n_wanted
            events.n_asked += 1
            if is_taken:
                events.append(event)
            elif not events.answer:
                over.wait()
                return
            self.send_response(201 if is_taken else events.answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        events.url = f"http://127.0.0.1:{server.server_port}"
        yield events
        over.set()
        server.shutdown()
        thread.join()
