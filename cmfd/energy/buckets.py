"""Rows in the making: shares of successive stretches, added up by whose, of what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmfd.energy.presence import NOBODY, Row
from cmfd.energy.split import Share

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cmfd.energy.presence import Role
    from cmfd.energy.readings import Grade

    Slot = tuple[str, str, str, Grade, Role]
    """Component, domain, source, grade and role."""
    Whose = tuple[str, bytes, bytes]
    """Owner, run and execution."""
    Number = tuple[int, int]
    """A bucket's day since 1970, and its place in it."""

_DAY_NS = 86_400_000_000_000

METHODS = ("", "exclusive", "shared_static_dynamic", "rank_pids", "alloc_only")
"""How energy was attributed, surest first."""
_NUMBERS = {method: number for number, method in enumerate(METHODS)}


@dataclass(eq=False, slots=True)
class _Growing:
    """A row that may grow."""

    t0_ns: int
    dur_ns: int = 0
    uj: int = 0
    static_uj: int = 0
    cpu_ns: int = 0
    covered_ns: int = 0
    method: int = 0
    flags: int = 0
    counted_uj: int = 0
    """What of it is in the totals."""
    stored: bool = False
    """It was among the rows of some `Buckets.changed_rows`."""
    divided: bool = False
    """Some of it was moved to others."""

    @property
    def is_needless(self) -> bool:
        """Whether others have all of it, and it was told of to nobody."""
        return self.divided and not self.stored and not (self.uj or self.cpu_ns)


class Entry:
    """
    One channel's rows of one bucket, for the energy of one interval.

    Parameters
    ----------
    buckets : Buckets
        Where they are.
    slot : tuple
        Of what.
    t0_ns, dur_ns, covered_ns : int
        The interval, in UTC, and for how much of it the energy is known.
    """

    def __init__(
        self, buckets: Buckets, slot: Slot, t0_ns: int, dur_ns: int, covered_ns: int
    ) -> None:
        self._buckets = buckets
        self._number = buckets.number(t0_ns)
        self._slot = slot
        self._t0_ns = t0_ns
        self.dur_ns = dur_ns
        self.covered_ns = covered_ns

    def put(self, whose: Whose, share: Share, method: str, flags: int, cpu_ns: int = 0) -> None:
        """Add what somebody was given."""
        row = self._buckets.row((self._number, whose, self._slot), self._t0_ns)
        static_uj, dynamic_uj = share
        uj = static_uj + dynamic_uj
        if whose[0] == "counter":
            moved = self._buckets.moved
            moved[self._slot] = moved.get(self._slot, 0) + uj
        # The clock may have been set back: a row never shrinks.
        dur_ns, until_ns = row.dur_ns + self.dur_ns, self._t0_ns + self.dur_ns - row.t0_ns
        row.dur_ns = max(until_ns, dur_ns)
        row.covered_ns += self.covered_ns
        row.uj += uj
        row.static_uj += static_uj
        row.cpu_ns += cpu_ns
        row.method = max(row.method, _NUMBERS[method])
        row.flags |= flags

    def put_runs(
        self, shares: Mapping[bytes, Share], method: str, flags: int, cpu_ns: Mapping[bytes, int]
    ) -> None:
        """Add what runs were given, each as `put` does; there are many of them, each time."""
        number, slot, t0_ns, row_of = self._number, self._slot, self._t0_ns, self._buckets.row
        dur_ns, covered_ns, until_ns = self.dur_ns, self.covered_ns, t0_ns + self.dur_ns
        rank = _NUMBERS[method]
        for run, (static_uj, dynamic_uj) in shares.items():
            row = row_of((number, ("run", run, NOBODY), slot), t0_ns)
            row.dur_ns = max(until_ns - row.t0_ns, row.dur_ns + dur_ns)
            row.covered_ns += covered_ns
            row.uj += static_uj + dynamic_uj
            row.static_uj += static_uj
            row.cpu_ns += cpu_ns.get(run, 0)
            row.flags |= flags
            row.method = max(row.method, rank)

    def change(self, whose: Whose, share: Share, cpu_ns: int) -> None:
        """Move to or from somebody what was put for all of the interval; less is negative."""
        row = self._buckets.row((self._number, whose, self._slot), self._t0_ns)
        row.uj += share.uj
        row.static_uj += share.static_uj
        row.cpu_ns += cpu_ns
        row.divided = True

    @property
    def place(self) -> tuple[Slot, Number]:
        """What its rows have in common, and which bucket it is of."""
        return self._slot, self._number

    def with_all(self, others: Iterable[Entry]) -> Entry:
        """Return one of this interval and others after it, of the same bucket."""
        dur_ns = self.dur_ns + sum(other.dur_ns for other in others)
        covered_ns = self.covered_ns + sum(other.covered_ns for other in others)
        return Entry(self._buckets, self._slot, self._t0_ns, dur_ns, covered_ns)


