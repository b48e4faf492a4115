"""A node's controller as a test has it: a Redfish service over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class RedfishService:
    """
    What the service says, and what it was asked.

    Attributes
    ----------
    power_w : float
        What the chassis draws.
    user, password : str
        Who may ask.
    resources : dict
        Each path and what is there.
    asked : list of str
        The paths that were asked for.
    held : threading.Event
        While it is cleared, no question is answered.
    url : str
        Where it is.
    """

    def __init__(self, *, is_new: bool) -> None:
        self.power_w = 332.0
        self.user, self.password = "monitor", "secret: word"
        self.asked: list[str] = []
        self.held = threading.Event()
        self.held.set()
        self.url = ""
        self._is_new = is_new

    @property
    def resources(self) -> dict[str, Any]:
        key = "EnvironmentMetrics" if self._is_new else "Power"
        chassis = "/redfish/v1/Chassis"
        said: dict[str, Any] = {"PowerControl": [{"PowerConsumedWatts": self.power_w}]}
        if self._is_new:
            said = {
                "PowerWatts": {"Reading": self.power_w, "DataSourceUri": f"{chassis}/1/Sensors/1"}
            }
        return {
            chassis: {
                "Members@odata.count": 2,
                "Members": [{"@odata.id": f"{chassis}/Shelf"}, {"@odata.id": f"{chassis}/1"}],
            },
            f"{chassis}/Shelf": {"Id": "Shelf", "ChassisType": "Shelf"},
            f"{chassis}/1": {"Id": "1", key: {"@odata.id": f"{chassis}/1/{key}"}},
            f"{chassis}/1/{key}": said,
        }


@contextmanager
def redfish_service(
    *, is_new: bool = True, tls: ssl.SSLContext | None = None
) -> Iterator[RedfishService]:
    """Serve on a free port until the block ends."""
    service = RedfishService(is_new=is_new)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.held.wait(10)
            service.asked.append(self.path)
            pair = base64.b64encode(f"{service.user}:{service.password}".encode()).decode()
            if self.headers.get("Authorization") != f"Basic {pair}":
                self.send_error(401)
                return
            found = service.resources.get(self.path)
            if found is None:
                self.send_error(404)
                return
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    service.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        service.held.set()
        server.shutdown()
        thread.join()
        server.server_close()
