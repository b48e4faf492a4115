"""
What if a run had begun at another time: the same energy against another time's intensity.

Energy and PUE stay as they were, only the grid is another. Of a start for which any of the energy
would meet a time that no series covers, nothing is said: annual means do not change with time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

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


class _Profile(NamedTuple):
    """Energy of a node over time, in columns."""

    t0_ns: npt.NDArray[np.int64]
    dur_ns: npt.NDArray[np.int64]
    kwh: npt.NDArray[np.float64]

    @classmethod
    def of(cls, energy: Mapping[tuple[int, int], int]) -> _Profile:
        """Make it of microjoules by begin and length; what took nothing is left out."""
        found = [(*when, uj) for when, uj in energy.items() if uj]
        t0_ns, dur_ns, uj = zip(*found, strict=True) if found else ((), (), ())
        return cls(
            np.array(t0_ns, np.int64), np.array(dur_ns, np.int64),
            np.array(uj, np.float64) / UJ_PER_KWH,
        )  # fmt: skip


class _Curve:
    """Emissions integrated over time: a mean over any time is a difference of two values."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        rates = [_rate(one) for one in stretches]
        lengths_ns = [one.ended_ns - one.began_ns for one in stretches]
        self._began_ns = np.array([one.began_ns for one in stretches], np.int64)
        self._rates = np.array([rate or 0.0 for rate in rates])
        self._integral = np.concatenate(([0.0], np.cumsum(self._rates * lengths_ns)))
        self._n_unknown = np.concatenate(([0], np.cumsum([rate is None for rate in rates])))

    def grams(self, profile: _Profile, shift_ns: int) -> float | None:
        """Return the emissions of a shifted profile; None if any of it meets an unknown time."""
        t0_ns = profile.t0_ns + shift_ns
        # What has no length is at an instant: it has the rate of that.
        end_ns = t0_ns + np.maximum(profile.dur_ns, 1)
        first, last = self._at(t0_ns), self._at(end_ns - 1)
        if np.any(self._n_unknown[last + 1] > self._n_unknown[first]):
            return None
        whole = self._upto(end_ns, last) - self._upto(t0_ns, first)
        return math.fsum(profile.kwh * whole / (end_ns - t0_ns))

    def _at(self, at_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        return np.searchsorted(self._began_ns, at_ns, side="right") - 1

    def _upto(
        self, at_ns: npt.NDArray[np.int64], number: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = (
            self._integral[number] + (at_ns - self._began_ns[number]) * self._rates[number]
        )
        return found


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
    energy: dict[str, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        energy[row.node][row.t0_ns, row.dur_ns] += row.uj
    if not energy:
        return []
    nodes = [
        (_Profile.of(parts), _curve(book, node, parts, window)) for node, parts in energy.items()
    ]
    return [
        Start(began_ns=began_ns + shift_ns, operational_gco2e=_sum(nodes, shift_ns))
        for shift_ns in window.shifts_ns()
    ]


def _curve(
    book: CarbonBook, node: str, energy: Mapping[tuple[int, int], int], window: Window
) -> _Curve:
    first_ns = min(t0_ns for t0_ns, _ in energy) - window.before_ns
    end_ns = max(t0_ns + dur_ns for t0_ns, dur_ns in energy) + window.after_ns
    return _Curve(book.intensity(first_ns, end_ns + 1, node=node))


def _sum(nodes: Sequence[tuple[_Profile, _Curve]], shift_ns: int) -> float | None:
    found = []
    for profile, curve in nodes:
        grams = curve.grams(profile, shift_ns)
        if grams is None:
            return None
        found.append(grams)
    return math.fsum(found)
