"""Runtime reports as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.query.results import Runtime


def runtime_tables(by: Sequence[str], found: Sequence[Runtime]) -> list[Table]:
    """
    Make the tables of a runtime report.

    Parameters
    ----------
    by : sequence of str
        The fields that name a group.
    found : sequence of Runtime
        One a group.
    """
    stragglers = [one for row in found for one in row.stragglers]
    runs = [row.run for row in found if row.run] + [one.run for one in stragglers]
    short = units.short_ids(list(dict.fromkeys(runs)))
    figures = ("runs", "executions", "ranks", "wall", "CPU", "efficiency", "imbalance")
    columns = [*map(Column, by), *(Column(name, right=True) for name in figures)]
    rows = [
        (
            *(short.get(name, name) for name in (str(getattr(row, field)) for field in by)),
            str(row.n_runs), str(row.n_executions), str(row.n_ranks),
            units.duration(row.wall_ns), units.duration(row.cpu_ns), units.share(row.efficiency),
            units.NOTHING if row.imbalance is None else f"{row.imbalance:.2f}",
        )
        for row in found
    ]  # fmt: skip
    return [Table(columns, rows), _stragglers(found, short)]


def _stragglers(found: Sequence[Runtime], short: dict[str, str]) -> Table:
    columns = (
        Column("run"), Column("stage"), Column("rank", right=True), Column("host"),
        Column("busy", right=True), Column("over mean", right=True),
    )  # fmt: skip
    rows = [
        (
            short[one.run], f"{one.pipeline}.{one.stage}", str(one.rank), one.host,
            units.duration(one.busy_ns), f"{one.over_mean:.2f}",
        )
        for row in found
        for one in row.stragglers
    ]  # fmt: skip
    return Table(columns, rows, "stragglers: ranks that the others waited for")
