"""The card of a run as lines, as users of `seff` and `jobstats` know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.costs.phrases import (
    GRADES,
    METHODS,
    bar,
    missing_lines,
    provenance_lines,
    uncertainty,
)
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.carbon.model import Carbon
    from cmfd.report.costs.model import Check, Energy, JobCard, Unit

LABEL = 10
"""Width of what stands at the left."""


def card_lines(card: JobCard) -> Iterator[str | Table]:
    """Yield the lines and tables of a card."""
    yield _title(card)
    yield from _labelled("run", [_place(card)])
    yield from _labelled("runtime", [_runtime(card), _use(card)])
    if card.energy is not None:
        yield from _labelled("energy", _energy(card.energy))
    if card.carbon is not None:
        yield from _labelled("carbon", _carbon(card.carbon))
    yield from _labelled("derived", _derived(card))
    if card.check is not None:
        yield from _labelled("check", [_checked(card.check)])
    yield from _labelled("notes", [note.text for note in card.notes])
    yield _nodes(card)


def _checked(check: Check) -> str:
    slurm = units.energy(check.slurm_energy_j)
    difference = f"{check.difference * 100:+.1f} %"
    return f"SLURM's ConsumedEnergy is {slurm} ({difference}). {check.explanation}"


def _labelled(label: str, lines: list[str]) -> Iterator[str]:
    said = [line for line in lines if line]
    for number, line in enumerate(said):
        yield f"{'' if number else label:<{LABEL}}{line}"


def _title(card: JobCard) -> str:
    who = f"user {card.user}" if card.user else ""
    parts = (
        f"Job {card.job}" if card.job else f"Run {card.run[:12]}",
        card.name, who, f"account {card.account}" if card.account else "",
        f"project {card.project}" if card.project else "",
        f"partition {card.partition}" if card.partition else "",
        card.state or card.status,
    )  # fmt: skip
    return "  ".join(part for part in parts if part)


def _place(card: JobCard) -> str:
    nodes = ", ".join(card.nodes[:8]) + (", ..." if len(card.nodes) > 8 else "")
    parts = (
        card.run[:12], ", ".join(card.stages), f"began {units.when(card.began_ns)}",
        f"on {nodes}" if nodes else "", f"restart {card.restart}" if card.restart else "",
    )  # fmt: skip
    return "  ".join(part for part in parts if part)


def _runtime(card: JobCard) -> str:
    limit = f" ({units.share(card.of_limit)} of its limit)" if card.of_limit is not None else ""
    parts = (
        f"queued {_duration(card.queued_s)}" if card.queued_s is not None else "",
        f"wall {_duration(card.wall_s)}{limit}",
        units.count(card.n_cores, "core") if card.n_cores else "",
        units.count(card.n_gpus, "GPU") if card.n_gpus else "",
    )
    return "  ".join(part for part in parts if part)


def _use(card: JobCard) -> str:
    parts = (
        f"CPU {bar(card.cpu_efficiency)}" if card.cpu_efficiency is not None else "",
        f"memory {bar(card.memory_efficiency)} of {units.size(card.memory_bytes)}"
        if card.memory_efficiency is not None
        else "",
        f"imbalance {card.imbalance:.2f}" if card.imbalance else "",
    )
    return "  ".join(part for part in parts if part)


def _duration(seconds: float | None) -> str:
    return units.duration(None if seconds is None else seconds * 1e9)


def _energy(energy: Energy) -> list[str]:
    sources = ", ".join(sorted({name for one in energy.components for name in one.sources}))
    covered = "" if energy.coverage is None else f"  coverage {units.share(energy.coverage)}"
    methods = ", ".join(METHODS.get(name, name) for name in energy.methods_j if name)
    parts = " | ".join(f"{one.component} {units.energy(one.energy_j)}" for one in energy.components)
    return [
        f"{units.energy(energy.energy_j)} {uncertainty(energy)} "
        f"({units.energy(energy.low_j)} to {units.energy(energy.high_j)})  "
        f"grade {energy.grade}, {GRADES[energy.grade]} ({sources}){covered}  {methods}".rstrip(),
        f"{parts}; of which static {units.energy(energy.static_j)}",
    ]


def _carbon(carbon: Carbon) -> list[str]:
    factors = ""
    if carbon.intensity_gco2e_per_kwh is not None:
        pue = "" if carbon.pue is None else f", PUE {carbon.pue:.3g}"
        factors = f" (at {carbon.intensity_gco2e_per_kwh:.3g} g/kWh{pue})"
    figures = [f"operational {units.mass(carbon.operational_gco2e)}{factors}"]
    if carbon.embodied_gco2e is not None:
        figures.append(f"embodied {units.mass(carbon.embodied_gco2e)}")
    line = " + ".join(figures)
    if carbon.market_gco2e is not None:
        line += f"; market-based {units.mass(carbon.market_gco2e)}"
    known = [line] if carbon.operational_gco2e is not None or len(figures) > 1 else []
    return [*known, *provenance_lines(carbon), *missing_lines(carbon)]


def _scores(unit: Unit) -> list[str]:
    scores = {"step": unit.sci_gco2e_per_step, "sample": unit.sci_gco2e_per_sample}
    return [
        f"SCI {score:.3g} gCO2e per {what}" for what, score in scores.items() if score is not None
    ]


def _derived(card: JobCard) -> list[str]:
    figures = []
    if card.average_w is not None:
        figures.append(f"{units.power(card.average_w)} on average")
    if card.gco2e_per_core_h is not None:
        figures.append(f"{units.mass(card.gco2e_per_core_h)} per core hour")
    lines = [", ".join(figures)]
    for one in card.units:
        parts = [units.energy(one.energy_j)]
        parts += [f"{one.j_per_step:.3g} J per step"] if one.j_per_step is not None else []
        parts += [f"{one.j_per_sample:.3g} J per sample"] if one.j_per_sample is not None else []
        parts += _scores(one)
        lines.append(f"{one.stage}: {', '.join(parts)}")
    return lines


def _nodes(card: JobCard) -> Table:
    figures = ("memory", "GPUs", "energy", "coverage")
    columns = (
        Column("node"), Column("ranks", right=True), Column("CPU"),
        *(Column(figure, right=True) for figure in figures),
    )  # fmt: skip
    rows = [
        (
            one.node, str(one.n_ranks), bar(one.cpu_efficiency), units.size(one.max_rss_bytes),
            str(one.n_gpus or units.NOTHING), units.energy(one.energy_j),
            units.share(one.coverage),
        )
        for one in card.uses
    ]  # fmt: skip
    return Table(columns, rows, "nodes")
