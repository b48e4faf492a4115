"""A plot of what each stage of an ancestry took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.html import svg
from cmfd.report.html.plots import NARROW, Plot, energy_scale, label
from cmfd.report.html.svg import Size, drawing, plain, written
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.report.costs.lineage import StageBill

_MOST = 20


def stages_plot(stages: Sequence[StageBill], name: str) -> Plot | None:
    """
    Draw the energy of each stage.

    Parameters
    ----------
    stages : sequence of StageBill
        Of many, those that took most are drawn.
    name : str
        Begins the ids in the drawing; no other of the page has it.
    """
    known = [
        (f"{one.pipeline}.{one.stage}", one.bill.energy.energy_j)
        for one in stages
        if one.bill.energy is not None
    ]
    if not known:
        return None
    drawn = sorted(known, key=lambda one: -one[1])[:_MOST]
    most = drawn[0]
    alt = (
        f"Energy of {units.count(len(known), 'stage')} of the ancestry: "
        f"{printable(most[0])} took most, {units.energy(most[1])}."
    )
    per, unit = energy_scale(most[1])
    with drawing(Size(NARROW, 60 + 34 * len(drawn))) as figure:
        axes = figure.subplots()
        plain(axes, grid="x")
        axes.barh(
            range(len(drawn)), [one[1] / per for one in drawn], height=0.62, facecolor=svg.ACCENT
        )
        axes.set_yticks(range(len(drawn)), [label(one[0]) for one in drawn])
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        text = written(figure, name, alt)
    table = Table(
        [Column("stage"), Column("energy", right=True)],
        [(stage, units.energy(energy_j)) for stage, energy_j in drawn],
    )
    note = "" if len(drawn) == len(known) else f"The {len(drawn)} that took most."
    return Plot(name, "Energy by stage", text, alt, table, note=note)
