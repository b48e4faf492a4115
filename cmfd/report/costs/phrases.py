"""How well a figure is known, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.carbon.model import Carbon, Provenance
    from cmfd.report.costs.model import Energy

GRADES = {
    "A": "the node's own meter", "B": "counters of components", "C": "power, added up",
    "D": "a model of load", "E": "a constant or a guess", "M": "missing",
}  # fmt: skip

METHODS = {
    "exclusive": "nobody else there", "shared_static_dynamic": "shared by allocation and use",
    "alloc_only": "shared by allocation", "rank_pids": "shared by CPU time of processes",
}  # fmt: skip
"""How energy was divided between those who were on a node."""

FULL = 12
"""Width of a bar."""


def uncertainty(energy: Energy | None) -> str:
    """Return how far a figure may be off, as ``±5 %`` or ``-50/+100 %``."""
    if energy is None or not energy.energy_j:
        return units.NOTHING
    less = round((1 - energy.low_j / energy.energy_j) * 100)
    more = round((energy.high_j / energy.energy_j - 1) * 100)
    return f"±{more} %" if less == more else f"-{less}/+{more} %"


def grades_of(energy: Energy) -> str:
    """Return how much of it is of which grade, as ``A 80 %, D 20 %``."""
    whole = sum(energy.grades_j.values())
    if not whole:
        return energy.grade
    return ", ".join(
        f"{grade} {part / whole * 100:.0f} %" for grade, part in energy.grades_j.items()
    )


def bar(share: float | None) -> str:
    """Return a share as a bar with the figure beside it."""
    if share is None:
        return units.NOTHING
    n_full = min(max(round(share * FULL), 0), FULL)
    return f"[{'|' * n_full}{' ' * (FULL - n_full)}] {share * 100:3.0f} %"


def provenance_lines(carbon: Carbon) -> Iterator[str]:
    """Yield where the factors of emissions are from, one a line."""
    name = carbon.factor_set_name or "without a name"
    if carbon.factor_set_id:
        yield f"factor set {name} ({carbon.factor_set_id[:12]})"
    for one in carbon.provenance:
        yield f"  {_factor(one)}"


def _factor(one: Provenance) -> str:
    figure = f"{one.value:.3g}" if abs(one.value) < 1000 else f"{one.value:,.0f}"
    value = figure if one.unit == "1" else f"{figure} {one.unit}"
    part = "" if one.share >= 1 else f", for {units.share(one.share)} of it"
    kind = "" if one.kind == "configured" else f", {one.kind}"
    estimated = f", {units.share(one.estimated_share)} estimated" if one.estimated_share else ""
    version = f" ({one.version[:12]})" if one.version else ""
    return f"{one.factor} {value}: {one.source}{version}{kind}{part}{estimated}"


def missing_lines(carbon: Carbon) -> Iterator[str]:
    """Yield what is not known of emissions."""
    if 0 < carbon.covered_share < 1:
        yield f"Emissions are of {units.share(carbon.covered_share)} of the energy."
    yield from carbon.missing
