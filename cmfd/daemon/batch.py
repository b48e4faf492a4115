"""A group commit in the making: what is to be written together, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmfd.daemon.effects import Commit, Ended, LedgerMark, SealMark
from cmfd.store.node import JournalSlice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.store.jobs import JobWord
    from cmfd.wire.messages import Slice

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
class Stretch:
    """
    Units of one block that follow each other, in the pieces they came in.

    A client that sends often sends little at a time, and the store's work is
    mostly by the slice: what begins where the one before ended joins it.
    """

    head: Slice
    end: int
    payloads: list[bytes]

    def goes_on_with(self, head: Slice) -> bool:
        """Tell whether a slice begins where this ends."""
        mine = self.head
        return self.end == head.first and (mine.kind, mine.record_bytes, mine.group) == (
            head.kind,
            head.record_bytes,
            head.group,
        )


@dataclass(eq=False)
class Share:
    """What one session has in a batch."""

    session: Session
    since_ns: int
    n_bytes: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    flushes: list[int] = field(default_factory=list)
    _last: dict[int, Stretch] = field(default_factory=dict)

    def add(self, head: Slice, payload: bytes) -> None:
        """Take a slice."""
        self.n_bytes += len(payload)
        last = self._last.get(head.block)
        if last is not None and last.goes_on_with(head):
            last.end = head.end
            last.payloads.append(payload)
            return
        stretch = Stretch(head, head.end, [payload])
        self._last[head.block] = stretch
        self.stretches.append(stretch)

    def ranges(self) -> list[Range]:
        """Return exactly what is in it."""
        return [(item.head.block, item.head.first, item.end) for item in self.stretches]

    def slices(self, host: str) -> Iterator[JournalSlice]:
        """Yield what is in it as the store takes it."""
        session = self.session
        for item in self.stretches:
            yield JournalSlice(
                instance=session.instance,
                uid=session.uid,
                journal=session.journal,
                host=host,
                block=item.head.block,
                kind=item.head.kind,
                record_bytes=item.head.record_bytes,
                group=item.head.group,
                first=item.head.first,
                end=item.end,
                payload=item.payloads[0] if len(item.payloads) == 1 else b"".join(item.payloads),
            )


@dataclass(eq=False)
class Batch:
    """
    What one transaction will write.

    Attributes
    ----------
    due_ns : int or None
        When to write it; None while there is nothing in it.
    shares : dict of int to Share
        What came from clients, by the session's number.
    pieces : list of JournalSlice
        What was read from journals of dead processes.
    """

    number: int
    due_ns: int | None = None
    shares: dict[int, Share] = field(default_factory=dict)
    pieces: list[JournalSlice] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    sealed: list[SealMark] = field(default_factory=list)
    ledgers: list[LedgerMark] = field(default_factory=list)
    jobs: list[JobWord] = field(default_factory=list)
    client_bytes: int = 0
    piece_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """Payload bytes in all."""
        return self.client_bytes + self.piece_bytes

    @property
    def n_slices(self) -> int:
        """Slices that the store will be given."""
        return len(self.pieces) + sum(len(share.stretches) for share in self.shares.values())

    def wanted_by(self, at_ns: int) -> None:
        """Make sure that it is written at `at_ns` or before."""
        if self.due_ns is None or at_ns < self.due_ns:
            self.due_ns = at_ns

    def add(self, session: Session, head: Slice, payload: bytes, now_ns: int) -> None:
        """Take a slice from a client."""
        share = self.shares.get(session.number)
        if share is None:
            share = self.shares[session.number] = Share(session, now_ns)
        share.add(head, payload)
        self.client_bytes += len(payload)

    def add_pieces(self, items: Iterable[JournalSlice]) -> None:
        """Take slices that were read from a journal."""
        for item in items:
            self.pieces.append(item)
            self.piece_bytes += len(item.payload)

    def effect(self, host: str) -> Commit:
        """Return what to ask for; `host` is where the clients are."""
        slices = [item for share in self.shares.values() for item in share.slices(host)]
        return Commit(
            self.number,
            (*slices, *self.pieces),
            tuple(self.ended),
            tuple(self.sealed),
            tuple(self.ledgers),
            tuple(self.jobs),
        )
