"""`cmfd slurm merge-after`: a small job that follows another, and brings in what that left."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from cmfd import python
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.errors import NotFoundError, SlurmError
from cmfd.merge.enrich import runs_of_job
from cmfd.slurm import commands
from cmfd.slurm.accounting import Accounting, cluster_name, controller_records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cmfd.slurm.records import Record

SMALL = (
    "--nodes=1", "--ntasks=1", "--time=15", "--output=/dev/null", "--kill-on-invalid-dep=yes",
    "--deadline=now+7days",
)  # fmt: skip
"""What each of cmfd's own jobs asks for, unless told otherwise."""


# Options end where those of sbatch begin.
@example(
    "cmfd slurm merge-after 4711",
    "cmfd slurm merge-after 4711 -A physics -p short",
)
@click.command("merge-after", context_settings={"allow_interspersed_args": False})
@click.argument("job")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[SBATCH OPTION]...")
@options.site
def command(*, site: Path, job: str, words: tuple[str, ...]) -> None:
    """
    Submit a small job that merges what JOB left once it has ended, however it ended.

    It also joins what SLURM knows of JOB, and fetches from nodes that have not delivered what lies
    there: each such node gets a job of a few seconds, as soon as SLURM has room for one on it.

    What follows JOB are options of sbatch for these jobs; account, partition and QOS are those of
    JOB unless told otherwise. The small job's id is printed as `sbatch --parsable` does.
    """
    records = _known(job, site)
    chosen = [*asked_for(records), *words]
    # One that the controller has forgotten is long over: there is nothing to wait for.
    after = [f"--dependency=afterany:{job}"] if records else []
    follow = python.module("cmfd", "slurm", "collect", "--site", str(site), job)
    click.echo(submit([*after, "--job-name=cmfd-merge", *chosen], [*follow, *chosen]))


def _known(job: str, site: Path) -> list[Record]:
    """
    Return what the controller remembers of a job; nothing of one that it has forgotten.

    Raises
    ------
    NotFoundError
        Nobody knows such a job.
    SlurmError
        The controller cannot be asked.
    """
    if records := controller_records(job):
        return records
    with suppress(NotFoundError):  # nothing was merged yet
        if runs_of_job(site, job):
            return []
    with suppress(SlurmError):
        if Accounting().records([job], cluster_name()):
            return []
    raise NotFoundError(
        f"neither SLURM nor {site} knows a job {job}: nothing was submitted. `cmfd slurm status` "
        "lists yours."
    )


def asked_for(records: Sequence[Record]) -> list[str]:
    """Return the options by which a job chose who pays and where; none if it is forgotten."""
    if not records:
        return []
    named = {
        "account": records[0].account, "partition": records[0].partition, "qos": records[0].qos
    }  # fmt: skip
    return [f"--{key}={value}" for key, value in named.items() if value not in ("", "(null)")]


def submit(chosen: list[str], *programs: list[str]) -> str:
    """
    Submit a small job that runs programs one after the other, and return its id.

    Raises
    ------
    SlurmError
        SLURM did not take it.
    """
    script = "#!/bin/sh\n" + "".join(f"{shlex.join(program)}\n" for program in programs)
    done = commands.run("sbatch", "--parsable", *SMALL, *chosen, stdin=script)
    if done.exit_code:
        raise SlurmError(f"no job was submitted: {done.complaint}")
    return done.output.strip()
