"""`cmfd report runtime`: what runs took."""

from __future__ import annotations

from typing import Any

import click

from cmfd.cli.help import example
from cmfd.cli.report.options import asking, report
from cmfd.query.runtime import GROUPS


@example(
    "cmfd report runtime last",
    "cmfd report runtime --by stage --days 30 --json",
)
@click.command("runtime")
@asking(tuple(GROUPS), "run")
def command(**given: Any) -> None:
    """
    Report wall time, CPU time, efficiency, rank imbalance and stragglers.

    Efficiency is CPU time over wall time times the cores allotted (without a batch system: times
    ranks). Imbalance is the busiest rank's CPU time over the mean; ranks that poll while they
    wait, as most MPI libraries do, look busy.

    Of jobs of SLURM, once `cmfd slurm enrich` has joined what accounting knows: how long they were
    queued, elapsed time against limit, and efficiency of cores and memory, as `seff` reckons it.

    Of a time (--since, --until, --days), and of each month with --by month, runs that ended in it,
    or were last heard of: CPU time is known of whole runs only, so each counts once, whole.
    """
    report("runtime", **given)
