"""`cmfd report waste`: what came to nothing, and what was held and not used."""

from __future__ import annotations

from typing import Any

import click

from cmfd.cli.help import example
from cmfd.cli.report.options import asking, report
from cmfd.query.jobs import GROUPS


@example(
    "cmfd report waste --days 30",
    "cmfd report waste --by run --user ada",
)
@click.command("waste")
@asking(tuple(GROUPS), "user")
def command(**given: Any) -> None:
    """
    Report which core time of jobs came to nothing, and what was held and not used.

    Core time is elapsed time times cores allotted. What failed, was cancelled, ran into its time
    limit or out of memory, or began anew after it was preempted or requeued, came to nothing. Of
    jobs that completed, idle is core time that no process used, and memory is unused that was asked
    for. Known of SLURM's jobs to which `cmfd slurm enrich` has joined what accounting knows.

    Of a time (--since, --until, --days), and of each month with --by month, jobs that ended in it.
    """
    report("waste", **given)
