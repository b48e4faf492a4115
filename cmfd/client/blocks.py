"""
A block of a journal while it is written: what was handed out, what is complete, what was sent.

The sets of units (slots, or bytes of event blocks) are `cmfd.wire.ranges`.
"""

from __future__ import annotations

from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple

from cmfd.wire import journal as form
from cmfd.wire.ranges import Ranges, covers, missing

if TYPE_CHECKING:
    import mmap


class Place(NamedTuple):
    """A block's room in the file, with the shape of record it last held."""

    buffer: mmap.mmap
    at: int
    offset: int
    """The same place in the file."""
    shape: tuple[int, int] | None = None


class Block:
    """A block in use."""

    def __init__(  # noqa: PLR0913, PLR0917 - the fields of a block header, and where it is
        self, place: Place, size: int, kind: int, number: int, record_bytes: int, group: int
    ) -> None:
        self.place = place
        self.kind = kind
        self.number = number
        self.record_bytes = record_bytes
        self.group = group
        self.start = place.at + form.BLOCK_HEADER_BYTES
        self.n_units = (size - form.BLOCK_HEADER_BYTES) // record_bytes
        stop = self.start + self.n_units * record_bytes
        self.slots = iter(range(self.start, stop, record_bytes))
        self.data = memoryview(place.buffer)[self.start : stop]
        self.used = 0  # event blocks: bytes written
        self.sent: Ranges = []
        self.acked: Ranges = []
        self.sealed: Ranges = []
        self.hole_ns = 0

    @property
    def reserved(self) -> int:
        """Units that were handed out; each is complete or about to be."""
        if self.kind == form.EVENTS:
            return self.used
        return self.n_units - length_hint(self.slots)

    def complete(self, ranges: Ranges, upto: int | None = None) -> Ranges:
        """Return the parts of what is not in `ranges` whose records are complete."""
        found: Ranges = []
        for first, end in missing(ranges, 0, self.reserved if upto is None else upto):
            if self.kind == form.EVENTS:
                found.append((first, end))
            else:
                found += form.marked_ranges(self.data, self.record_bytes, self.number, first, end)
        return found

    def end(self) -> None:
        """Hand out no more slots, not even to a thread that holds a cursor."""
        if self.kind != form.EVENTS:
            self.n_units -= len(list(self.slots))

    def units(self, first: int, end: int) -> bytes:
        """Return a copy of units ``[first, end)``."""
        return bytes(self.data[first * self.record_bytes : end * self.record_bytes])

    def cut(self, first: int, end: int, budget_bytes: int) -> int:
        """Return where a slice from `first` must end to fit the budget, on a record's border."""
        if (end - first) * self.record_bytes <= budget_bytes:
            return end
        if self.kind != form.EVENTS:
            return first + max(budget_bytes, 0) // self.record_bytes
        at = first
        while at < end:
            length, _ = form.EVENT_HEADER.unpack_from(self.data, at)
            following = at + form.event_bytes(length)
            if following - first > budget_bytes:
                break
            at = following
        return at

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written and all of it is committed."""
        return (
            self.kind != form.EVENTS
            and self.reserved == self.n_units
            and covers(self.acked, 0, self.n_units)
        )
