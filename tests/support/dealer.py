"""A minimal client of the daemon: a raw DEALER that says exactly what a test tells it to."""

from __future__ import annotations

import time
import zlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

import zmq

from cmfd.wire.endpoint import endpoint
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    AnyMessage,
    Flush,
    Flushed,
    Hello,
    Message,
    Slice,
    Unknown,
    Welcome,
    decode_message,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from cmfd.store.node import JournalSlice

M = TypeVar("M")
Units = set[tuple[int, int]]
"""``(block, unit)``."""


class Dealer(AbstractContextManager["Dealer"]):
    """
    A connection to the daemon of a node directory.

    Attributes
    ----------
    acked : set of (int, int)
        Every unit that the daemon said is on disk.
    """

    def __init__(self, node_dir: Path) -> None:
        self.acked: Units = set()
        self.heard: list[AnyMessage] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self._socket.connect(endpoint(node_dir))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up, without a word."""
        self._context.destroy(linger=0)

    def say(self, message: Message, *frames: bytes) -> None:
        """Send a message."""
        self.send(encode(message), *frames)

    def send(self, *frames: bytes) -> None:
        """Send anything."""
        self._socket.send_multipart(frames)

    def hear(self, timeout_s: float = 10.0) -> AnyMessage | None:
        """Return the next message; None if there is none in time."""
        if not self._socket.poll(round(timeout_s * 1000)):
            return None
        message = decode_message(self._socket.recv())
        self.heard.append(message)
        if isinstance(message, (Ack, Welcome)):
            for block, first, end in message.committed:
                self.acked |= {(block, unit) for unit in range(first, end)}
        return message

    def wait_for(self, kind: type[M], timeout_s: float = 20.0) -> M:
        """Return the next message of a kind; others before it are only noted."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            message = self.hear(deadline_s - time.monotonic())
            if isinstance(message, kind):
                return message
        raise AssertionError(f"no {kind.__name__}, only {self.heard[-5:]}")

    def hello(self, instance: bytes, journal: Path | str = "") -> Welcome:
        """Introduce oneself, again if need be."""
        for _ in range(40):
            self.say(Hello(protocol=PROTOCOL_VERSION, instance=instance, journal=str(journal)))
            message = self.hear(0.5)
            while message is not None and not isinstance(message, Welcome):
                message = self.hear(0.5)
            if message is not None:
                return message
        raise AssertionError("no Welcome")

    def send_slices(self, slices: Iterable[JournalSlice]) -> None:
        """Send slices, without a thought of credit."""
        for item in slices:
            head = Slice(
                block=item.block, kind=item.kind, record_bytes=item.record_bytes, group=item.group,
                first=item.first, end=item.end, crc32=zlib.crc32(item.payload),
            )  # fmt: skip
            self.say(head, item.payload)

    def flush(self, token: int = 1, timeout_s: float = 20.0) -> None:
        """Wait until all that was sent is on disk."""
        self.say(Flush(token=token))
        while self.wait_for(Flushed, timeout_s).token != token:
            pass

    def is_unknown(self) -> bool:
        """Tell whether the daemon said so since the last hello."""
        return any(isinstance(message, Unknown) for message in self.heard)


def units_of(slices: Iterable[JournalSlice]) -> Units:
    """Return every unit of slices."""
    return {(item.block, unit) for item in slices for unit in range(item.first, item.end)}
