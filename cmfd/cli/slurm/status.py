"""`cmfd slurm status`: how far the records of jobs have come."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.errors import IncompleteError, NotFoundError, SlurmError
from cmfd.merge import inbox
from cmfd.merge.enrich import runs_of_job
from cmfd.merge.layout import open_site
from cmfd.query import runs
from cmfd.query.delivery import nodes_of_run
from cmfd.query.index import open_index
from cmfd.report import units
from cmfd.report.text import Column, Table, printable
from cmfd.slurm.hostlist import compress
from cmfd.slurm.queue import Queued, job_of_id, jobs_of_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cmfd.query.results import Run

_RECENT = 20
"""How many runs are looked at without a job's id."""


class JobStatus(msgspec.Struct, kw_only=True):
    """How far what is known of one start of a job has come."""

    job: str
    restart: int = 0
    queue_state: str = ""
    """In SLURM's queue; empty where it is no longer there, or SLURM does not answer."""
    node_list: str = ""
    """The nodes that SLURM gave it, while it runs."""
    run: str = ""
    """Empty: nothing of it is in the site."""
    status: str = ""
    n_executions: int = 0
    n_ranks: int = 0
    delivered_nodes: list[str] = []
    missing_nodes: list[str] = []
    waiting_packs: int = 0
    """Those in the site's inbox that nobody has merged yet."""


@example(
    "cmfd slurm status",
    "cmfd slurm status 4711",
)
@click.command("status")
@click.argument("job", required=False)
@options.site
@options.as_json
def command(*, site: Path, job: str | None, as_json: bool) -> None:
    """
    Show what is recorded of your jobs, what is not merged yet, and which nodes have not delivered.

    Without JOB: your jobs in SLURM's queue, and your latest runs of jobs. A node that has not
    delivered when its job is over still has its part: `cmfd slurm merge-after JOB` fetches it.
    Where SLURM does not answer, what is recorded is shown all the same, and the exit code is 12.
    """
    queued, problem = _queued(job)
    found = _of_site(site, job)
    n_other = _add_waiting(found, site, job)
    _add_queued(found, queued)
    if job and not (found or problem):
        raise NotFoundError(f"neither SLURM's queue nor {site} has a job {job}.")
    if as_json:
        print_json({"site": str(site), "slurm": problem, "jobs": found, "other_packs": n_other})
    else:
        _print(found, n_other, site)
    if problem:
        nothing = f"has no job {job}" if job else "has none of your jobs"
        has = "has what is shown" if found else nothing
        raise IncompleteError(
            f"SLURM's queue could not be asked, so jobs that wait or run may be missing here: "
            f"{printable(problem).rstrip('.')}. What is recorded was read: {site} {has}."
        )
    if not (found or as_json):
        click.echo("No jobs.", err=True)


def _print(found: Sequence[JobStatus], n_other: int, site: Path) -> None:
    if found:
        print_tables([_table(found)])
    n_waiting = sum(one.waiting_packs for one in found) + n_other
    if n_waiting:
        click.echo(f"{units.count(n_waiting, 'pack')} at {site} to be merged: cmfd merge")


def _queued(job: str | None) -> tuple[list[Queued], str]:
    """Return jobs of SLURM's queue; without SLURM, why there are none."""
    try:
        return (job_of_id(job) if job else jobs_of_user()), ""
    except SlurmError as error:
        return [], str(error)


def _of_site(site: Path, job: str | None) -> list[JobStatus]:
    """Return what a site has; one that nothing was merged into yet has nothing."""
    try:
        with open_index(site) as db:
            if job:
                ids = [runs.find(db, run.hex()) for run in runs_of_job(site, job)]
                chosen = [runs.run_of(db, run_id) for run_id in ids]
            else:
                own = (run for run in runs.recent(db, limit=10 * _RECENT) if run.job)
                chosen = [run for run in own if run.uid == os.getuid()][:_RECENT]
            return [_status(run, nodes_of_run(db, bytes.fromhex(run.run))) for run in chosen]
    except NotFoundError:
        return []


def _status(run: Run, nodes: Any) -> JobStatus:
    return JobStatus(
        job=run.job, restart=run.restart, run=run.run, status=run.status,
        n_executions=run.n_executions, n_ranks=run.n_ranks,
        delivered_nodes=nodes.delivered if nodes else [],
        missing_nodes=nodes.missing if nodes else [],
    )  # fmt: skip


def _add_waiting(found: list[JobStatus], site: Path, job: str | None) -> int:
    """Add what the packs in the inbox are of; return how many are of none of these jobs."""
    try:
        waiting = inbox.waiting(open_site(site))
    except NotFoundError:
        return 0
    by_run = {one.run: one for one in found}
    n_other = 0
    for pack in waiting:
        said = inbox.named_by(pack)
        if said is None or not (said.run.hex() in by_run or _is_meant(said, job)):
            n_other += 1
            continue
        if said.run.hex() not in by_run:
            one = JobStatus(job=said.job, restart=said.restart, run=said.run.hex())
            by_run[one.run] = one
            found.append(one)
        by_run[said.run.hex()].waiting_packs += 1
    return n_other


def _is_meant(said: inbox.Named, job: str | None) -> bool:
    if job:
        return said.job == job or said.job.startswith(f"{job}_")
    return bool(said.job) and said.uid == os.getuid()


def _add_queued(found: list[JobStatus], queued: Iterable[Queued]) -> None:
    """Add what SLURM's queue says to the latest start of each job."""
    for one in queued:
        starts = [status for status in found if status.job in (one.job, one.id)]
        if not starts:
            starts = [JobStatus(job=one.job)]
            found.insert(0, starts[0])
        last = max(starts, key=lambda status: status.restart)
        last.queue_state, last.node_list = one.state, one.node_list


def _table(found: Sequence[JobStatus]) -> Table:
    columns = (
        Column("job"), Column("queue"), Column("run"), Column("status"),
        Column("executions", right=True), Column("ranks", right=True),
        Column("nodes delivered", right=True), Column("not delivered"),
        Column("packs to merge", right=True),
    )  # fmt: skip
    short = units.short_ids([one.run for one in found if one.run])
    return Table(columns, [_cells(one, short.get(one.run, "-")) for one in found])


def _cells(one: JobStatus, short: str) -> tuple[str, ...]:
    restart = f" restart {one.restart}" if one.restart else ""
    n_nodes = len(one.delivered_nodes) + len(one.missing_nodes)
    return (
        one.job + restart, one.queue_state, short, one.status or "nothing merged",
        str(one.n_executions or ""), str(one.n_ranks or ""),
        f"{len(one.delivered_nodes)} of {n_nodes}" if n_nodes else "",
        compress(one.missing_nodes), str(one.waiting_packs or ""),
    )  # fmt: skip
