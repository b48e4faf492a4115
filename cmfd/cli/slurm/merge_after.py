"""`cmfd slurm merge-after`: a small job that follows another, and brings in what that left."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.errors import SlurmError
from cmfd.slurm import commands
from cmfd.slurm.accounting import controller_records

if TYPE_CHECKING:
    from pathlib import Path

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
    chosen = [*asked_for(job), *words]
    follow = [sys.executable, "-m", "cmfd", "slurm", "collect", "--site", str(site), job]
    click.echo(
        submit(
            [f"--dependency=afterany:{job}", "--job-name=cmfd-merge", *chosen], [*follow, *chosen]
        )
    )


def asked_for(job: str) -> list[str]:
    """Return the options by which a job chose who pays and where; none if it is forgotten."""
    try:
        records = controller_records(job)
    except SlurmError:
        return []
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
