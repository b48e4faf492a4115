"""Where the energy of runs is, by the times that a report tells apart."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query.periods import Period, month_name, months

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NO_TIME = -1
"""In place of the number of a time, of what nobody knows when it was."""


class Slice(NamedTuple):
    """
    Runs whose energy can be asked for together.

    Attributes
    ----------
    run_ids : list of int or None
        None: all that were chosen.
    number : int or None
        Of the only time of these that is meant, where they go over its border; None: all of what
        they took is in one time, each in its own.
    """

    run_ids: list[int] | None
    number: int | None = None


class Times:
    """
    The times that a report tells apart: its own, or the months of it.

    Parameters
    ----------
    whole : Period
        Of the report.
    extents : mapping
        From when to when each run took energy.
    spans : iterable of tuple
        From when to when each run was, where it is known.
    by_month : bool
        Months (of UTC) are told apart.
    """

    def __init__(
        self,
        whole: Period,
        extents: Mapping[int, tuple[int, int]],
        spans: Iterable[tuple[int, int]],
        *,
        by_month: bool,
    ) -> None:
        self._extents = extents
        self.periods = [whole]
        if by_month:
            ends = [end for span in (*extents.values(), *spans) for end in span]
            first_ns, end_ns = max(min(ends, default=0), 0), max(ends, default=0)
            self.periods = list(months(first_ns, end_ns, whole)) or self.periods
        self._starts = [period.since_ns for period in self.periods]
        self._names = [month_name(start_ns) for start_ns in self._starts] if by_month else []
        self._numbers: dict[int, range] = {}

    def period(self, number: int | None) -> Period:
        """Return one of the times; None: from the first to the last of them."""
        if number is None:
            return Period(self.periods[0].since_ns, self.periods[-1].until_ns)
        return self.periods[number]

    def name(self, number: int) -> str:
        """Return what a month is called; nothing for `NO_TIME`."""
        if number == NO_TIME:
            return ""
        return self._names[number]

    def of(self, began_ns: int, ended_ns: int) -> range:
        """Return the numbers of the times that something is in; without a length, in one."""
        last_ns = max(ended_ns - 1, began_ns)
        if last_ns < self.periods[0].since_ns or began_ns >= self.periods[-1].until_ns:
            return range(0)
        first = max(bisect_right(self._starts, began_ns) - 1, 0)
        return range(first, bisect_right(self._starts, last_ns))

    def of_energy(self, run_id: int) -> range:
        """Return the numbers of the times in which a run took energy."""
        found = self._numbers.get(run_id)
        if found is None:
            extent = self._extents.get(run_id)
            found = self._numbers[run_id] = range(0) if extent is None else self.of(*extent)
        return found

    def slices(self, run_ids: Iterable[int]) -> Iterator[Slice]:
        """Yield runs with the time that their energy is in."""
        within: list[int] = []
        over: dict[int, list[int]] = {}
        for run_id in run_ids:
            numbers = self.of_energy(run_id)
            if len(numbers) == 1 and self._holds(numbers[0], *self._extents[run_id]):
                within.append(run_id)
                continue
            for number in numbers:
                over.setdefault(number, []).append(run_id)
        if within:
            yield Slice(within)
        for number, some in sorted(over.items()):
            yield Slice(some, number)

    def _holds(self, number: int, began_ns: int, ended_ns: int) -> bool:
        period = self.periods[number]
        return period.since_ns <= began_ns and ended_ns <= period.until_ns
