"""
Connections that keep nobody waiting: who is slow to ask, or does not take the answer, is left.

What is between, a body that comes slowly, is seen to where it is read (`cmfd.serve.body`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

if TYPE_CHECKING:
    import asyncio

ASKS_S = 15.0
"""How long the head of a request may take to come."""

TAKES_S = 30.0
"""How long an answer may lie without anybody taking more of it."""

MOST_OF_ONE = 64
"""How many connections an address may have, unless it is a proxy's."""


class Connection(H11Protocol):
    """A connection with an end to its patience."""

    proxies: ClassVar[frozenset[str]] = frozenset()
    addresses: ClassVar[Counter[str]] = Counter()
    asks_s: ClassVar[float] = ASKS_S
    takes_s: ClassVar[float] = TAKES_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its parent's
        """Begin to wait for a request, unless this address has too many connections."""
        super().connection_made(transport)
        self.addresses[self._address] += 1
        if self.addresses[self._address] > MOST_OF_ONE and self._address not in self.proxies:
            transport.abort()
            return
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        self.resume_writing()
        self.addresses[self._address] -= 1
        if not self.addresses[self._address]:
            del self.addresses[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is not complete has no more time than before."""
        try:
            super().data_received(data)
        except UnicodeDecodeError:  # of an address
            self.send_400_response("Invalid HTTP request received.")
        if self._is_busy:
            self._stop_waiting()
        else:
            self._wait_for_request()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have come already."""
        super().on_response_complete()
        if not self._is_busy:
            # Who asks nothing more is left by the parent's own time for that; but not who asks on
            # and on for what was answered without it.
            self._wait_for_request()

    def pause_writing(self) -> None:
        """Wait for who asked to take the answer."""
        super().pause_writing()
        self._taking = self.loop.call_later(self.takes_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        super().resume_writing()

    @property
    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _wait_for_request(self) -> None:
        if self._asking is None and not self.transport.is_closing():
            self._asking = self.loop.call_later(self.asks_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
