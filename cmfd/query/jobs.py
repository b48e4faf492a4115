"""
What jobs took and wasted, as their batch system counted it.

Efficiencies are those of SLURM's `seff`: processor time over cores allotted times elapsed time;
memory used by the largest step over memory asked for. Those of several jobs weigh each job by what
it held: a day on 64 cores counts for more than a minute on one.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query.index import run_query
from cmfd.query.results import JobUsage, Waste

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

GROUPS = {
    "run": ("run", "job", "user"),
    "user": ("user",),
    "account": ("account",),
    "partition": ("partition",),
    "project": ("project",),
    "month": ("month",),
}
"""What jobs can be put together by, and the fields that name a group."""

OUTCOMES = {
    "FAILED": "failed", "BOOT_FAIL": "failed", "LAUNCH_FAILED": "failed",
    "NODE_FAIL": "node_failed", "OUT_OF_MEMORY": "out_of_memory",
    "TIMEOUT": "timed_out", "DEADLINE": "timed_out",
    "CANCELLED": "cancelled", "REVOKED": "cancelled",
    "PREEMPTED": "requeued", "REQUEUED": "requeued",
}  # fmt: skip
"""What becomes of the time of a job that ended in a state; in others it is not lost."""

_NAMES = ("run", "job", "user", "account", "partition", "project", "month")


class _Job(NamedTuple):
    """A row of the query `jobs`; of names, those that it is put together by."""

    run: str | None
    job: str | None
    user: str | None
    account: str | None
    partition: str | None
    project: str | None
    month: str | None
    state: str
    queued_s: int | None
    elapsed_s: int
    limit_s: int | None
    cpus: int | None
    cpu_s: float | None
    memory_bytes: int | None
    used_memory_bytes: int | None

    @property
    def core_s(self) -> int:
        return (self.cpus or 0) * self.elapsed_s

    @property
    def memory_byte_s(self) -> int:
        return (self.memory_bytes or 0) * self.elapsed_s

    @property
    def used_memory_byte_s(self) -> int:
        return (self.used_memory_bytes or 0) * self.elapsed_s


def _groups(db: sqlite3.Connection, by: str) -> dict[Any, list[_Job]]:
    """Return the jobs of each group, the latest group first."""
    key = attrgetter(*GROUPS[by])
    groups: dict[Any, list[_Job]] = defaultdict(list)
    for row in run_query(db, "jobs", by=by):
        job = _Job._make(row)
        groups[key(job)].append(job)
    return groups


def job_usages(db: sqlite3.Connection, by: str) -> dict[Any, JobUsage]:
    """
    Report what the jobs of the runs took that `cmfd.query.selection.choose` chose.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by : str
        What to put them together by.

    Returns
    -------
    dict
        By the fields of `GROUPS`: a text, or a tuple of them. Of jobs of which it is known what
        became of them; empty if `by` is no group of jobs.
    """
    if by not in GROUPS:
        return {}
    return {key: _usage(jobs) for key, jobs in _groups(db, by).items()}


def _usage(jobs: Sequence[_Job]) -> JobUsage:
    states: dict[str, int] = defaultdict(int)
    for job in jobs:
        states[job.state] += 1
    queued = [job.queued_s for job in jobs if job.queued_s is not None]
    limited = [job for job in jobs if job.limit_s]
    measured = [job for job in jobs if job.cpu_s is not None]
    remembered = [job for job in jobs if job.memory_bytes and job.used_memory_bytes]
    return JobUsage(
        n_jobs=len(jobs),
        states=dict(sorted(states.items())),
        queued_s=median(queued) if queued else None,
        elapsed_s=sum(job.elapsed_s for job in jobs),
        limit_s=sum(job.limit_s or 0 for job in limited) or None,
        of_limit=_ratio(
            sum(job.elapsed_s for job in limited), sum(job.limit_s or 0 for job in limited)
        ),
        core_s=(
            sum(job.core_s for job in jobs) if any(job.cpus is not None for job in jobs) else None
        ),
        cpu_efficiency=_ratio(
            sum(job.cpu_s or 0 for job in measured), sum(job.core_s for job in measured)
        ),
        memory_efficiency=_ratio(
            sum(job.used_memory_byte_s for job in remembered),
            sum(job.memory_byte_s for job in remembered),
        ),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def wastes(db: sqlite3.Connection, by: str) -> list[Waste]:
    """
    Report what of the time on cores of chosen runs' jobs came to nothing, or was held and not used.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by : str
        A key of `GROUPS`.

    Returns
    -------
    list of Waste
        The group with the most idle and lost core time first.
    """
    found = [_waste(GROUPS[by], jobs) for jobs in _groups(db, by).values()]
    return sorted(found, key=lambda one: one.lost_core_s + one.idle_core_s, reverse=True)


def _waste(fields: Sequence[str], jobs: Sequence[_Job]) -> Waste:
    named: dict[str, Any] = {
        name: getattr(jobs[0], name) if name in fields else None for name in _NAMES
    }
    lost: dict[str, Any] = dict.fromkeys(OUTCOMES.values(), 0)
    for job in jobs:
        if job.state in OUTCOMES:
            lost[OUTCOMES[job.state]] += job.core_s
    # What a job that came to nothing did with its cores is lost already.
    done = [job for job in jobs if job.state not in OUTCOMES]
    measured = [job for job in done if job.cpu_s is not None]
    remembered = [job for job in done if job.memory_bytes and job.used_memory_bytes]
    return Waste(
        **named,
        n_jobs=len(jobs),
        core_s=sum(job.core_s for job in jobs),
        **{f"{outcome}_core_s": core_s for outcome, core_s in lost.items()},
        lost_core_s=sum(lost.values()),
        idle_core_s=sum(max(job.core_s - (job.cpu_s or 0), 0) for job in measured),
        unused_memory_byte_s=sum(
            max(job.memory_byte_s - job.used_memory_byte_s, 0) for job in remembered
        ),
    )
