"""Power over time, with the grid's intensity behind it."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from cmfd.report.costs.model import Power
from cmfd.report.costs.sums import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.query.energy import EnergyRow
    from cmfd.query.power import Drawn

MOST_BUCKETS = 240
"""More cannot be told apart on a page."""

_MINUTE_NS = 60_000_000_000
_W = 1e3
"""Microjoules a nanosecond are thousands of watts."""


def power_of(rows: Sequence[EnergyRow | Drawn], book: CarbonBook | None) -> Power | None:
    """
    Return the power that rows of energy mean; None of nothing.

    Parameters
    ----------
    rows : sequence of EnergyRow or Drawn
        The energy of each is spread evenly over its time.
    book : CarbonBook, optional
        For the intensity.
    """
    rows = [row for row in rows if row.dur_ns]
    if not rows:
        return None
    first_ns = min(row.t0_ns for row in rows)
    end_ns = max(row.t0_ns + row.dur_ns for row in rows)
    n_minutes = math.ceil((end_ns - first_ns) / MOST_BUCKETS / _MINUTE_NS)
    width_ns = n_minutes * _MINUTE_NS
    began_ns = list(range(first_ns, end_ns, width_ns))
    uj: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(began_ns))
    for row in rows:
        _spread(row, first_ns, width_ns, uj[row.component])
    spans_ns = [min(width_ns, end_ns - at_ns) for at_ns in began_ns]
    node = rows[0].node
    return Power(
        began_ns=began_ns,
        bucket_s=width_ns / 1e9,
        ended_ns=end_ns,
        components_w={
            name: [amount * _W / span for amount, span in zip(uj[name], spans_ns, strict=True)]
            for name in COMPONENTS
            if name in uj
        },
        intensity_gco2e_per_kwh=[
            _intensity(book, at_ns, at_ns + span, node)
            for at_ns, span in zip(began_ns, spans_ns, strict=True)
        ],
    )


def _spread(row: EnergyRow | Drawn, first_ns: int, width_ns: int, uj: list[float]) -> None:
    """Add a row's energy to the buckets that its time is in."""
    at_ns, end_ns = row.t0_ns, row.t0_ns + row.dur_ns
    while at_ns < end_ns:
        number = (at_ns - first_ns) // width_ns
        until_ns = min(first_ns + (number + 1) * width_ns, end_ns)
        uj[number] += row.uj * (until_ns - at_ns) / row.dur_ns
        at_ns = until_ns


def _intensity(book: CarbonBook | None, t0_ns: int, t1_ns: int, node: str) -> float | None:
    """Return the mean over a time; None where it is not known for all of it."""
    if book is None:
        return None
    total = 0.0
    for stretch in book.intensity(t0_ns, t1_ns, node=node):
        if stretch.gco2e_per_kwh is None:
            return None
        total += stretch.gco2e_per_kwh * (stretch.ended_ns - stretch.began_ns)
    return total / (t1_ns - t0_ns)
