"""
What SLURM's variables say of the job, step and limits that this process runs in.

Only variables are read, never SLURM's commands. Which of them are right where (batch script,
srun task, hooks) differs: a variable is used here only where it is known to be true.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cmfd.model import Scalar

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
    # The first one is set only from the first restart on, the second one only for hooks.
    restart = environ.get("SLURM_RESTART_COUNT") or environ.get("SLURM_JOB_RESTART_COUNT", "")
    return Job(
        cluster=environ.get("SLURM_CLUSTER_NAME", ""),
        id=number,
        name=f"{array}_{task}" if array and task else number,
        restart=_whole(restart) or 0,
    )


def step_of(environ: Mapping[str, str]) -> str:
    """
    Return the step this process was started in; empty outside of steps.

    A batch script is in no step, although other task variables are set there.
    """
    step = environ.get("SLURM_STEP_ID", "")
    return SPECIAL_STEPS.get(step, step)


def step_nodes(environ: Mapping[str, str]) -> str:
    """Return the nodes of the srun step this process was started in, as SLURM writes them."""
    is_srun = environ.get("SLURM_STEP_ID", "") not in ("", *SPECIAL_STEPS)
    return environ.get("SLURM_STEP_NODELIST", "") if is_srun else ""


def node_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return this node's name as SLURM has it; elsewhere the host's, without its domain."""
    return environ.get("SLURMD_NODENAME") or os.uname().nodename.partition(".")[0]


def is_batch(environ: Mapping[str, str]) -> bool:
    """Tell whether this is part of a job that sbatch queued (not srun or salloc)."""
    return "SLURM_JOB_ID" in environ and environ.get("ENVIRONMENT") == "BATCH"


class _Fact(NamedTuple):
    """A fact of a job: variables that tell it, the first set counts, and how it is read."""

    key: str
    variables: tuple[str, ...]
    read: Callable[[str], Scalar]


def _whole(text: str) -> int | None:
    """Read a whole number; None for anything else."""
    return int(text) if text.lstrip("-").isdecimal() else None


def _count_cpus(text: str) -> int | None:
    """Add up what SLURM writes as ``16(x2),8``: 16 on each of two nodes and 8 on a third."""
    total = 0
    for part in text.split(","):
        group = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if group is None:
            return None
        total += int(group[1]) * int(group[2] or 1)
    return total


def _megabytes(text: str) -> int | None:
    """Read megabytes, in bytes."""
    return int(text) << 20 if text.isdecimal() else None


_FACTS = (
    _Fact("slurm.job_name", ("SLURM_JOB_NAME",), str),
    _Fact("slurm.partition", ("SLURM_JOB_PARTITION",), str),
    _Fact("slurm.account", ("SLURM_JOB_ACCOUNT",), str),
    _Fact("slurm.qos", ("SLURM_JOB_QOS",), str),
    _Fact("slurm.reservation", ("SLURM_JOB_RESERVATION",), str),
    _Fact("slurm.nodes", ("SLURM_JOB_NUM_NODES", "SLURM_NNODES"), _whole),
    _Fact("slurm.node_list", ("SLURM_JOB_NODELIST", "SLURM_NODELIST"), str),
    _Fact("slurm.cpus", ("SLURM_JOB_CPUS_PER_NODE",), _count_cpus),
    _Fact("slurm.cpus_per_task", ("SLURM_CPUS_PER_TASK",), _whole),
    _Fact("slurm.gpus", ("SLURM_GPUS",), str),  # asked for: 4, or a100:4
    _Fact("slurm.gpu_ids", ("SLURM_JOB_GPUS",), str),  # of this node
    _Fact("slurm.gpus_on_node", ("SLURM_GPUS_ON_NODE",), _whole),
    _Fact("slurm.memory_per_node_bytes", ("SLURM_MEM_PER_NODE",), _megabytes),
    _Fact("slurm.memory_per_cpu_bytes", ("SLURM_MEM_PER_CPU",), _megabytes),
    _Fact("slurm.start_time_s", ("SLURM_JOB_START_TIME",), _whole),
    _Fact("slurm.limit_end_time_s", ("SLURM_JOB_END_TIME",), _whole),
    _Fact("slurm.submit_dir", ("SLURM_SUBMIT_DIR",), str),
    _Fact("slurm.submit_host", ("SLURM_SUBMIT_HOST",), str),
    _Fact("slurm.array_job", ("SLURM_ARRAY_JOB_ID",), _whole),
    _Fact("slurm.array_task", ("SLURM_ARRAY_TASK_ID",), _whole),
    _Fact("slurm.array_tasks", ("SLURM_ARRAY_TASK_COUNT",), _whole),
    _Fact("slurm.dependency", ("SLURM_JOB_DEPENDENCY",), str),
    _Fact("slurm.het_job", ("SLURM_HET_JOB_ID",), _whole),
    _Fact("slurm.het_components", ("SLURM_HET_SIZE",), _whole),
)


def facts(environ: Mapping[str, str]) -> dict[str, Scalar]:
    """
    Gather what is known of the job, for `Fact` records on its run.

    Parameters
    ----------
    environ : mapping
        Environment variables.

    Returns
    -------
    dict
        Only what is known, under ``slurm.<name>``; empty outside of jobs. Exit codes, the final
        state and used memory are not in variables and come from elsewhere.
    """
    job = job_from(environ)
    if job is None:
        return {}
    known: dict[str, Scalar] = {"slurm.job": job.name, "slurm.restart": job.restart}
    for fact in _FACTS:
        text = next((environ[name] for name in fact.variables if environ.get(name)), "")
        value = fact.read(text)
        if value not in (None, ""):
            known[fact.key] = value
    return known
