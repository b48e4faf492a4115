"""
What if a run had begun at another time: the same energy against another time's intensity.

Energy and PUE stay as they were, only the grid is another. Of a start for which any of the energy
would meet a time that no series covers, nothing is said: annual means do not change with time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon.reckon import UJ_PER_KWH
from cmfd.query.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.model import EnergyRow, Stretch


class Start(Result, frozen=True, kw_only=True):
    """A time at which a run might have begun."""

    began_ns: int
    operational_gco2e: float | None
    """None where no series covers all of the time."""


class Window(NamedTuple):
    """
    When a run might have begun, in nanoseconds.

    Attributes
    ----------
    before_ns, after_ns : int
        So long before and after it did.
    step_ns : int
        One start each.
    """

    before_ns: int
    after_ns: int
    step_ns: int

    def shifts_ns(self) -> range:
        """Return by how much it is shifted; one of them is 0."""
        first = -(self.before_ns // self.step_ns) * self.step_ns
        return range(first, self.after_ns + 1, self.step_ns)


class _Curve:
    """Emissions and their coverage, integrated over time: a shift is a difference of two values."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._began = [one.began_ns for one in stretches]
        self._rates = [_rate(one) for one in stretches]
        lengths = [one.ended_ns - one.began_ns for one in stretches]
        grams = (ns * (rate or 0.0) for ns, rate in zip(lengths, self._rates, strict=True))
        unknown = (ns * (rate is None) for ns, rate in zip(lengths, self._rates, strict=True))
        self._grams = [0.0, *accumulate(grams)]
        self._unknown_ns = [0, *accumulate(unknown)]

    def mean(self, t0_ns: int, dur_ns: int) -> float | None:
        """Return the mean rate over a time; None if any of it is unknown."""
        if not dur_ns:
            return self._rates[self._at(t0_ns)]
        grams, unknown_ns = self._upto(t0_ns + dur_ns)
        grams_before, unknown_before_ns = self._upto(t0_ns)
        return None if unknown_ns > unknown_before_ns else (grams - grams_before) / dur_ns

    def _at(self, at_ns: int) -> int:
        return bisect_right(self._began, at_ns) - 1

    def _upto(self, at_ns: int) -> tuple[float, int]:
        number = self._at(at_ns)
        inside_ns, rate = at_ns - self._began[number], self._rates[number]
        return (
            self._grams[number] + inside_ns * (rate or 0.0),
            self._unknown_ns[number] + inside_ns * (rate is None),
        )


def _rate(stretch: Stretch) -> float | None:
    """Return gCO2e per kWh of the machines."""
    if stretch.kind != "series" or stretch.gco2e_per_kwh is None or stretch.pue is None:
        return None
    return stretch.gco2e_per_kwh * stretch.pue


def starts(
    book: CarbonBook, rows: Iterable[EnergyRow], began_ns: int, window: Window
) -> list[Start]:
    """
    Return what a run would have emitted, had it begun at other times.

    Parameters
    ----------
    book : CarbonBook
        With intensities and PUE; PUE is that of the time, too.
    rows : iterable of EnergyRow
        The run's energy.
    began_ns : int
        When it began.
    window : Window
        When else it might have.

    Returns
    -------
    list of Start
        Ascending; that which it had is among them. Empty without any energy.
    """
    profiles: dict[str, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        profiles[row.node][row.t0_ns, row.dur_ns] += row.uj
    curves = {node: _curve(book, node, profile, window) for node, profile in profiles.items()}
    if not profiles:
        return []
    return [
        Start(
            began_ns=began_ns + shift_ns,
            operational_gco2e=_grams(profiles, curves, shift_ns),
        )
        for shift_ns in window.shifts_ns()
    ]


def _curve(
    book: CarbonBook, node: str, profile: Mapping[tuple[int, int], int], window: Window
) -> _Curve:
    first_ns = min(t0_ns for t0_ns, _ in profile) - window.before_ns
    end_ns = max(t0_ns + dur_ns for t0_ns, dur_ns in profile) + window.after_ns
    return _Curve(book.intensity(first_ns, end_ns + 1, node=node))


def _grams(
    profiles: Mapping[str, Mapping[tuple[int, int], int]],
    curves: Mapping[str, _Curve],
    shift_ns: int,
) -> float | None:
    found = []
    for node, profile in profiles.items():
        for (t0_ns, dur_ns), uj in profile.items():
            rate = curves[node].mean(t0_ns + shift_ns, dur_ns) if uj else 0.0
            if rate is None:
                return None
            found.append(uj / UJ_PER_KWH * rate)
    return math.fsum(found)
