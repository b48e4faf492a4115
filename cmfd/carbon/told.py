"""What a site keeps of factors, as commands print it."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from cmfd.query.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.carbon.kept import KeptSeries, KeptSet
    from cmfd.carbon.series import Row


class Gap(Result, frozen=True, kw_only=True):
    """A time for which a series has no value; half-open."""

    began_ns: int
    ended_ns: int


class Part(Result, frozen=True, kw_only=True):
    """Rows of a series that belong together."""

    zone: str
    basis: str
    scope: str
    began_ns: int
    ended_ns: int
    n_rows: int
    mean_gco2e_per_kwh: float
    """Over time."""
    min_gco2e_per_kwh: float
    max_gco2e_per_kwh: float
    covered_share: float
    """Share of the time from begin to end that has a value."""
    estimated_share: float
    """Share of the time with a value for which that is an estimate."""
    sources: list[str]
    gaps: list[Gap]


class SeriesTold(Result, frozen=True, kw_only=True):
    """An intensity series of a site."""

    series: str
    """SHA-256."""
    name: str
    """Of the file that was imported."""
    added_ns: int
    added_by: str
    parts: list[Part]


class SetTold(Result, frozen=True, kw_only=True):
    """A factor set of a site."""

    factor_set: str
    """SHA-256."""
    name: str
    is_current: bool
    added_ns: int
    added_by: str
    zones: list[str]
    node_types: list[str]
    note: str
    text: str
    """The file, as it was added."""


def series_told(kept: KeptSeries) -> SeriesTold:
    """Return what there is to say of a series."""
    groups = groupby(kept.series.rows, key=attrgetter("zone", "basis", "scope"))
    gaps = kept.series.gaps()
    return SeriesTold(
        series=kept.id,
        name=kept.added.name,
        added_ns=kept.added.at_ns,
        added_by=kept.added.by,
        parts=[
            _part(list(rows), [Gap(began_ns=one.began_ns, ended_ns=one.ended_ns)
                               for one in gaps if one[:3] == key])
            for key, rows in groups
        ],
    )  # fmt: skip


def _part(rows: Sequence[Row], gaps: list[Gap]) -> Part:
    grams = [float(row.g_per_kwh) for row in rows]
    lengths = [row.ended_ns - row.began_ns for row in rows]
    covered = sum(lengths)
    weighted = sum(Fraction(row.g_per_kwh) * ns for row, ns in zip(rows, lengths, strict=True))
    estimated = sum(ns for row, ns in zip(rows, lengths, strict=True) if row.estimated)
    return Part(
        zone=rows[0].zone,
        basis=rows[0].basis,
        scope=rows[0].scope,
        began_ns=rows[0].began_ns,
        ended_ns=rows[-1].ended_ns,
        n_rows=len(rows),
        mean_gco2e_per_kwh=float(weighted / covered),
        min_gco2e_per_kwh=min(grams),
        max_gco2e_per_kwh=max(grams),
        covered_share=covered / (rows[-1].ended_ns - rows[0].began_ns),
        estimated_share=estimated / covered,
        sources=sorted({row.source for row in rows}),
        gaps=gaps,
    )


def set_told(kept: KeptSet) -> SetTold:
    """Return what there is to say of a factor set."""
    return SetTold(
        factor_set=kept.id,
        name=kept.factors.name,
        is_current=kept.is_current,
        added_ns=kept.added.at_ns,
        added_by=kept.added.by,
        zones=sorted({place.zone for place in kept.factors.places if place.zone}),
        node_types=[kind.name for kind in kept.factors.node_types],
        note=kept.factors.note,
        text=kept.text,
    )
