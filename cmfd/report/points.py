"""The values of a metric as lines, without the cost of a drawn table: there may be many."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.sparkline import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.query.metrics import Points

WIDTH = 32
"""Characters of a sparkline."""


def point_lines(points: Points, most: int | None) -> Iterator[str]:
    """
    Yield a sparkline of all values, then a line for each of the last ones.

    Parameters
    ----------
    points : Points
        Sorted, as queries return them.
    most : int or None
        How many lines at most; None: all.
    """
    yield f"{sparkline(list(map(float, points.value.tolist())), WIDTH)}  {len(points)} values"
    several = len(points.executions) > 1
    short = units.short_ids(points.executions)
    yield ("execution     " if several else "") + f"{'step':>10} {'rank':>6}  {'time':23}  value"
    skipped = max(len(points) - most, 0) if most else 0
    if skipped:
        yield f"... {skipped} before (all of them: --csv, or --tail {len(points)})"
    for number, (execution, step, rank, at_ns, value) in enumerate(points.rows()):
        if number >= skipped:
            at = datetime.fromtimestamp(at_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")
            where = f"{short[execution]}  " if several else ""
            yield f"{where}{step:>10} {rank:>6}  {at[:-3]}  {units.number(value)}"
