"""`cmfd report carbon`: the emissions that runs are accountable for."""

from __future__ import annotations

from typing import Any

import click

from cmfd.cli.help import example
from cmfd.cli.report.options import asking, report
from cmfd.report.costs.groups import NAMES


@example(
    "cmfd report carbon last",
    "cmfd report carbon --by month --factors 3f9a",
)
@click.command("carbon")
@click.option(
    "--factors", metavar="ID", help="Reckon with this factor set; default: the one in use."
)
@asking(tuple(NAMES), "user")
def command(**given: Any) -> None:
    """
    Report the emissions of runs: of their energy, and their share of the hardware's.

    What the energy means follows from the site's factor set (`cmfd carbon factors`): where the
    nodes are, how carbon-intensive the grid was at the time, and what cooling adds. Nothing is
    guessed: what no source knows is missing, and the report says so. Any period can be reckoned
    again with any factor set.
    """
    report("carbon", **given)
