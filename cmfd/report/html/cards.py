"""The card of a job on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.html.figures import carbon_tiles, energy_tiles, factors_table, missing_table
from cmfd.report.html.page import Part, Tile
from cmfd.report.html.plots import components_plot, power_plot
from cmfd.report.html.plots_of_ranks import ranks_plot, uses_plot
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from cmfd.report.costs.model import JobCard

MOST_DRAWN = 10
"""Cards with drawings; of more, the others have their figures only."""


def card(one: JobCard, number: int) -> Part:
    """
    Show one start of a job.

    Parameters
    ----------
    one : JobCard
        What is not known of it is left out.
    number : int
        Its place on the page, from 0: its drawings are named by it.
    """
    plots = []
    if number < MOST_DRAWN:
        plots = [
            power_plot(one.power, f"card-{number}-power") if one.power else None,
            components_plot(one.energy.components, f"card-{number}-components")
            if one.energy
            else None,
            uses_plot(one.uses, f"card-{number}-nodes"),
            ranks_plot(one.ranks, f"card-{number}-ranks"),
        ]
    return Part(
        title=" ".join(
            filter(None, (f"Job {one.job}" if one.job else f"Run {one.run[:12]}", one.name))
        ),
        is_card=True,
        chips=_chips(one),
        tiles=[_runtime(one), *energy_tiles(one.energy), *carbon_tiles(one.carbon), *_used(one)],
        notes=one.notes,
        plots=[plot for plot in plots if plot is not None],
        tables=[_facts(one), _units(one), factors_table(one.carbon), missing_table(one.carbon)],
    )


def _chips(one: JobCard) -> list[str]:
    state = one.state or one.status
    named = {"user": one.user, "account": one.account, "project": one.project,
             "partition": one.partition, "cluster": one.cluster}  # fmt: skip
    chips = [state, *(f"{key} {value}" for key, value in named.items() if value), *one.stages]
    return [*chips, f"restart {one.restart}"] if one.restart else chips


def _seconds(seconds: float | None) -> str:
    return units.duration(None if seconds is None else seconds * 1e9)


def _runtime(one: JobCard) -> Tile:
    more = []
    if one.of_limit is not None:
        more.append(f"{units.share(one.of_limit)} of its limit")
    if one.queued_s is not None:
        more.append(f"queued {_seconds(one.queued_s)}")
    return Tile("Wall time", _seconds(one.wall_s), more)


def _used(one: JobCard) -> list[Tile]:
    more = []
    if one.memory_efficiency is not None:
        more.append(f"memory {units.share(one.memory_efficiency)}")
    if one.imbalance:
        more.append(f"busiest rank {one.imbalance:.2f} times the mean")
    if one.cpu_efficiency is None and one.memory_efficiency is None:
        return []
    return [Tile("Efficiency, CPU", units.share(one.cpu_efficiency), more)]


def _facts(one: JobCard) -> Table:
    check = one.check
    rows = {
        "run": one.run,
        "began": units.when(one.began_ns),
        "ended": units.when(one.ended_ns),
        "nodes": ", ".join(one.nodes),
        "cores": "" if one.n_cores is None else str(one.n_cores),
        "GPUs": str(one.n_gpus) if one.n_gpus else "",
        "memory asked for": units.size(one.memory_bytes),
        "average power": units.power(one.average_w),
        "CO₂e per core-hour": units.mass(one.gco2e_per_core_h),
        "attributed": ", ".join(
            f"{method} {units.energy(energy_j)}"
            for method, energy_j in (one.energy.methods_j if one.energy else {}).items()
        ),
        "SLURM's ConsumedEnergy": ""
        if check is None
        else f"{units.energy(check.slurm_energy_j)} ({check.difference * 100:+.1f} %) "
        f"{check.explanation}".strip(),
    }
    known = [(name, text) for name, text in rows.items() if text not in ("", units.NOTHING)]
    return Table([Column("what"), Column("value")], known, "Facts")


def _units(one: JobCard) -> Table:
    figures = ("energy", "steps", "J per step", "samples", "J per sample", "gCO2e per sample (SCI)")
    return Table(
        [Column("stage"), *(Column(name, right=True) for name in figures)],
        [
            (
                each.stage, units.energy(each.energy_j), units.number(each.n_steps),
                units.number(each.j_per_step), units.number(each.n_samples),
                units.number(each.j_per_sample), units.number(each.sci_gco2e_per_sample),
            )
            for each in one.units
        ],
        "Energy of its work (derived)",
    )  # fmt: skip
