"""
The book of factors of a site, and what energy means by it.

    book = CarbonBook.open(site_dir)
    carbon = book.of(rows, holds)
    print(carbon.operational_gco2e, carbon.factor_set_id, carbon.missing)
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from cmfd.carbon import kept, reckon, timeline
from cmfd.carbon.hours import HOUR_NS, Hours
from cmfd.carbon.model import GRADE_BOUNDS, Carbon, Stretch, Weighed
from cmfd.carbon.spread import Course, span_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cmfd.carbon.factors import FactorSet, NodeType, Place
    from cmfd.carbon.model import EnergyRow, Hold, Provenance
    from cmfd.carbon.spread import Rows

NO_FACTORS = (
    "The site has no factor set in use, so nothing is known of emissions: its operator adds one"
    " with `cmfd carbon factors add --use FILE` (--help has a small one)."
)
NO_PLACE = "The factor set has no place for the nodes {nodes}: nothing is known of their emissions."
MOST_HOURS = 200_000
"""22 years. Where energy is of a longer time, some clock was wrong."""
_UJ_PER_J = 1_000_000
_DAY_NS = 86_400_000_000_000


class CarbonBook:
    """
    What a site knows of emissions, with one factor set chosen.

    Parameters
    ----------
    site_dir : Path
        The site.
    chosen : KeptSet or None
        The factor set; None: the site has none in use.

    Attributes
    ----------
    factor_set_id : str
        SHA-256 of the factor set; empty if there is none.
    factor_set_name : str
        What it is called.
    """

    def __init__(self, site_dir: Path, chosen: kept.KeptSet | None) -> None:
        self._site = site_dir
        self._factors: FactorSet | None = chosen.factors if chosen else None
        self._sources: dict[int, timeline.Sources] = {}
        self._courses: dict[int, Course] = {}
        self._types: dict[str, NodeType | None] = {}
        self.factor_set_id = chosen.id if chosen else ""
        self.factor_set_name = chosen.factors.name if chosen else ""

    @classmethod
    def open(cls, site_dir: Path) -> CarbonBook:
        """
        Return the book of a site, with the factor set that is in use there.

        Parameters
        ----------
        site_dir : Path
            The site. One without factors has a book, too: it knows nothing, and says why.

        Raises
        ------
        ConfigError
            What the site holds of factors cannot be read; nothing was changed.
        """
        has_one = kept.current_id(site_dir) is not None
        return cls(site_dir, kept.set_of(site_dir, "current") if has_one else None)

    def with_factors(self, name: str) -> CarbonBook:
        """
        Return the book with another factor set of the site.

        Parameters
        ----------
        name : str
            Its SHA-256, or the beginning of it that no other has, or its name.

        Raises
        ------
        NotFoundError
            The site has none that goes by it, or several.
        """
        return CarbonBook(self._site, kept.set_of(self._site, name))

    def problems(self) -> list[str]:
        """Return why sources that the factor set names have nothing, one sentence each."""
        places = range(len(self._factors.places)) if self._factors else ()
        reasons = (reason for number in places for reason in self._sources_of(number).reasons)
        return list(dict.fromkeys(reasons))

    def of(
        self,
        rows: Iterable[EnergyRow],
        holds: Iterable[Hold] | None = None,
        *,
        weighed: Iterable[Weighed] = (),
        bounds: Mapping[str, tuple[float, float]] = GRADE_BOUNDS,
    ) -> Carbon:
        """
        Return what energy means in emissions.

        Parameters
        ----------
        rows : iterable of EnergyRow
            The energy, each part of it once; the order is of no matter.
        holds : iterable of Hold, optional
            The shares of nodes that were held; without them, nothing is said of embodied carbon.
        weighed : iterable of Weighed
            More energy, by the factors of `hours`.
        bounds : mapping
            How far energy of each grade may lie below and above, as shares of it.
        """
        sums, missing = reckon.Sums(bounds), []
        if self._factors is None:
            sums.add_unknown(sum(row.uj for row in rows) + sum(one.uj for one in weighed))
            return self._carbon(sums, reckon.Embodied(None, [], []), [NO_FACTORS])
        unplaced: set[str] = set()
        for number, (energy, more) in self._by_place(rows, weighed, sums, unplaced).items():
            place = self._factors.places[number]
            sources = self._sources_of(number)
            course = self._course(number, *span_ns(energy, more))
            if not sums.add(place, course.lots(energy, more)):
                missing += sources.reasons
        if unplaced:
            missing.append(NO_PLACE.format(nodes=", ".join(sorted(unplaced))))
        if holds is None:
            return self._carbon(sums, reckon.Embodied(None, [], []), missing)
        return self._carbon(sums, reckon.embodied(self._type_of, holds), missing)

    def intensity(self, t0_ns: int, t1_ns: int, *, node: str = "") -> list[Stretch]:
        """
        Return the grid's intensity over a time, for plots.

        Parameters
        ----------
        t0_ns, t1_ns : int
            From when to when, half-open.
        node : str
            A node's name, where a site has nodes in several places; without one, the first place.

        Returns
        -------
        list of Stretch
            Ascending, without gaps; where nothing is known, a stretch without intensity.
        """
        number = self._number_of(node) if node else 0
        if self._factors is None or number is None:
            return [_stretch(timeline.Piece(t0_ns, t1_ns, None, None, None))]
        place, sources = self._factors.places[number], self._sources_of(number)
        return [_stretch(one) for one in timeline.pieces(place, sources.layers, t0_ns, t1_ns)]

    def hours(self, nodes: Iterable[tuple[int, str]], span: tuple[int, int]) -> Hours | None:
        """
        Return the factors of each hour of a time, for a database to join with energy.

        Parameters
        ----------
        nodes : iterable of tuple
            Nodes, each with a number of it.
        span : tuple of int
            From when to when.

        Returns
        -------
        Hours or None
            None where factors change within hours, or the hours are very many.
        """
        t0_ns, t1_ns = span[0] // HOUR_NS * HOUR_NS, -(-span[1] // HOUR_NS) * HOUR_NS
        if self.step_ns % HOUR_NS or not 0 < t1_ns - t0_ns <= MOST_HOURS * HOUR_NS:
            return None
        found = Hours()
        for at, node in nodes:
            number = self._number_of(node)
            if number is None:
                found.add_none(at, node, t0_ns, t1_ns)
            else:
                found.add(at, node, self._course(number, t0_ns, t1_ns), (t0_ns, t1_ns))
        return found

    @cached_property
    def step_ns(self) -> int:
        """
        The longest step of time (from 1970 on, a day at most) within which no factor changes.

        So sums of energy over such steps give the figures that its rows would.
        """
        if self._factors is None:
            return _DAY_NS
        edges = (self._edges_ns(number) for number in range(len(self._factors.places)))
        return math.gcd(_DAY_NS, *chain.from_iterable(edges))

    def alike(self, nodes: Sequence[str]) -> list[int]:
        """Return for each node the place in this list of the first that has the same factors."""
        first: dict[int | str, int] = {}
        found = []
        for at, node in enumerate(nodes):
            number = self._number_of(node)
            found.append(first.setdefault(node if number is None else number, at))
        return found

    def _edges_ns(self, number: int) -> Iterator[int]:
        """Yield when factors of a place change."""
        assert self._factors is not None  # only then there are places
        place = self._factors.places[number]
        for layer in self._sources_of(number).layers:
            for began_ns, ended_ns, _ in layer.times:
                yield from (began_ns, ended_ns)
        for period in (*place.pue, *place.contracts):
            yield from period.span_ns

    @cached_property
    def _series(self) -> list[kept.KeptSeries]:
        return kept.all_series(self._site)

    def _sources_of(self, number: int) -> timeline.Sources:
        assert self._factors is not None  # only then there are places
        if number not in self._sources:
            place = self._factors.places[number]
            series = self._series if "series" in place.order else []
            self._sources[number] = timeline.sources_of(place, series)
        return self._sources[number]

    def _course(self, number: int, t0_ns: int, t1_ns: int) -> Course:
        """Return a place's factors over a time, or over a longer one that was asked for before."""
        assert self._factors is not None  # only then there are places
        course = self._courses.get(number)
        if course is None or t0_ns < course.began_ns or t1_ns > course.ended_ns:
            if course is not None:  # twice as long as before, so that it is seldom made anew
                more_ns = course.ended_ns - course.began_ns
                t0_ns = min(t0_ns, course.began_ns - more_ns)
                t1_ns = max(t1_ns, course.ended_ns + more_ns)
            layers = self._sources_of(number).layers
            pieces = timeline.pieces(self._factors.places[number], layers, t0_ns, t1_ns)
            course = self._courses[number] = Course(pieces)
        return course

    def _type_of(self, node: str) -> NodeType | None:
        if node not in self._types:
            self._types[node] = self._factors.type_of(node) if self._factors else None
        return self._types[node]

    def _number_of(self, node: str) -> int | None:
        place: Place | None = self._factors.place_of(node) if self._factors else None
        return None if place is None or not self._factors else self._factors.places.index(place)

    def _by_place(
        self,
        rows: Iterable[EnergyRow],
        weighed: Iterable[Weighed],
        sums: reckon.Sums,
        unplaced: set[str],
    ) -> dict[int, tuple[Rows, list[Weighed]]]:
        """Add rows up that are alike, by the numbers of their places; put down what has none."""
        found: dict[int, tuple[Rows, list[Weighed]]] = {}
        places: dict[str, int | None] = {}
        every: Iterable[EnergyRow | Weighed] = chain(rows, weighed)
        for row in every:
            if row.node not in places:
                places[row.node] = self._number_of(row.node)
            number = places[row.node]
            if number is None:
                sums.add_unknown(row.uj)
                unplaced.add(row.node)
                continue
            alike, more = found.setdefault(number, (defaultdict(int), []))
            if isinstance(row, Weighed):
                more.append(row)
            else:
                alike[row.t0_ns, row.dur_ns, row.grade] += row.uj
        return found

    def _carbon(self, sums: reckon.Sums, embodied: reckon.Embodied, missing: list[str]) -> Carbon:
        covered = sums.n_covered > 0
        provenance: list[Provenance] = [*sums.provenance(), *embodied.provenance]
        with_pue = sums.with_pue_uj
        return Carbon(
            energy_j=float(sums.uj / _UJ_PER_J),
            operational_gco2e=float(sums.grams) if covered else None,
            low_gco2e=float(sums.low) if covered else None,
            high_gco2e=float(sums.high) if covered else None,
            market_gco2e=float(sums.market) if sums.market is not None and sums.n_lots else None,
            embodied_gco2e=embodied.gco2e,
            intensity_gco2e_per_kwh=(
                float(sums.grams * reckon.UJ_PER_KWH / with_pue) if with_pue else None
            ),
            pue=float(with_pue / sums.covered_uj) if sums.covered_uj else None,
            covered_share=sums.covered_share,
            provenance=provenance,
            factor_set_id=self.factor_set_id,
            factor_set_name=self.factor_set_name,
            missing=[*missing, *sums.missing(), *embodied.missing],
        )


def _stretch(piece: timeline.Piece) -> Stretch:
    grid, market = piece.grid, piece.market
    return Stretch(
        began_ns=piece.began_ns,
        ended_ns=piece.ended_ns,
        gco2e_per_kwh=float(grid.gco2e_per_kwh) if grid else None,
        market_gco2e_per_kwh=float(market.gco2e_per_kwh) if market else None,
        pue=piece.pue.value if piece.pue else None,
        kind=grid.kind if grid else None,
        source=grid.source if grid else None,
        estimated=bool(grid and grid.estimated),
    )
