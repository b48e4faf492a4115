"""What an artifact cost with its ancestry, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.costs.lineage_text import lineage_pages, lineage_problems
from cmfd.report.costs.model import Note
from cmfd.report.html.figures import carbon_tiles, energy_tiles, factors_table, missing_table
from cmfd.report.html.page import Page, Part, Tile, to_html
from cmfd.report.html.plots import components_plot
from cmfd.report.html.plots_of_stages import stages_plot
from cmfd.report.html.report_page import GRADES
from cmfd.report.text import Table

if TYPE_CHECKING:
    from cmfd.report.costs.lineage import Bill, LineageCost


def render_lineage(found: LineageCost) -> str:
    """
    Return what an artifact cost with its ancestry as one self-contained HTML file.

    Raises
    ------
    ConfigError
        Matplotlib or Jinja is not installed: the extra ``report``.
    """
    bill, artifact = found.ancestry, found.artifact
    tables = [part for part in lineage_pages(found) if isinstance(part, Table)]
    plots = [
        stages_plot(found.stages, "stages"),
        components_plot(bill.energy.components, "components") if bill.energy else None,
    ]
    parts = [
        Part(
            title="The bill", lead=_lead(found), tables=tables[:1],
            plots=[plot for plot in plots if plot is not None],
        ),
        Part(title="By stage", tables=[tables[1]._replace(title="")]),
        Part(title=tables[2].title.capitalize(), tables=[tables[2]._replace(title="")]),
        Part(
            title="Where factors are from",
            tables=[factors_table(bill.carbon), missing_table(bill.carbon)],
        ),
    ]  # fmt: skip
    return to_html(
        Page(
            title=f"What {artifact.path or artifact.digest} cost",
            lines=[f"{artifact.kind} {artifact.digest}, with everything that led to it"],
            tiles=[
                *energy_tiles(bill.energy),
                *carbon_tiles(bill.carbon),
                _time(bill),
                _tried(found),
            ],
            notes=[Note(kind="not all", text=line) for line in lineage_problems(found)],
            parts=[part for part in parts if part],
            footer=[GRADES, f"From site {found.site}."],
        )
    )


def _lead(found: LineageCost) -> str:
    text = "Each execution counts once, however many paths lead to it."
    if found.amortised is None:
        return text
    energy = found.amortised.bill.energy
    borne = units.energy(energy.energy_j if energy else None)
    return (
        f"{text} Of it the artifact bears {borne}: each execution is shared by "
        f"the final {found.amortised.kind} artifacts that it led to."
    )


def _time(bill: Bill) -> Tile:
    return Tile(
        "Core time", units.duration(bill.core_s * 1e9),
        [units.count(bill.n_executions, "execution"), f"{units.duration(bill.wall_s * 1e9)} wall"],
    )  # fmt: skip


def _tried(found: LineageCost) -> Tile:
    """Show what was tried beside it."""
    failed, unused = found.failed.energy, found.unused.energy
    known = sum(one.energy_j for one in (failed, unused) if one is not None)
    return Tile(
        "Beside it", units.energy(known if failed or unused else None),
        [f"{found.failed.n_executions} failed, {found.unused.n_executions} unused"],
    )  # fmt: skip
