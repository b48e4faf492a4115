"""What runs took: wall time, CPU time, how well cores were used, and who kept whom waiting."""

from __future__ import annotations

import heapq
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query import jobs
from cmfd.query.cost import Usage, cpu_ns, outermost
from cmfd.query.index import fetch, run_query
from cmfd.query.results import JobUsage, Runtime, Straggler

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

GROUPS = {
    **jobs.GROUPS,
    "pipeline": ("pipeline",),
    "stage": ("pipeline", "stage"),
}
"""What can be reported on, and the fields that name one."""

STRAGGLER_OVER_MEAN = 1.2
"""A rank that was busy for longer than this times the mean keeps the others waiting."""

_MOST_STRAGGLERS = 5
_OF_RUNS = ("run", "user", "account", "partition", "project", "month")
"""Groups of whole runs: their time is from the first to the last of it, idle or not."""
_NAMES = (
    "run", "job", "user", "account", "partition", "project", "month", "pipeline", "stage",
)  # fmt: skip


class _Execution(NamedTuple):
    """A row of the query `runtime_executions`."""

    execution: bytes
    parent: bytes | None
    run_id: bytes
    job: str
    user: str
    account: str
    partition: str
    project: str
    month: str
    pipeline: str
    stage: str
    cores: int | None
    run_began_ns: int | None
    run_ended_ns: int | None
    began_ns: int | None
    ended_ns: int | None
    n_ranks: int
    busy_ns: int
    """Sum over its ranks."""
    worst_ns: int
    """Of its busiest rank."""

    @property
    def run(self) -> str:
        return self.run_id.hex()

    @property
    def mean_ns(self) -> float:
        return self.busy_ns / self.n_ranks

    @property
    def imbalance(self) -> float:
        """Busiest rank over mean; 0 where there are no ranks to compare."""
        return self.worst_ns / self.mean_ns if self.n_ranks > 1 and self.busy_ns else 0.0


def runtimes(db: sqlite3.Connection, by: str, *, is_of_parts: bool = False) -> list[Runtime]:
    """
    Report what the runs and executions took that `cmfd.query.selection.choose` chose.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by : str
        A key of `GROUPS`.
    is_of_parts : bool
        Some executions were chosen, not whole runs: their time is not their runs', nor is what
        the batch system counted.

    Returns
    -------
    list of Runtime
        In the order of their latest run, latest first.
    """
    key = attrgetter(*GROUPS[by])
    groups: dict[Any, list[_Execution]] = defaultdict(list)
    for row in run_query(db, "runtime_executions", by=by):
        execution = _Execution._make(row)
        groups[key(execution)].append(execution)
    usages: dict[bytes, list[Usage]] = defaultdict(list)
    for row in run_query(db, "runtime_usage"):
        usages[row[0]].append(Usage._make(row))
    of_jobs = {} if is_of_parts else jobs.job_usages(db, by)
    whole = by in _OF_RUNS and not is_of_parts
    found = [
        _runtime(db, GROUPS[by], group, usages, of_jobs.get(name), whole=whole)
        for name, group in groups.items()
    ]
    # A service records jobs in which nothing logs, too.
    return found + [_only_jobs(by, name, of_jobs[name]) for name in of_jobs if name not in groups]


def _only_jobs(by: str, name: Any, of_jobs: JobUsage) -> Runtime:
    """Report on jobs none of which has an execution."""
    names = dict(zip(GROUPS[by], name if isinstance(name, tuple) else (name,), strict=True))
    return Runtime(
        **{field: names.get(field) for field in _NAMES},
        n_runs=of_jobs.n_jobs, n_executions=0, n_ranks=0, wall_ns=0, cpu_ns=0, capacity_ns=0,
        efficiency=None, imbalance=None, stragglers=[], jobs=of_jobs,
    )  # fmt: skip


def _runtime(  # noqa: PLR0913 - all that a row is made from
    db: sqlite3.Connection,
    fields: Sequence[str],
    group: Sequence[_Execution],
    usages: dict[bytes, list[Usage]],
    of_jobs: JobUsage | None,
    *,
    whole: bool,
) -> Runtime:
    parents = {execution.execution: execution.parent for execution in group}
    used = cpu_ns(parents, (usage for name in parents for usage in usages.get(name, ())))
    spans = _run_spans(group) if whole else _spans(group, parents)
    capacity_ns = sum(span * cores for span, cores in spans)
    imbalance = max(execution.imbalance for execution in group)
    return Runtime(
        **{field: getattr(group[0], field) if field in fields else None for field in _NAMES},
        n_runs=len({execution.run_id for execution in group}),
        n_executions=len(group),
        n_ranks=max(execution.n_ranks for execution in group),
        wall_ns=sum(span for span, _ in spans),
        cpu_ns=used,
        capacity_ns=capacity_ns,
        efficiency=used / capacity_ns if capacity_ns else None,
        imbalance=imbalance or None,
        stragglers=_stragglers(db, group),
        jobs=of_jobs,
    )


def _span_ns(began_ns: int | None, ended_ns: int | None) -> int:
    """Return how long something took; 0 while that is not known."""
    return max(ended_ns - began_ns, 0) if began_ns is not None and ended_ns is not None else 0


def _run_spans(group: Iterable[_Execution]) -> list[tuple[int, int]]:
    """Return wall time and cores of each run: without cores allotted, of its largest execution."""
    runs: dict[bytes, list[_Execution]] = defaultdict(list)
    for execution in group:
        runs[execution.run_id].append(execution)
    return [
        (
            _span_ns(parts[0].run_began_ns, parts[0].run_ended_ns or _latest(parts)),
            parts[0].cores or max(1, *(part.n_ranks for part in parts)),
        )
        for parts in runs.values()
    ]


def _latest(parts: Iterable[_Execution]) -> int | None:
    return max((part.ended_ns for part in parts if part.ended_ns is not None), default=None)


def _spans(
    group: Iterable[_Execution], parents: dict[bytes, bytes | None]
) -> list[tuple[int, int]]:
    """Return wall time and cores of each execution that is not nested in another of the group."""
    top = outermost(parents)
    n_ranks: dict[bytes, int] = defaultdict(lambda: 1)
    for part in group:
        outer = top[part.execution]
        n_ranks[outer] = max(n_ranks[outer], part.n_ranks)
    return [
        (_span_ns(part.began_ns, part.ended_ns), part.cores or n_ranks[part.execution])
        for part in group
        if top[part.execution] == part.execution
    ]


def _stragglers(db: sqlite3.Connection, group: Iterable[_Execution]) -> list[Straggler]:
    """Name the worst of the ranks that were busy for much longer than their execution's mean."""
    uneven = [execution for execution in group if execution.imbalance > STRAGGLER_OVER_MEAN]
    worst = heapq.nlargest(_MOST_STRAGGLERS, uneven, key=lambda execution: execution.imbalance)
    found = [one for execution in worst for one in _stragglers_of(db, execution)]
    return heapq.nlargest(_MOST_STRAGGLERS, found, key=lambda one: one.over_mean)


def _stragglers_of(db: sqlite3.Connection, execution: _Execution) -> Iterator[Straggler]:
    chosen = {"execution": execution.execution, "limit": _MOST_STRAGGLERS}
    for row in fetch(db, "rank_loads", **chosen):
        if row["busy_ns"] > STRAGGLER_OVER_MEAN * execution.mean_ns:
            yield Straggler(over_mean=row["busy_ns"] / execution.mean_ns, **row)
