"""What runs took: wall time, CPU time, how well cores were used, and who kept whom waiting."""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query import jobs
from cmfd.query.cost import Usage, cpu_ns, outermost
from cmfd.query.index import fetch, run_query
from cmfd.query.results import JobUsage, Runtime, Straggler

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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


class _Run(NamedTuple):
    """A row of the query `runtime_runs`."""

    name: str
    job: str | None
    user: str | None
    run_id: int
    wall_ns: int | None
    cores: int | None
    n_executions: int
    n_ranks: int
    cpu_ns: int
    imbalance: float | None


class _Execution(NamedTuple):
    """A row of the query `runtime_executions`."""

    number: int
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
    cpu_ns: int
    """As if it were nested in nothing, and nothing in it."""

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
    of_jobs = {} if is_of_parts else jobs.job_usages(db, by)
    found = (
        _of_runs(db, by, of_jobs)
        if by in _OF_RUNS and not is_of_parts
        else _of_executions(db, by, of_jobs)
    )
    # A service records jobs in which nothing logs, too.
    rest = [_only_jobs(by, name, of_jobs[name]) for name in of_jobs if name not in found]
    return [*found.values(), *rest]


def _of_runs(
    db: sqlite3.Connection, by: str, of_jobs: Mapping[Any, JobUsage]
) -> dict[Any, Runtime]:
    """Put whole runs together, each of which the index has summed up."""
    groups: dict[Any, list[_Run]] = defaultdict(list)
    for run in map(_Run._make, run_query(db, "runtime_runs", by=by)):
        groups[(run.name, run.job, run.user) if by == "run" else run.name].append(run)
    return {name: _runtime(db, by, name, group, of_jobs) for name, group in groups.items()}


def _runtime(
    db: sqlite3.Connection,
    by: str,
    name: Any,
    group: Sequence[_Run],
    of_jobs: Mapping[Any, JobUsage],
) -> Runtime:
    used = sum([run.cpu_ns for run in group])
    # Without cores allotted, those of its largest execution.
    capacity_ns = sum([(run.wall_ns or 0) * (run.cores or max(1, run.n_ranks)) for run in group])
    imbalance = max([run.imbalance or 0.0 for run in group])
    return Runtime(
        **_named(by, name),
        n_runs=len(group),
        n_executions=sum([run.n_executions for run in group]),
        n_ranks=max([run.n_ranks for run in group]),
        wall_ns=sum([run.wall_ns or 0 for run in group]),
        cpu_ns=used,
        capacity_ns=capacity_ns,
        efficiency=used / capacity_ns if capacity_ns else None,
        imbalance=imbalance or None,
        stragglers=_stragglers_of_runs(db, group) if imbalance > STRAGGLER_OVER_MEAN else [],
        jobs=of_jobs.get(name),
    )


def _named(by: str, name: Any) -> dict[str, Any]:
    names = dict(zip(GROUPS[by], name if isinstance(name, tuple) else (name,), strict=True))
    return {field: names.get(field) for field in _NAMES}


def _stragglers_of_runs(db: sqlite3.Connection, group: Sequence[_Run]) -> list[Straggler]:
    """Name the worst ranks of the runs that have the worst executions."""
    worst = heapq.nlargest(_MOST_STRAGGLERS, group, key=lambda run: run.imbalance or 0.0)
    asked = {
        "run_ids": json.dumps([run.run_id for run in worst]),
        "over": STRAGGLER_OVER_MEAN, "limit": _MOST_STRAGGLERS,
    }  # fmt: skip
    return _stragglers(db, run_query(db, "uneven", **asked).fetchall())


def _of_executions(
    db: sqlite3.Connection, by: str, of_jobs: Mapping[Any, JobUsage]
) -> dict[Any, Runtime]:
    key = attrgetter(*GROUPS[by])
    groups: dict[Any, list[_Execution]] = defaultdict(list)
    for execution in map(_Execution._make, run_query(db, "runtime_executions", by=by)):
        groups[key(execution)].append(execution)
    parents = {
        name: {execution.execution: execution.parent for execution in group}
        for name, group in groups.items()
    }
    usages = _usages_of_nested(db, groups, parents)
    return {
        name: _runtime_of(
            db, group, parents[name], usages, jobs=of_jobs.get(name), **_named(by, name)
        )
        for name, group in groups.items()
    }