class Buckets:
    """
    All rows that are not stored as they are now, and those of the last bucket.

    Parameters
    ----------
    bucket_ns : int
        How long a bucket is. Buckets begin at whole multiples of it from midnight (UTC) on, so that
        none is of two days, by which counters and shares are compared.

    Attributes
    ----------
    totals : dict
        Microjoules since the beginning, by owner, run and slot; as of the last `changed_rows`.
    moved : dict
        Microjoules of counters since the beginning, by slot; as of now.
    """

    def __init__(self, bucket_ns: int) -> None:
        self._bucket_ns = bucket_ns
        self._number: Number = (0, 0)
        self._rows: dict[tuple[Number, Whose, Slot], _Growing] = {}
        self._changed: set[tuple[Number, Whose, Slot]] = set()
        self.totals: dict[tuple[str, bytes, Slot], int] = {}
        self.moved: dict[Slot, int] = {}

    def entry(self, slot: Slot, t0_ns: int, dur_ns: int, covered_ns: int) -> Entry:
        """Begin to add an interval; it is of the bucket that it begins in."""
        self._number = self.number(t0_ns)
        return Entry(self, slot, t0_ns, dur_ns, covered_ns)

    def number(self, t0_ns: int) -> Number:
        """Return which bucket a time is in."""
        return number_of(t0_ns, self._bucket_ns)

    def row(self, key: tuple[Number, Whose, Slot], t0_ns: int) -> _Growing:
        """Return a row that is about to change."""
        self._changed.add(key)
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = _Growing(t0_ns)
        return found

    def miss(self, slot: Slot, t0_ns: int, dur_ns: int) -> None:
        """Note that nothing is known of a time."""
        component, domain, source, _, role = slot
        missing: Slot = (component, domain, source, "M", role)
        self.entry(missing, t0_ns, dur_ns, 0).put(("counter", NOBODY, NOBODY), Share(), "", 0)

    def forget_runs(self, but: Collection[bytes]) -> None:
        """Keep totals only of runs that are here."""
        for key in [key for key in self.totals if key[0] == "run" and key[1] not in but]:
            del self.totals[key]

    def changed_rows(self, changing: Iterable[Entry] = ()) -> list[Row]:
        """
        Return the rows that are new or have changed since the last call.

        Parameters
        ----------
        changing : iterable of Entry
            Those of which something may yet be moved.
        """
        rows = []
        for key in sorted(self._changed):
            _, (owner, run, _), slot = key
            row, total = self._rows[key], (owner, run, slot)
            self.totals[total] = self.totals.get(total, 0) + row.uj - row.counted_uj
            row.counted_uj = row.uj
            if not row.is_needless:
                row.stored = True
                rows.append(_row(key, row))
        self._changed.clear()
        kept = {self._number, *(entry.place[1] for entry in changing)}
        self._rows = {key: row for key, row in self._rows.items() if key[0] in kept}
        return rows


def number_of(t0_ns: int, bucket_ns: int) -> Number:
    """Return which bucket a time is in."""
    day, in_day_ns = divmod(t0_ns, _DAY_NS)
    return day, in_day_ns // bucket_ns


def _row(key: tuple[Number, Whose, Slot], row: _Growing) -> Row:
    _, (owner, run, execution), (component, domain, source, grade, role) = key
    return Row(
        owner, run, execution, component, domain, source, row.t0_ns, row.dur_ns, row.uj,
        row.static_uj, row.cpu_ns, row.covered_ns, grade, role, METHODS[row.method], row.flags,
    )  # fmt: skip
