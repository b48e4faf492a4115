"""
What a request brings: no more than may be, and not too slowly.

A pack is written by a thread, which takes its bytes from the event loop piece by piece; so however
large it is, little of it is in memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.from_thread

from cmfd.serve.answers import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from cmfd.sync.peer import Blocks


class Pace(NamedTuple):
    """
    How slow a body may be.

    Attributes
    ----------
    silent_s : float
        The longest time in which nothing comes.
    least_bytes_per_s : float
        Over the whole of it, after a first `silent_s`.
    """

    silent_s: float = 30.0
    least_bytes_per_s: float = 1024.0


class Body:
    """
    The bytes of a request.

    Parameters
    ----------
    request : Request
        From whom they come.
    most_bytes : int
        So many, and no more.
    pace : Pace
        How slow they may be.
    """

    def __init__(self, request: Request, most_bytes: int, pace: Pace) -> None:
        self._request = request
        self._most_bytes = most_bytes
        self._pace = pace
        self._begin_s = time.monotonic()
        self.n_bytes = 0
        self.ended = False
        said = length_of(request)
        if said is not None and said > most_bytes:
            raise Refusal(413, "TooLarge", f"{said} bytes are more than the {most_bytes} allowed")

    async def next(self) -> bytes:
        """
        Wait for some bytes; none: that was all.

        Raises
        ------
        Refusal
            They are too many, or come too slowly, or who sends them is gone.
        """
        while not self.ended:
            with anyio.move_on_after(self._pace.silent_s) as waited:
                message = await self._request.receive()
            if waited.cancelled_caught or self._is_slow():
                raise Refusal(408, "TooSlow", "the body came too slowly; what came of it is kept")
            if message["type"] != "http.request":
                raise Refusal(400, "Cut", "the connection was cut; what came is kept")
            self.ended = not message.get("more_body", False)
            data: bytes = message.get("body", b"")
            self.n_bytes += len(data)
            if self.n_bytes > self._most_bytes:
                raise Refusal(413, "TooLarge", f"more than the {self._most_bytes} bytes allowed")
            if data:
                return data
        return b""

    def _is_slow(self) -> bool:
        past_s = time.monotonic() - self._begin_s - self._pace.silent_s
        return past_s > 0 and self.n_bytes < past_s * self._pace.least_bytes_per_s

    async def whole(self) -> bytes:
        """Wait for all of them."""
        pieces = []
        while data := await self.next():
            pieces.append(data)
        return b"".join(pieces)

    def blocks(self, n_skipped: int) -> Blocks:
        """Yield them in a thread, but for so many at the beginning."""
        while data := anyio.from_thread.run(self.next):
            if n_skipped >= len(data):
                n_skipped -= len(data)
                continue
            yield data[n_skipped:]
            n_skipped = 0


def length_of(request: Request) -> int | None:
    """Return how long a body says it is; None if it does not say."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() else None