def _usages_of_nested(
    db: sqlite3.Connection,
    groups: Mapping[Any, Sequence[_Execution]],
    parents: Mapping[Any, Mapping[bytes, bytes | None]],
) -> dict[bytes, list[Usage]]:
    """Return what executions used, by host, that have others of their group in or around them."""
    nested: set[int] = set()
    for name, group in groups.items():
        mine = parents[name]
        around = {execution.parent for execution in group if execution.parent in mine}
        nested.update(
            execution.number
            for execution in group
            if execution.parent in mine or execution.execution in around
        )
    found: dict[bytes, list[Usage]] = {}
    for row in run_query(db, "runtime_usage", ids=json.dumps(list(nested))):
        found.setdefault(row[0], []).append(Usage._make(row))
    return found


def _only_jobs(by: str, name: Any, of_jobs: JobUsage) -> Runtime:
    """Report on jobs none of which has an execution."""
    return Runtime(
        **_named(by, name),
        n_runs=of_jobs.n_jobs, n_executions=0, n_ranks=0, wall_ns=0, cpu_ns=0, capacity_ns=0,
        efficiency=None, imbalance=None, stragglers=[], jobs=of_jobs,
    )  # fmt: skip


def _runtime_of(
    db: sqlite3.Connection,
    group: Sequence[_Execution],
    parents: dict[bytes, bytes | None],
    usages: dict[bytes, list[Usage]],
    **named: Any,
) -> Runtime:
    """Report on executions: those that are nested in others of the group are not counted again."""
    trees = {name: parent for name, parent in parents.items() if name in usages}
    used = cpu_ns(trees, (usage for name in trees for usage in usages[name]))
    used += sum([one.cpu_ns for one in group if one.execution not in trees])
    spans = _spans(group, parents)
    capacity_ns = sum(span * cores for span, cores in spans)
    imbalance = max(execution.imbalance for execution in group)
    return Runtime(
        **named,
        n_runs=len({execution.run_id for execution in group}),
        n_executions=len(group),
        n_ranks=max(execution.n_ranks for execution in group),
        wall_ns=sum(span for span, _ in spans),
        cpu_ns=used,
        capacity_ns=capacity_ns,
        efficiency=used / capacity_ns if capacity_ns else None,
        imbalance=imbalance or None,
        stragglers=_stragglers_among(db, group),
    )


def _span_ns(began_ns: int | None, ended_ns: int | None) -> int:
    """Return how long something took; 0 while that is not known."""
    return max(ended_ns - began_ns, 0) if began_ns is not None and ended_ns is not None else 0


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


def _stragglers_among(db: sqlite3.Connection, group: Iterable[_Execution]) -> list[Straggler]:
    uneven = [execution for execution in group if execution.imbalance > STRAGGLER_OVER_MEAN]
    worst = heapq.nlargest(_MOST_STRAGGLERS, uneven, key=lambda execution: execution.imbalance)
    return _stragglers(db, [(one.execution, one.mean_ns) for one in worst])


def _stragglers(db: sqlite3.Connection, worst: Iterable[tuple[bytes, float]]) -> list[Straggler]:
    """Name the worst of the ranks that were busy for much longer than their execution's mean."""
    found = [one for execution, mean_ns in worst for one in _stragglers_of(db, execution, mean_ns)]
    return heapq.nlargest(_MOST_STRAGGLERS, found, key=lambda one: one.over_mean)


def _stragglers_of(db: sqlite3.Connection, execution: bytes, mean_ns: float) -> Iterator[Straggler]:
    for row in fetch(db, "rank_loads", execution=execution, limit=_MOST_STRAGGLERS):
        if row["busy_ns"] > STRAGGLER_OVER_MEAN * mean_ns:
            yield Straggler(over_mean=row["busy_ns"] / mean_ns, **row)
