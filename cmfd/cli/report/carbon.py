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
    "cmfd report carbon --artifact model.pt --ancestry --amortise",
)
@click.command("carbon")
@click.option(
    "--factors", metavar="ID", help="Reckon with this factor set; default: the one in use."
)
@click.option(
    "--amortise", is_flag=True, help="With --ancestry: also what the artifact bears of it."
)
@click.option(
    "--ancestry", is_flag=True, help="With --artifact: what it cost with all that led to it."
)
@asking(tuple(NAMES), "user")
def command(*, ancestry: bool, amortise: bool, **given: Any) -> None:
    """
    Report the emissions of runs: of their energy, and their share of the hardware's.

    What the energy means follows from the site's factor set (`cmfd carbon factors`): where the
    nodes are, how carbon-intensive the grid was at the time, and what cooling adds. Nothing is
    guessed: what no source knows is missing, and the report says so. Any period can be reckoned
    again with any factor set.

    Of a time (--since, --until, --days), and of each month with --by month, what was used in it: of
    a run that goes over the border, each part, as in `cmfd report energy`.

    With --ancestry, what an artifact cost with everything that led to it: each execution counted
    once, however many paths lead there; trials that failed and variants that nothing used stand
    apart. Amortised, each execution is shared by the final artifacts of the same kind that it led
    to.
    """
    if ancestry or amortise:
        from cmfd.cli.report.ancestry import report_ancestry  # noqa: PLC0415 - only where asked

        report_ancestry(amortise=amortise, **given)
    else:
        report("carbon", **given)
