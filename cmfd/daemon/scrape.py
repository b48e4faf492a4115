"""The place where Prometheus, or whoever may, asks a daemon for its figures."""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd.errors import ConfigError
from cmfd.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT_S = 5.0
_UNIX = "unix:"


class Endpoint:
    """
    Answers ``GET /metrics`` on a thread of its own.

    Parameters
    ----------
    listen : str
        ``127.0.0.1:9177`` or ``[::1]:9177``: this machine only; or ``unix:/run/cmfd/metrics.sock``,
        a socket of this user's and group's.
    text : callable
        Returns the figures.

    Raises
    ------
    ConfigError
        It is no such place; nothing listens.
    OSError
        It cannot be listened there, as on a port that somebody has.
    """

    def __init__(self, listen: str, text: Callable[[], str]) -> None:
        class Handler(_Handler):
            figures = staticmethod(text)

        self._path = Path(listen.removeprefix(_UNIX)) if listen.startswith(_UNIX) else None
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()  # of a daemon that was killed: one at a time counts a node
            self._server: socketserver.BaseServer = _UnixServer(str(self._path), Handler)
            self._path.chmod(0o660)
        else:
            host, port = _loopback(listen)
            kind = _Server6 if ":" in host else _Server
            self._server = kind((host, port), Handler)
            self.port: int = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, name="cmfd-metrics", daemon=True
        ).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def _loopback(listen: str) -> tuple[str, int]:
    """Return host and port, of this machine only: whoever is on it may ask, and nobody else."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback and 0 <= int(port) < 1 << 16:
            return host, int(port)
    raise ConfigError(
        f"prometheus_listen is {listen!r}; it must be 127.0.0.1:PORT, [::1]:PORT or "
        "unix:/PATH. Nothing listens."
    )


class _Handler(BaseHTTPRequestHandler):
    timeout = _TIMEOUT_S

    @staticmethod
    def figures() -> str:
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer with the figures, and nothing else."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        body = self.figures().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: it is asked every few seconds."""

    def address_string(self) -> str:
        """Say who asks; on a Unix socket, nobody knows."""
        return str(self.client_address)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
