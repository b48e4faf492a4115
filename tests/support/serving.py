"""Sites that are served over HTTP in tests, by real servers on loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple

from support.daemons import wait_until

from cmfd.serve import server, tokens
from cmfd.sync import remotes
from cmfd.sync.http import Wire
from cmfd.sync.https import HttpsPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import uvicorn

    from cmfd.merge.layout import Site
    from cmfd.serve.tokens import Scope

STARTS_S = 30.0


class Served(NamedTuple):
    """A server, and a token that may do all."""

    url: str
    token: str
    port: int
    server: uvicorn.Server

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> tuple[int, bytes]:
        """Make one request; return status and body."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=STARTS_S)) as wire:
            shown = self.token if token is None else token
            more = {name.replace("_", "-"): value for name, value in headers.items()}
            wire.request(method, path, body, {"Authorization": f"Bearer {shown}", **more})
            answer = wire.getresponse()
            return answer.status, answer.read()

    @property
    def remote(self) -> remotes.Remote:
        """It, by a name."""
        return remotes.Remote("hub", self.url)

    @contextmanager
    def peer(self, token: str | None = None, *, through: int = 0) -> Iterator[HttpsPeer]:
        """Reach it, on another port if something is in between."""
        url = f"http://127.0.0.1:{through or self.port}"
        shown = self.token if token is None else token
        with closing(Wire(url, remotes.parse(url), shown)) as wire:
            yield HttpsPeer(wire)


def token_for(site: Site, name: str, *scopes: Scope, pipelines: tuple[str, ...] = ()) -> str:
    """Make a token; by default one that may read and push."""
    return tokens.add(site, name, list(scopes or ("read", "push")), list(pipelines))


@contextmanager
def served(site: Site, **options: Any) -> Iterator[Served]:
    """Serve a site in a thread, on real sockets."""
    token = token_for(site, "all", *tokens.SCOPES) if "all" not in tokens.all_of(site) else ""
    made, listening = server.ready(site, server.Options(**options))
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        wait_until(lambda: made.started, "the server answers", STARTS_S)
        tls = options.get("tls_cert") is not None
        yield Served(server.url_of(listening, tls=tls), token, listening.getsockname()[1], made)
    finally:
        made.should_exit = True
        thread.join(60)
        listening.close()
        assert not thread.is_alive()


@contextmanager
def cutting(server: int | str, *n_bytes: int, answers: bool = False) -> Iterator[int]:
    """
    Stand between a client and a server, on a port, and cut connections.

    Parameters
    ----------
    server : int or str
        Where the server is: a port, or the path of a socket.
    n_bytes : int
        After how many bytes the first, the second, ... connection is cut; later ones are not.
    answers : bool
        Count the bytes of answers, not those of questions.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ends = iter(n_bytes)
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                there = _connected(server)
                end = next(ends, None)
                for here, away, most in (
                    (client, there, None if answers else end),
                    (there, client, end if answers else None),
                ):
                    threads.append(threading.Thread(target=_carry, args=(here, away, most)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(STARTS_S)
            for thread in threads:
                thread.join(STARTS_S)


def _connected(server: int | str) -> socket.socket:
    if isinstance(server, int):
        return socket.create_connection(("127.0.0.1", server))
    there = socket.socket(socket.AF_UNIX)
    there.connect(server)
    return there


def _carry(here: socket.socket, away: socket.socket, most: int | None) -> None:
    """Carry bytes from one to the other, so many at most; then cut both."""
    try:
        while most is None or most > 0:
            data = here.recv(1 << 16 if most is None else min(most, 1 << 16))
            if not data:
                break
            away.sendall(data)
            most = None if most is None else most - len(data)
    except OSError:
        pass
    for end in (here, away):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def certificate(place: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Make a certificate for a name and 127.0.0.1, and its key."""
    import subprocess

    cert, key = place / "cert.pem", place / "key.pem"
    words = (
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
        f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
    )  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    return cert, key
