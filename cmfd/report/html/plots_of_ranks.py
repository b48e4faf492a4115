"""Plots of how a job used its nodes, and of its ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.html import svg
from cmfd.report.html.plots import NARROW, WIDE, Plot, label, span
from cmfd.report.html.svg import HATCHES, Size, drawing, plain, written
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.report.costs.model import NodeUse, RankLoad

_BARS_MOST = 40


def uses_plot(uses: Sequence[NodeUse], name: str) -> Plot | None:
    """
    Draw how well a run used processors and memory of each of its nodes.

    Parameters
    ----------
    uses : sequence of NodeUse
        Of many, the least used are drawn; the table has all.
    name : str
        As for `power_plot`.
    """
    known = [one for one in uses if one.cpu_efficiency is not None]
    if not known:
        return None
    table = Table(
        [Column("node"), Column("ranks", right=True), Column("CPU", right=True),
         Column("memory", right=True), Column("GPUs", right=True), Column("energy", right=True),
         Column("coverage", right=True)],
        [
            (
                one.node, str(one.n_ranks), units.share(one.cpu_efficiency),
                units.share(one.memory_efficiency), str(one.n_gpus or units.NOTHING),
                units.energy(one.energy_j), units.share(one.coverage),
            )
            for one in uses
        ],
    )  # fmt: skip
    drawn = sorted(known, key=lambda one: (one.cpu_efficiency or 0, one.node))[:_BARS_MOST]
    worst = drawn[0]
    alt = (
        f"Efficiency of {units.count(len(known), 'node')}: processors of {worst.node} were used "
        f"least, {units.share(worst.cpu_efficiency)} of their time."
    )
    with drawing(Size(NARROW, 72 + 34 * len(drawn))) as figure:
        axes = figure.subplots()
        plain(axes, grid="x")
        for at, one in enumerate(drawn):
            axes.barh(
                at - 0.19, (one.cpu_efficiency or 0) * 100, 0.34, color=svg.CPU,
                label="CPU" if not at else None,
            )  # fmt: skip
            axes.barh(
                at + 0.19, (one.memory_efficiency or 0) * 100, 0.34, facecolor=svg.DRAM,
                hatch=HATCHES["dram"], edgecolor=svg.SURFACE, linewidth=0,
                label="memory" if not at else None,
            )  # fmt: skip
        axes.set_yticks(range(len(drawn)), [label(one.node) for one in drawn])
        axes.invert_yaxis()
        axes.set_xlim(0, max(100, *((one.cpu_efficiency or 0) * 100 for one in drawn)))
        axes.set_xlabel("% of what was allotted")
        figure.legend(loc="outside upper left", ncols=2)
        text = written(figure, name, alt)
    note = "" if len(drawn) == len(known) else f"The {len(drawn)} that were used least."
    return Plot(name, "Efficiency by node", text, alt, table, note=note)


def ranks_plot(ranks: Sequence[RankLoad], name: str) -> Plot | None:
    """
    Draw when each rank was there, and how much of that it was busy.

    Parameters
    ----------
    ranks : sequence of RankLoad
        Of many, the busiest and the least busy are drawn; the table has at most as many.
    name : str
        As for `power_plot`.
    """
    if not ranks:
        return None
    drawn = _outermost(ranks)
    began = min(one.began_ns for one in ranks)
    mean = sum(one.busy_s for one in ranks) / len(ranks)
    busiest = max(ranks, key=lambda one: one.busy_s)
    alt = (
        f"Timeline of {units.count(len(ranks), 'rank')}: busy for {span(mean)} on average; rank "
        f"{busiest.rank} of {busiest.stage} on {busiest.host} longest, {span(busiest.busy_s)}."
    )
    with drawing(Size(WIDE, 74 + 17 * len(drawn))) as figure:
        axes = figure.subplots()
        plain(axes, grid="x")
        for at, one in enumerate(drawn):
            start, wall = (one.began_ns - began) / 1e9, (one.ended_ns - one.began_ns) / 1e9
            axes.barh(
                at, wall, 0.74, left=start, facecolor=svg.GRID, linewidth=0,
                label="there" if not at else None,
            )  # fmt: skip
            axes.barh(
                at, min(one.busy_s, wall), 0.44, left=start, facecolor=svg.CPU, linewidth=0,
                label="busy (processor time)" if not at else None,
            )  # fmt: skip
        axes.set_yticks(range(len(drawn)), [f"{one.rank} · {label(one.host)}" for one in drawn])
        axes.invert_yaxis()
        axes.set_xlabel("seconds since the first began")
        figure.legend(loc="outside upper left", ncols=2)
        text = written(figure, name, alt)
    note = "" if len(drawn) == len(ranks) else f"{len(drawn)} of {len(ranks)} ranks: the extremes."
    return Plot(name, "Ranks", text, alt, _ranks_table(drawn, mean), wide=True, note=note)


def _outermost(ranks: Sequence[RankLoad]) -> list[RankLoad]:
    """Return the ranks, of many the busiest and the least busy, in their order."""
    if len(ranks) > _BARS_MOST:
        by_load = sorted(ranks, key=lambda one: one.busy_s)
        ranks = [*by_load[: _BARS_MOST // 2], *by_load[-_BARS_MOST // 2 :]]
    return sorted(ranks, key=lambda one: (one.began_ns, one.stage, one.execution, one.rank))


def _ranks_table(ranks: Sequence[RankLoad], mean_s: float) -> Table:
    figures = ("there", "busy", "over mean", "energy (derived)")
    return Table(
        [Column("stage"), Column("rank", right=True), Column("host"),
         *(Column(one, right=True) for one in figures)],
        [
            (
                one.stage, str(one.rank), one.host, units.duration(one.ended_ns - one.began_ns),
                units.duration(one.busy_s * 1e9),
                f"{one.busy_s / mean_s:.2f}" if mean_s else units.NOTHING,
                units.energy(one.energy_j),
            )
            for one in ranks
        ],
    )  # fmt: skip
