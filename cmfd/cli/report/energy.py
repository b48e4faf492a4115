"""`cmfd report energy`: the energy that runs took."""

from __future__ import annotations

from typing import Any

import click

from cmfd.cli.help import example
from cmfd.cli.report.options import asking, report
from cmfd.report.costs.groups import NAMES


@example(
    "cmfd report energy last",
    "cmfd report energy --by account --since 2026-11-01 --format csv",
)
@click.command("energy")
@asking(tuple(NAMES), "user")
def command(**given: Any) -> None:
    """
    Report the energy that runs took, and how well it is known.

    Of a run or job: its card, with what it held and how well it used it. Else runs put together,
    with what came to nothing, and what nodes took that no run was given. Each figure has a grade,
    from A (the node's own meter) to E (a constant), and the uncertainty that follows from it.

    Of a time (--since, --until, --days), and of each month with --by month, what was used in it: of
    a run that goes over the border, each part. Rows of energy are of a minute, mostly; one over the
    border is divided by time. So times that adjoin add up to the whole, to the microjoule. Nodes
    are compared with their counters by whole days (UTC).
    """
    report("energy", **given)
