"""`cmfd report`: what runs took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query import jobs, runs
from cmfd.query.index import open_index
from cmfd.query.runtime import GROUPS, runtimes
from cmfd.report.runtime import runtime_tables, waste_table

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd report runtime --by user --days 30")
@click.group("report")
def command() -> None:
    """Report on runs."""


@example(
    "cmfd report runtime last",
    "cmfd report runtime --by stage --days 30 --json",
)
@command.command("runtime")
@click.argument("run", required=False)
@click.option(
    "--by", type=click.Choice(list(GROUPS)), default="run", show_default=True, help="One line each."
)
@click.option("--user", metavar="U", help="Only this user's runs.")
@click.option("--days", type=options.DAYS, metavar="N", help="Only runs of the last N days.")
@click.option(
    "-n",
    "--limit",
    type=options.LIMIT,
    help="At most so many runs, the latest; default: 20 by run, else all.",
)
@options.site
@options.as_json
def runtime(  # noqa: PLR0913 - options
    *,
    site: Path,
    run: str | None,
    by: str,
    user: str | None,
    days: float | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """
    Report wall time, CPU time, efficiency, rank imbalance and stragglers.

    Efficiency is CPU time over wall time times the cores allotted (without a batch system: times
    ranks). Imbalance is the busiest rank's CPU time over the mean; ranks that poll while they
    wait, as most MPI libraries do, look busy.

    Of jobs of SLURM, once `cmfd slurm enrich` has joined what accounting knows: how long they were
    queued, elapsed time against limit, and efficiency of cores and memory, as `seff` reckons it.
    """
    if limit is None:
        limit = 20 if by == "run" else runs.EVERY
    with open_index(site) as db:
        found = runtimes(
            db,
            by,
            run_id=runs.find(db, run) if run else None,
            user=user,
            since_ns=options.since_ns(days),
            limit=limit,
        )
    if as_json:
        print_json(found)
    else:
        print_tables(runtime_tables(GROUPS[by], found))


@example(
    "cmfd report waste --days 30",
    "cmfd report waste --by run --user ada",
)
@command.command("waste")
@click.option(
    "--by",
    type=click.Choice(list(jobs.GROUPS)),
    default="user",
    show_default=True,
    help="One line each.",
)
@click.option("--user", metavar="U", help="Only this user's jobs.")
@click.option("--days", type=options.DAYS, metavar="N", help="Only jobs of the last N days.")
@options.site
@options.as_json
def waste(*, site: Path, by: str, user: str | None, days: float | None, as_json: bool) -> None:
    """
    Report which core time of jobs came to nothing, and what was held and not used.

    Core time is elapsed time times cores allotted. What failed, was cancelled, ran into its time
    limit or out of memory, or began anew after it was preempted or requeued, came to nothing. Of
    jobs that completed, idle is core time that no process used, and memory is unused that was asked
    for. Known of SLURM's jobs to which `cmfd slurm enrich` has joined what accounting knows.
    """
    with open_index(site) as db:
        found = jobs.wastes(db, by, user=user, since_ns=options.since_ns(days))
    if as_json:
        print_json(found)
    elif found:
        print_tables([waste_table(jobs.GROUPS[by], found)])
    else:
        click.echo(f"Nothing is known of jobs at {site} (cmfd slurm enrich).", err=True)
