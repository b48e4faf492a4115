"""Intensity series and factor sets for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.carbon.instants import instant
from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cmfd.carbon.told import Part, SeriesTold, SetTold

_MOST_GAPS = 5


def series_table(found: Sequence[SeriesTold]) -> Table:
    """Return a line for each zone, basis and scope of each series."""
    headings = ("series", "zone", "basis", "scope", "from", "until")
    figures = ("rows", "covered", "estimated", "min", "mean", "max")
    columns = [
        *map(Column, headings), *(Column(name, right=True) for name in figures),
        Column("imported"), Column("by"),
    ]  # fmt: skip
    return Table(
        columns,
        [
            (one.series[: units.MIN_ID_DIGITS], *_cells(part), units.when(one.added_ns),
             one.added_by)
            for one in found for part in one.parts
        ],
    )  # fmt: skip


def _cells(part: Part) -> tuple[str, ...]:
    grams = (part.min_gco2e_per_kwh, part.mean_gco2e_per_kwh, part.max_gco2e_per_kwh)
    return (
        part.zone, part.basis, part.scope, instant(part.began_ns), instant(part.ended_ns),
        str(part.n_rows), units.share(part.covered_share), units.share(part.estimated_share),
        *(f"{one:.1f}" for one in grams),
    )  # fmt: skip


def gap_lines(parts: Iterable[Part]) -> Iterator[str]:
    """Yield what a series has no value for."""
    for part in parts:
        for gap in part.gaps[:_MOST_GAPS]:
            yield (
                f"no value of {part.zone} ({part.basis}, {part.scope}) from"
                f" {instant(gap.began_ns)} until {instant(gap.ended_ns)}"
            )
        if len(part.gaps) > _MOST_GAPS:
            rest = len(part.gaps) - _MOST_GAPS
            yield f"and {units.count(rest, 'gap')} more of {part.zone} (--json has them all)"


def sets_table(found: Sequence[SetTold]) -> Table:
    """Return a line for each factor set."""
    headings = ("factors", "in use", "name", "zones", "node types", "added", "by")
    return Table(
        [Column(name) for name in headings],
        [
            (
                one.factor_set[: units.MIN_ID_DIGITS],
                "yes" if one.is_current else "",
                one.name,
                ", ".join(one.zones),
                ", ".join(one.node_types),
                units.when(one.added_ns),
                one.added_by,
            )
            for one in found
        ],
    )
