"""
Requests to a server, one after the other over one connection that is made again when it is lost.

What is asked may be asked twice: so is what got no answer. Nothing is followed to another address,
to which a token would go along.
"""

from __future__ import annotations

import http.client
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from cmfd import __version__
from cmfd.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cmfd.sync.remotes import Address

A = TypeVar("A", bound="Told | Answer")

MOST_ANSWER_BYTES = 64 << 20
"""An answer is not longer, but for packs and lists of parts."""

ANSWERS_S = 120.0
"""How long a server may say nothing."""

PATIENCE_S = 120.0
"""How long a server that says when to come again is obeyed."""

TRIES = 4
"""How often a request is made that gets no answer."""

BROKEN = (OSError, http.client.HTTPException)
"""What a connection that was lost raises."""


class Told(NamedTuple):
    """A server's answer, whose body is still to be read."""

    status: int
    headers: Mapping[str, str]
    body: http.client.HTTPResponse

    def read(self, most_bytes: int) -> bytes:
        """
        Read the body, or as much of it as may be.

        Raises
        ------
        OSError, http.client.HTTPException
            It was cut.
        """
        data = self.body.read(most_bytes)
        if self.body.length and len(data) < most_bytes:  # http.client itself passes over that
            raise http.client.IncompleteRead(data, self.body.length)
        return data


class Answer(NamedTuple):
    """A server's answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Wire:
    """
    A server.

    Parameters
    ----------
    url : str
        What it is called.
    address : Address
        Where it is.
    token : str
        What it is shown; empty: nothing.
    """

    def __init__(self, url: str, address: Address, token: str) -> None:
        self._address = address
        self.whom = url
        self._headers = {"User-Agent": f"cmfd/{__version__}", "Accept-Encoding": "identity"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        Make a request, more than once if it gets no answer.

        Raises
        ------
        RemoteError
            It gets none.
        """
        return self._insist(lambda: self.whole(self.try_once(method, path, body, headers)))

    def open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Told | Answer:
        """
        Make a request as `ask` does, but leave the body to be read, if what was asked for is in it.

        Raises
        ------
        RemoteError
            It gets no answer.
        """

        def once() -> Told | Answer:
            told = self.try_once(method, path, body, headers)
            return told if told.status in {200, 206} else self.whole(told)

        return self._insist(once)

    def _insist(self, once: Callable[[], A]) -> A:
        until_s = time.monotonic() + PATIENCE_S
        tries = 0
        while True:
            try:
                answer = once()
            except BROKEN as error:
                self.close()
                tries += 1
                if tries == TRIES or isinstance(error, ssl.SSLError):
                    raise self.lost(error) from error
                time.sleep(0.05 * 3**tries)
                continue
            rest_s = asked_to_wait_s(answer)
            if rest_s is None or time.monotonic() + rest_s > until_s:
                return answer
            time.sleep(rest_s)

    def whole(self, told: Told) -> Answer:
        """
        Read an answer.

        Raises
        ------
        OSError, http.client.HTTPException
            It was cut.
        """
        data = told.read(MOST_ANSWER_BYTES)
        if not told.body.isclosed():
            self.close()  # it is longer
        return Answer(told.status, told.headers, data)

    def try_once(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        """
        Make a request.

        Raises
        ------
        OSError, http.client.HTTPException
            It got no answer; the connection is closed.
        RemoteError
            The answer is that it is elsewhere.
        """
        connection = self._connection or self._connect()
        self._connection = connection
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                # Who refuses a body before all of it came has said why.
                connection.request(
                    method, self._address.path + path, body, {**self._headers, **(headers or {})}
                )
            answer = connection.getresponse()
        except BaseException:
            self.close()
            raise
        if answer.length is None and not answer.chunked:
            # A head that was cut looks whole to http.client: no server of ours leaves this out.
            self.close()
            raise http.client.IncompleteRead(b"")
        if answer.will_close:
            self._connection = None  # the answer itself keeps it until it is read
        if 300 <= answer.status < 400:
            self.close()
            there = answer.headers.get("Location", "")
            raise RemoteError(
                f"{self.whom} says that it is elsewhere now: {there!r}; nothing was sent there."
                " If you trust that: cmfd remote set-url NAME URL"
            )
        return Told(answer.status, answer.headers, answer)  # type: ignore[arg-type] # a Message maps names to texts

    def close(self) -> None:
        """Leave it."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def lost(self, error: Exception) -> RemoteError:
        """Return what is said of a connection that was lost, or could not be made."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return RemoteError(
                f"{self.whom} does not prove who it is: {error.verify_message}; nothing was sent."
                " Where it has a certificate of your own authority: SSL_CERT_FILE=PEM"
            )
        if isinstance(error, ssl.SSLError):
            return RemoteError(
                f"{self.whom} does not speak TLS as it must: {error}; nothing was sent."
                " Look whether the address and the port are right"
            )
        return RemoteError(
            f"{self.whom} does not answer: {_told(error)}; what came over is kept, and the next"
            " exchange goes on from there. Look whether it is the right address, and served"
        )

    def _connect(self) -> http.client.HTTPConnection:
        address = self._address
        kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
        more = {}
        if address.scheme == "https":
            kind, more = http.client.HTTPSConnection, {"context": ssl.create_default_context()}
        proxy = None if address.is_loopback else _proxy_for(address)
        if proxy is None:
            return kind(address.host, address.port, timeout=ANSWERS_S, **more)  # type: ignore[arg-type] # of https
        connection = kind(proxy[0], proxy[1], timeout=ANSWERS_S, **more)  # type: ignore[arg-type] # as above
        connection.set_tunnel(address.host, address.port)
        return connection


def _proxy_for(address: Address) -> tuple[str, int] | None:
    """Return the proxy that the environment names for an address."""
    named = getproxies().get(address.scheme)
    if not named or proxy_bypass(address.host):
        return None
    parts = urlsplit(named if "://" in named else f"http://{named}")
    return (parts.hostname or "", parts.port or 8080)


def asked_to_wait_s(told: Told | Answer) -> float | None:
    """Return how long a server asks to be left alone; None if it does not."""
    said = told.headers.get("Retry-After", "")
    return float(said) if told.status in {429, 503} and said.isdigit() else None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
