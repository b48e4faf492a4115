"""Runs side by side as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.lineage import short_digest
from cmfd.report.phrases import outcome
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.query.compare import Comparison, MetricRow, Typed
    from cmfd.query.results import Metric


def comparison_tables(found: Comparison, *, every: bool) -> list[Table]:
    """
    Make the tables of a comparison.

    Parameters
    ----------
    found : Comparison
        Runs side by side.
    every : bool
        Show parameters and artifacts in which the runs agree, too.
    """
    short = units.short_ids(list(dict.fromkeys(run.run for run in found.runs)))
    names = [short[run.run] for run in found.runs]
    return [
        _runs(found, names),
        _params(found, names, every=every),
        _artifacts(found, names, every=every),
        _metrics(found, names),
    ]


def _runs(found: Comparison, names: list[str]) -> Table:
    rows = [
        ("name", *(run.name for run in found.runs)),
        ("stages", *(", ".join(run.stages) for run in found.runs)),
        ("began", *(units.when(run.began_ns) for run in found.runs)),
        ("wall", *(units.duration(run.wall_ns) for run in found.runs)),
        ("ranks", *(str(run.n_ranks) for run in found.runs)),
        ("status", *(outcome(run) for run in found.runs)),
    ]
    return Table([Column("run"), *map(Column, names)], rows)


def _params(found: Comparison, names: list[str], *, every: bool) -> Table:
    rows = [
        (f"{row.pipeline}.{row.stage}", row.key, *map(_values, row.values))
        for row in found.params
        if every or row.differs
    ]
    n_equal = sum(not row.differs for row in found.params)
    title = "parameters" if every else f"parameters that differ ({n_equal} are equal)"
    return Table([Column("stage"), Column("parameter"), *map(Column, names)], rows, title)


def _artifacts(found: Comparison, names: list[str], *, every: bool) -> Table:
    rows = [
        (
            f"{row.pipeline}.{row.stage}", row.direction, row.path,
            *(" | ".join(map(short_digest, digests)) or units.NOTHING for digests in row.digests),
        )
        for row in found.artifacts
        if every or row.differs
    ]  # fmt: skip
    n_equal = sum(not row.differs for row in found.artifacts)
    title = "artifacts" if every else f"artifacts that differ ({n_equal} are equal)"
    columns = [Column("stage"), Column(""), Column("path"), *map(Column, names)]
    return Table(columns, rows, title)


def _values(values: Iterable[Typed]) -> str:
    return " | ".join(units.literal(one.value) for one in values) or units.NOTHING


def _metrics(found: Comparison, names: list[str]) -> Table:
    columns = [Column("stage"), Column("metric"), Column("")]
    rows = [line for row in found.metrics for line in _metric_lines(row)]
    figures = [Column(name, right=True) for name in names]
    return Table([*columns, *figures], rows, "metrics")


def _metric_lines(row: MetricRow) -> list[tuple[str, ...]]:
    """Return a line each for a metric's first, last and best values."""
    values = row.values
    goal = next(one.goal for one in values if one)  # told by the name: one for all
    return [
        (f"{row.pipeline}.{row.stage}", row.name, "first", *_figures(values, "first")),
        ("", "", "last", *_figures(values, "last")),
        *([("", "", f"best ({goal})", *_figures(values, "best"))] if goal else []),
        *([] if goal else [("", "", end, *_figures(values, end)) for end in ("min", "max")]),
    ]


def _figures(values: Iterable[Metric | None], field: str) -> list[str]:
    return [units.number(getattr(one, field)) if one else units.NOTHING for one in values]
