"""
What SLURM's variables say of the job, step and limits that this process runs in.

Only variables are read, never SLURM's commands. Which of them are right where (batch script,
srun task, hooks) differs: a variable is used here only where it is known to be true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SPECIAL_STEPS = {"4294967290": "interactive", "4294967291": "batch", "4294967292": "extern"}
"""Step numbers that SLURM gives to what is no srun of the user's."""


class Job(NamedTuple):
    """Which start of which job this is."""

    cluster: str
    id: str
    """What SLURM counts by: each array task has its own, a het job that of its leader."""
    name: str
    """What users call it: ``4711``, or ``4711_3`` for a task of an array."""
    restart: int
    """How often the job was requeued before this start."""


def job_from(environ: Mapping[str, str]) -> Job | None:
    """
    Read which job the variables belong to.

    Not for an Epilog: there the restart count may already be that of the next start.

    Parameters
    ----------
    environ : mapping
        Environment variables of a batch script, task, TaskProlog or Prolog.

    Returns
    -------
    Job or None
        None outside of jobs.
    """
    number = environ.get("SLURM_HET_JOB_ID") or environ.get("SLURM_JOB_ID")
    if not number:
        return None
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return Job(
        cluster=environ.get("SLURM_CLUSTER_NAME", ""),
        id=number,
        name=f"{array}_{task}" if array and task else number,
        restart=_number(environ, "SLURM_RESTART_COUNT", "SLURM_JOB_RESTART_COUNT") or 0,
    )


def step_of(environ: Mapping[str, str]) -> str:
    """
    Return the step this process was started in; empty outside of steps.

    A batch script is in no step, although other task variables are set there.
    """
    step = environ.get("SLURM_STEP_ID", "")
    return SPECIAL_STEPS.get(step, step)


def is_batch(environ: Mapping[str, str]) -> bool:
    """Tell whether this is part of a job that sbatch queued (not srun or salloc)."""
    return "SLURM_JOB_ID" in environ and environ.get("ENVIRONMENT") == "BATCH"


def _number(environ: Mapping[str, str], *names: str) -> int | None:
    """Return the first of the variables that is a whole number."""
    for name in names:
        text = environ.get(name, "")
        if text.lstrip("-").isdecimal():
            return int(text)
    return None
