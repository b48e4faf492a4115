"""
Emissions from energy spread over time: sums, bounds, and what they are made from.

    operational = sum over pieces of E / 3.6e12 * PUE * I        (microjoules, gCO2e/kWh)
    market      = the same, with the market-based I
    embodied    = sum over holds of TE * (TiR / EL) * (RR / ToR)

as SCI (ISO/IEC 21031:2024) has them. All in fractions; a float is made once, at the end.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon.factors import exact
from cmfd.carbon.instants import instant
from cmfd.carbon.model import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cmfd.carbon.factors import NodeType, Place
    from cmfd.carbon.model import Hold
    from cmfd.carbon.spread import Lot
    from cmfd.carbon.timeline import Grid

UJ_PER_KWH = 3_600_000_000_000

NO_INTENSITY = (
    "No intensity is known for {share} of the energy, {when} ({place}): import a series that"
    " covers it, or name a further source in the factor set's order."
)
NO_PUE = (
    "No PUE is configured for {share} of the energy, {when} ({place}): the factor set lacks it."
)
NO_MARKET = (
    "There is no market-based figure: for {share} of the energy, {when} ({place}), no contract or"
    " residual mix is configured."
)
ANOTHER = (
    "For {share} of the energy, {when} ({place}), the first source has no intensity: the {kind}"
    " one was used."
)
OTHER_SCOPE = (
    "For {share} of the energy, {when} ({place}), the intensity is {scope} only: others of this"
    " figure may not be."
)


class _Factor(NamedTuple):
    """A factor, as it was used."""

    factor: str
    kind: str
    unit: str
    source: str
    version: str = ""
    basis: str | None = None
    scope: str | None = None


@dataclass
class _Use:
    """What a factor was used for."""

    amount: Fraction = Fraction()
    """Microjoules, or nanoseconds of a whole node."""
    weight: Fraction = Fraction()
    weighted: Fraction = Fraction()
    estimated: Fraction = Fraction()

    def provenance(self, factor: _Factor, whole: Fraction) -> Provenance:
        """Return it for people."""
        return Provenance(
            **factor._asdict(),
            value=float(self.weighted / self.weight) if self.weight else 0.0,
            share=_share(self.amount, whole),
            estimated_share=_share(self.estimated, whole),
        )


@dataclass
class _Lack:
    """Energy that something is to be said of, and when it was."""

    began_ns: int
    ended_ns: int
    uj: Fraction = Fraction()

    def add(self, lot: Lot, uj: Fraction) -> None:
        """Add the energy of some pieces."""
        self.began_ns = min(self.began_ns, lot.began_ns)
        self.ended_ns = max(self.ended_ns, lot.ended_ns)
        self.uj += uj

    def said(self, text: str, words: Mapping[str, str], whole: Fraction) -> str:
        """Return the sentence."""
        when = f"between {instant(self.began_ns)} and {instant(self.ended_ns)}"
        return text.format(share=f"{100 * _share(self.uj, whole):.3g} %", when=when, **words)


@dataclass
class Sums:
    """
    Emissions, and the energy that they are from, as they add up.

    Attributes
    ----------
    bounds : mapping
        How far energy of each grade may lie below and above.
    uj, covered_uj, with_pue_uj : Fraction
        All energy; that of which intensity and PUE are known; that times its PUE.
    grams, low, high : Fraction
        Location-based, in gCO2e, and its bounds.
    market : Fraction or None
        Market-based; None as soon as it is not known of any.
    n_lots, n_covered : int
        Lots of energy, and those of which intensity and PUE are known.
    """

    bounds: Mapping[str, tuple[float, float]]
    uj: Fraction = Fraction()
    covered_uj: Fraction = Fraction()
    with_pue_uj: Fraction = Fraction()
    grams: Fraction = Fraction()
    low: Fraction = Fraction()
    high: Fraction = Fraction()
    market: Fraction | None = Fraction()
    n_lots: int = 0
    n_covered: int = 0
    _uses: dict[_Factor, _Use] = field(default_factory=lambda: defaultdict(_Use))
    _lacks: dict[tuple[str, tuple[tuple[str, str], ...]], _Lack] = field(default_factory=dict)

    def add_unknown(self, uj: int) -> None:
        """Add energy of which nothing can be said."""
        self.uj += uj
        self.n_lots += 1
        self.market = None

    def add(self, place: Place, lots: Iterable[Lot]) -> bool:
        """Add the energy of a place; return whether its first source had an intensity for all."""
        has_all = True
        for lot in lots:
            self._add(place, lot)
            grid = lot.piece.grid
            has_all &= grid is not None and grid.kind == place.order[0]
        return has_all

    def _add(self, place: Place, lot: Lot) -> None:
        piece = lot.piece
        uj = sum(lot.uj.values(), Fraction())
        self.uj += uj
        self.n_lots += 1
        if piece.pue is None:
            self._lack(NO_PUE, place, lot, uj)
            self.market = None
            return
        pue = exact(piece.pue.value)
        self._add_market(place, lot, uj, pue)
        if piece.grid is None:
            self._lack(NO_INTENSITY, place, lot, uj)
            return
        self.n_covered += 1
        self.covered_uj += uj
        self.with_pue_uj += uj * pue
        self._use(_Factor("pue", "configured", "1", piece.pue.source), uj, uj, uj * pue)
        self._add_grid(place, lot, piece.grid, uj, pue)
        self._add_grams(lot, pue, exact(piece.pue.uncertainty), piece.grid.uncertainty)

    def _add_market(self, place: Place, lot: Lot, uj: Fraction, pue: Fraction) -> None:
        market = lot.piece.market
        if market is None:
            self.market = None
            if place.contracts or place.residual:
                self._lack(NO_MARKET, place, lot, uj)
            return
        weighted = uj * pue * market.gco2e_per_kwh
        if self.market is not None:
            self.market += weighted / UJ_PER_KWH
        factor = _Factor("market", "configured", "gCO2e/kWh", market.source)
        self._use(factor, uj, uj * pue, weighted)

    def _add_grid(self, place: Place, lot: Lot, grid: Grid, uj: Fraction, pue: Fraction) -> None:
        """Put down where an intensity is from, and what a reader would not expect of it."""
        factor = _Factor(
            "intensity", grid.kind, "gCO2e/kWh", grid.source, grid.version, grid.basis, grid.scope
        )
        weighted = pue * sum(lot.weighted.values(), Fraction())
        self._use(factor, uj, uj * pue, weighted, estimated=grid.estimated)
        if grid.kind != place.order[0]:
            self._lack(ANOTHER, place, lot, uj, kind=grid.kind)
        if grid.scope != place.scope:
            self._lack(OTHER_SCOPE, place, lot, uj, scope=grid.scope)

    def _add_grams(self, lot: Lot, pue: Fraction, of_pue: Fraction, of_grid: Fraction) -> None:
        """Add emissions, and their bounds: every factor at its own extreme."""
        widest = max(self.bounds.values(), default=(0.0, 0.0))
        for grade, weighted in lot.weighted.items():
            below, above = (exact(one) for one in self.bounds.get(grade, widest))
            grams = weighted * pue / UJ_PER_KWH
            self.grams += grams
            self.low += grams * (1 - below) * (1 - of_pue) * (1 - of_grid)
            self.high += grams * (1 + above) * (1 + of_pue) * (1 + of_grid)

    def _use(
        self, factor: _Factor, amount: Fraction, weight: Fraction, weighted: Fraction, *,
        estimated: bool = False,
    ) -> None:  # fmt: skip
        use = self._uses[factor]
        use.amount += amount
        use.weight += weight
        use.weighted += weighted
        if estimated:
            use.estimated += amount

    def _lack(self, text: str, place: Place, lot: Lot, uj: Fraction, **words: str) -> None:
        named = place.zone or place.country or ", ".join(place.nodes)
        key = (text, (("place", named), *words.items()))
        self._lacks.setdefault(key, _Lack(lot.began_ns, lot.ended_ns)).add(lot, uj)

    @property
    def covered_share(self) -> float:
        """Share of the energy that is covered; of no energy at all, of the time."""
        if self.uj:
            return _share(self.covered_uj, self.uj)
        return float(self.n_covered == self.n_lots and self.n_lots > 0)

    def provenance(self) -> list[Provenance]:
        """Return where factors are from: what was used the most first."""
        found = [use.provenance(factor, self.uj) for factor, use in self._uses.items()]
        return sorted(found, key=lambda one: (one.factor, -one.share, one.source, one.version))

    def missing(self) -> list[str]:
        """Return what is not known."""
        lacks = sorted(self._lacks.items(), key=lambda item: item[0])
        return [lack.said(text, dict(words), self.uj) for (text, words), lack in lacks]


class Embodied(NamedTuple):
    """Emissions of making hardware; None where a node's type is not known."""

    gco2e: float | None
    provenance: list[Provenance]
    missing: list[str]


