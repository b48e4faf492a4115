"""
A place's factors over time: what each source has, in the order of the factor set.

Sources are layers. What the first leaves free the next may fill, and each piece of time says
whose it is; what none of them has stays free.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon import tables
from cmfd.carbon.factors import ALWAYS_NS, exact, within
from cmfd.errors import FactorsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cmfd.carbon.factors import Place, Pue
    from cmfd.carbon.kept import KeptSeries


class Grid(NamedTuple):
    """An intensity, and whose it is."""

    gco2e_per_kwh: Fraction
    kind: str
    source: str
    version: str
    basis: str
    scope: str
    estimated: bool
    uncertainty: Fraction


class Piece(NamedTuple):
    """A time with one value of each factor; None is what is not known."""

    began_ns: int
    ended_ns: int
    grid: Grid | None
    pue: Pue | None
    market: Market | None


class Market(NamedTuple):
    """A market-based intensity: contracts, and the residual mix for the rest."""

    gco2e_per_kwh: Fraction
    source: str


class Layer(NamedTuple):
    """What one source has: times that do not overlap, ascending."""

    times: Sequence[tuple[int, int, Grid]]


class Sources(NamedTuple):
    """The layers of a place, the first first, and why others have nothing."""

    layers: list[Layer]
    reasons: list[str]


def sources_of(place: Place, kept: Iterable[KeptSeries]) -> Sources:
    """
    Return the sources of a place's intensities.

    Parameters
    ----------
    place : Place
        Of a factor set.
    kept : iterable of KeptSeries
        The site's, in the order in which they were imported.
    """
    found = Sources([], [])
    latest_first = list(kept)[::-1]
    for kind in place.order:
        if kind == "series":
            _add_series(found, place, latest_first)
        else:
            try:
                grid = _annual(place, kind)
            except FactorsError as error:
                found.reasons.append(f"{error}.")
                continue
            found.layers.append(Layer([(*ALWAYS_NS, grid)]))
    return found


def _add_series(found: Sources, place: Place, latest_first: Iterable[KeptSeries]) -> None:
    spread = exact(place.uncertainty.get("series", 0.0))
    wanted = (place.zone, place.basis, place.scope)
    n_before = len(found.layers)
    for one in latest_first:
        if place.series and not any(one.id.startswith(pin) for pin in place.series):
            continue
        times = [
            (row.began_ns, row.ended_ns, Grid(
                Fraction(row.g_per_kwh), "series", row.source, one.id, row.basis, row.scope,
                row.estimated, spread))
            for row in one.series.rows if row[:3] == wanted
        ]  # fmt: skip
        if times:
            found.layers.append(Layer(times))
    if len(found.layers) == n_before:
        found.reasons.append(
            f"The site has no intensity series of zone {place.zone} ({place.basis}, {place.scope}):"
            " import one with `cmfd carbon intensity import`."
        )


def _annual(place: Place, kind: str) -> Grid:
    """Return what holds at any time."""
    spread = exact(place.uncertainty.get(kind, 0.0))  # type: ignore[call-overload] # one of its keys
    if kind == "constant":
        assert place.constant is not None  # a place that names it has one
        grams, source = exact(place.constant.g_per_kwh), place.constant.source
        return Grid(
            grams, kind, source, "", place.basis, place.scope,
            estimated=False, uncertainty=spread,
        )  # fmt: skip
    annual = (
        tables.country(place.country) if kind == "country"
        else tables.region(place.country, place.region)
    )  # fmt: skip
    return Grid(
        annual.gco2e_per_kwh, kind, annual.source, annual.version, "average", annual.scope,
        estimated=False, uncertainty=spread,
    )  # fmt: skip


def pieces(place: Place, layers: Iterable[Layer], t0_ns: int, t1_ns: int) -> list[Piece]:
    """
    Cut a time into pieces with one value of each factor.

    Parameters
    ----------
    place : Place
        Whose.
    layers : iterable of Layer
        Its sources, the first first.
    t0_ns, t1_ns : int
        From when to when, half-open.

    Returns
    -------
    list of Piece
        Ascending, without gaps, from `t0_ns` to `t1_ns`.
    """
    painted = _painted(layers, t0_ns, t1_ns)
    edges = sorted(
        {edge for period in (*place.pue, *place.contracts) for edge in period.span_ns
         if t0_ns < edge < t1_ns}
    )  # fmt: skip
    return [
        Piece(began, ended, grid, next(iter(within(place.pue, began)), None), _market(place, began))
        for one in painted
        for began, ended, grid in _cut(one, edges)
    ]


def _painted(layers: Iterable[Layer], t0_ns: int, t1_ns: int) -> list[tuple[int, int, Grid | None]]:
    done: list[tuple[int, int, Grid | None]] = []
    free = [(t0_ns, t1_ns)] if t0_ns < t1_ns else []
    for layer in layers:
        left = []
        for span in free:
            for began, ended, grid in _through(layer, *span):
                if grid is None:
                    left.append((began, ended))
                else:
                    done.append((began, ended, grid))
        free = left
    done += [(began, ended, None) for began, ended in free]
    return sorted(done, key=lambda one: one[0])


def _through(layer: Layer, t0_ns: int, t1_ns: int) -> Iterator[tuple[int, int, Grid | None]]:
    """Yield a time cut by what a layer has of it."""
    at_ns = t0_ns
    first = bisect_right(layer.times, t0_ns, key=lambda one: one[0]) - 1
    for number in range(max(first, 0), len(layer.times)):
        began, ended, grid = layer.times[number]
        if began >= t1_ns:
            break
        if ended <= at_ns:
            continue
        if began > at_ns:
            yield at_ns, began, None
            at_ns = began
        yield at_ns, min(ended, t1_ns), grid
        at_ns = min(ended, t1_ns)
    if at_ns < t1_ns:
        yield at_ns, t1_ns, None


def _cut(
    one: tuple[int, int, Grid | None], edges: Sequence[int]
) -> Iterator[tuple[int, int, Grid | None]]:
    began, ended, grid = one
    for edge in edges[bisect_right(edges, began) :]:
        if edge >= ended:
            break
        yield began, edge, grid
        began = edge
    yield began, ended, grid


def _market(place: Place, at_ns: int) -> Market | None:
    """Return the market-based intensity at a time; None where nobody says how the rest is made."""
    if not place.contracts and place.residual is None:
        return None
    contracts = within(place.contracts, at_ns)
    rest = 1 - sum((exact(one.share) for one in contracts), Fraction())
    if rest and place.residual is None:
        return None
    grams = sum((exact(one.share) * exact(one.g_per_kwh) for one in contracts), Fraction())
    sources = [f"{one.source} ({one.share:.0%})" for one in contracts]
    if rest and place.residual is not None:
        grams += rest * exact(place.residual.g_per_kwh)
        sources.append(f"residual mix: {place.residual.source} ({float(rest):.0%})")
    return Market(grams, "; ".join(sources))
