"""A group commit in the making: what is to be written together, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmfd.daemon.effects import Commit, Ended, SealMark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.store.node import JournalSlice

Range = tuple[int, int, int]
"""``(block, first, end)``."""


@dataclass(eq=False)
class Session:
    """
    A connection that has introduced itself.

    Attributes
    ----------
    window_bytes : int
        The credit it was told last.
    promised_bytes : int
        The greatest credit it was ever told. The client may not have read of a
        smaller one yet, so this is what it may rightly have under way.
    unacked_bytes : int
        What the daemon holds of it that is not on disk.
    """

    number: int
    route: bytes
    instance: bytes
    uid: int
    pid: int
    journal: str
    window_bytes: int = 0
    promised_bytes: int = 0
    unacked_bytes: int = 0
    active_ns: int = 0


@dataclass(eq=False)
class Share:
    """What one session has in a batch."""

    session: Session
    since_ns: int
    n_bytes: int = 0
    ranges: list[Range] = field(default_factory=list)
    flushes: list[int] = field(default_factory=list)

    def add(self, block: int, first: int, end: int) -> None:
        """Note a range, joined to the one before where it goes on from it."""
        if self.ranges:
            last_block, last_first, last_end = self.ranges[-1]
            if last_block == block and last_end == first:
                self.ranges[-1] = (block, last_first, end)
                return
        self.ranges.append((block, first, end))


@dataclass(eq=False)
class Batch:
    """
    What one transaction will write.

    Attributes
    ----------
    due_ns : int or None
        When to write it; None while there is nothing in it.
    piece_bytes : int
        How much of it was read from journals of dead processes.
    """

    number: int
    due_ns: int | None = None
    slices: list[JournalSlice] = field(default_factory=list)
    shares: dict[int, Share] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    sealed: list[SealMark] = field(default_factory=list)
    client_bytes: int = 0
    piece_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """Payload bytes in all."""
        return self.client_bytes + self.piece_bytes

    def wanted_by(self, at_ns: int) -> None:
        """Make sure that it is written at `at_ns` or before."""
        if self.due_ns is None or at_ns < self.due_ns:
            self.due_ns = at_ns

    def share_of(self, session: Session, now_ns: int) -> Share:
        """Return the session's share, made now if need be."""
        share = self.shares.get(session.number)
        if share is None:
            share = self.shares[session.number] = Share(session, now_ns)
        return share

    def add(self, session: Session, item: JournalSlice, now_ns: int) -> None:
        """Take a slice from a client."""
        size = len(item.payload)
        self.slices.append(item)
        self.client_bytes += size
        share = self.share_of(session, now_ns)
        share.n_bytes += size
        share.add(item.block, item.first, item.end)

    def add_pieces(self, items: Iterable[JournalSlice]) -> None:
        """Take slices that were read from a journal."""
        for item in items:
            self.slices.append(item)
            self.piece_bytes += len(item.payload)

    def effect(self) -> Commit:
        """Return what to ask for."""
        return Commit(self.number, tuple(self.slices), tuple(self.ended), tuple(self.sealed))