def embodied(type_of: Callable[[str], NodeType | None], holds: Iterable[Hold]) -> Embodied:
    """
    Return the share of what making the hardware has emitted, after SCI.

    Parameters
    ----------
    type_of : callable
        Returns what hardware a node is, if that is known.
    holds : iterable of Hold
        The shares of nodes that were held.
    """
    # Integers where nodes were held whole: of very many, they are added up in a tenth of the time.
    held_ns: dict[str, Fraction | int] = defaultdict(int)
    for node, dur_ns, share in holds:
        held_ns[node] += dur_ns if share == 1 else dur_ns * exact(share)
    by_type: dict[NodeType, Fraction | int] = defaultdict(int)
    unknown = []
    for node, node_ns in sorted(held_ns.items()):
        kind = type_of(node)
        if kind is None:
            unknown.append(node)
        else:
            by_type[kind] += node_ns
    whole = Fraction(sum(held_ns.values()))
    provenance = [
        Provenance(
            factor="embodied", kind="configured", value=kind.embodied_kg, unit="kgCO2e",
            source=f"{kind.name}, {kind.lifetime_years:g} years: {kind.source}", version="",
            share=_share(Fraction(node_ns), whole),
        )
        for kind, node_ns in by_type.items()
    ]  # fmt: skip
    if unknown:
        return Embodied(None, provenance, [_untyped(unknown)])
    grams = sum((ns * kind.grams_per_ns() for kind, ns in by_type.items()), Fraction())
    return Embodied(float(grams), provenance, [])


def _untyped(nodes: Sequence[str]) -> str:
    told = ", ".join(nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
    return (
        f"There is no embodied figure: the factor set has no type of node for {told} (node_types)."
    )


def _share(part: Fraction, whole: Fraction) -> float:
    return float(part / whole) if whole else 0.0
