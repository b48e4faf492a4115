"""What SLURM's queue holds: jobs that wait, run, or have just ended."""

from __future__ import annotations

import getpass
from typing import NamedTuple

from cmfd.errors import SlurmError
from cmfd.slurm.commands import ask, run

_FORMAT = "%i|%A|%T|%N"


class Queued(NamedTuple):
    """
    A job in the queue.

    Attributes
    ----------
    job : str
        What users call it: ``4711``, ``4711_3``.
    id : str
        The number that SLURM counts by.
    state : str
        In one word, as ``RUNNING``.
    node_list : str
        Its nodes, as SLURM writes them; empty while it waits.
    """

    job: str
    id: str
    state: str
    node_list: str


def jobs_of_user() -> list[Queued]:
    """
    Return this user's jobs that wait or run.

    Raises
    ------
    SlurmError
        SLURM does not answer.
    """
    words = ("--noheader", "--array", f"--user={getpass.getuser()}", f"--format={_FORMAT}")
    return _read(ask("squeue", *words, timeout_s=10.0))


def job_of_id(job: str) -> list[Queued]:
    """
    Return a job, or an array's tasks, as long as SLURM's controller remembers.

    Raises
    ------
    SlurmError
        SLURM does not answer.
    """
    words = ("--noheader", "--array", "--states=all", f"--jobs={job}", f"--format={_FORMAT}")
    done = run("squeue", *words, timeout_s=10.0)
    if done.exit_code and "Invalid job id" not in done.complaint:
        raise SlurmError(f"squeue failed: {done.complaint or 'without a word'}")
    return _read(done.output)


def _read(output: str) -> list[Queued]:
    rows = [line.split("|") for line in output.splitlines()]
    return [Queued(*row) for row in rows if len(row) == len(Queued._fields)]
