"""Key figures, and where the factors behind them are from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.html.page import Tile
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from cmfd.carbon.model import Carbon
    from cmfd.report.costs.model import Energy, Group


def totals(group: Group | None) -> list[Tile]:
    """Return the key figures of runs put together."""
    if group is None:
        return []
    return [
        *energy_tiles(group.energy),
        *carbon_tiles(group.carbon),
        Tile("Wall time", units.duration(group.wall_s * 1e9), _core_time(group)),
        Tile(
            "Runs", f"{group.n_runs:,}",
            [", ".join(f"{count} {state}" for state, count in group.states.items())],
        ),
    ]  # fmt: skip


def _core_time(group: Group) -> list[str]:
    return [f"{core_time(group.core_s)} core time"] if group.core_s else []


def core_time(seconds: float | None) -> str:
    """Return a time on cores; nothing where nobody knows how many cores there were."""
    return units.duration(seconds * 1e9) if seconds else units.NOTHING


def energy_tiles(energy: Energy | None) -> list[Tile]:
    """Return energy with its bounds and how it is known."""
    if energy is None:
        return [Tile("Energy", "not known", ["no readings"])]
    coverage = "" if energy.coverage is None else f", coverage {units.share(energy.coverage)}"
    return [
        Tile(
            "Energy", units.energy(energy.energy_j),
            [
                f"{units.energy(energy.low_j)} to {units.energy(energy.high_j)}",
                f"grade {energy.grade}{coverage}",
            ],
        )
    ]  # fmt: skip


def carbon_tiles(carbon: Carbon | None) -> list[Tile]:
    """Return emissions: operational, and embodied where it is known."""
    if carbon is None:
        return []
    more = []
    if carbon.low_gco2e is not None:
        more.append(f"{units.mass(carbon.low_gco2e)} to {units.mass(carbon.high_gco2e)}")
    if carbon.embodied_gco2e is not None:
        more.append(f"+ {units.mass(carbon.embodied_gco2e)} embodied")
    if carbon.market_gco2e is not None:
        more.append(f"{units.mass(carbon.market_gco2e)} market-based")
    known = carbon.operational_gco2e is not None
    figure = units.mass(carbon.operational_gco2e) if known else "not known"
    return [Tile("CO₂e, operational", figure, more or carbon.missing[:1])]


def factors_table(carbon: Carbon | None) -> Table:
    """Return what went into emissions, and who says so."""
    rows = [
        (
            f"{one.factor} ({one.kind})", f"{one.value:.4g} {one.unit if one.unit != '1' else ''}",
            " ".join(filter(None, (one.basis, one.scope))), units.share(one.share), one.source,
            one.version[:12],
        )
        for one in (carbon.provenance if carbon else ())
    ]  # fmt: skip
    return Table(
        [Column("factor"), Column("value", right=True), Column("of"), Column("share", right=True),
         Column("from"), Column("version")],
        rows, "Factors" if rows else "",
    )  # fmt: skip


def missing_table(carbon: Carbon | None) -> Table:
    """Return what is not known of emissions, and what to do about it."""
    rows = [(one,) for one in (carbon.missing if carbon else ())]
    return Table([Column("what, and what to do")], rows, "Not known of emissions")
