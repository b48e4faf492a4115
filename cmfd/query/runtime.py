"""What runs took: wall time, CPU time, how well cores were used, and who kept whom waiting."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query.cost import Usage, cpu_ns, outermost
from cmfd.query.index import fetch
from cmfd.query.results import Runtime, Straggler

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

GROUPS = {
    "run": ("run", "user"),
    "user": ("user",),
    "pipeline": ("pipeline",),
    "stage": ("pipeline", "stage"),
}
"""What can be reported on, and the fields that name one."""

STRAGGLER_OVER_MEAN = 1.2
"""A rank that was busy for longer than this times the mean keeps the others waiting."""

_MOST_STRAGGLERS = 5


class _Execution(NamedTuple):
    """A row of the query `runtime_executions`."""

    execution: str
    parent: str | None
    run: str
    user: str
    pipeline: str
    stage: str
    cores: int | None
    run_began_ns: int | None
    run_ended_ns: int | None
    began_ns: int | None
    ended_ns: int | None


class _Load(NamedTuple):
    """How busy the ranks of an execution were: (busy_ns, rank, host), busiest first."""

    ranks: list[tuple[int, int, str]]

    @property
    def mean_ns(self) -> float:
        return sum(rank[0] for rank in self.ranks) / len(self.ranks) if self.ranks else 0.0

    @property
    def imbalance(self) -> float | None:
        if len(self.ranks) < 2 or not self.mean_ns:
            return None
        return self.ranks[0][0] / self.mean_ns


def runtimes(  # noqa: PLR0913 - filters, each by name
    db: sqlite3.Connection,
    by: str,
    *,
    run_id: int | None = None,
    user: str | None = None,
    since_ns: int | None = None,
    limit: int = -1,
) -> list[Runtime]:
    """
    Report what runs took.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by : str
        A key of `GROUPS`.
    run_id : int, optional
        Only this run.
    user : str, optional
        Only this user's runs.
    since_ns : int, optional
        Only runs that began then or later.
    limit : int
        Only so many of the latest runs; -1: all.

    Returns
    -------
    list of Runtime
        In the order of their latest run, latest first.
    """
    chosen = {"run_id": run_id, "user": user, "since_ns": since_ns, "limit": limit}
    groups: dict[tuple[str, ...], list[_Execution]] = defaultdict(list)
    for row in fetch(db, "runtime_executions", **chosen):
        execution = _Execution(**row)
        groups[tuple(getattr(execution, field) for field in GROUPS[by])].append(execution)
    usages: dict[str, list[Usage]] = defaultdict(list)
    for row in fetch(db, "runtime_usage", **chosen):
        usages[row["execution"]].append(Usage(**row))
    return [_runtime(by, key, group, usages) for key, group in groups.items()]


def _runtime(
    by: str,
    key: tuple[str, ...],
    group: Sequence[_Execution],
    usages: dict[str, list[Usage]],
) -> Runtime:
    parents = {execution.execution: execution.parent for execution in group}
    loads = [(execution, _load(usages[execution.execution])) for execution in group]
    used = cpu_ns(parents, [usage for name in parents for usage in usages[name]])
    ranks = {execution.execution: max(len(load.ranks), 1) for execution, load in loads}
    spans = _run_spans(group, ranks) if by in ("run", "user") else _spans(group, parents, ranks)
    wall_ns = sum(span for span, _ in spans)
    capacity_ns = sum(span * cores for span, cores in spans)
    uneven = [load.imbalance for _, load in loads if load.imbalance is not None]
    return Runtime(
        **{"run": None, "user": None, "pipeline": None, "stage": None}
        | dict(zip(GROUPS[by], key, strict=True)),
        n_runs=len({execution.run for execution in group}),
        n_executions=len(group),
        n_ranks=max(ranks.values()),
        wall_ns=wall_ns,
        cpu_ns=used,
        capacity_ns=capacity_ns,
        efficiency=used / capacity_ns if capacity_ns else None,
        imbalance=max(uneven) if uneven else None,
        stragglers=_stragglers(loads),
    )


def _load(usages: Iterable[Usage]) -> _Load:
    """Add up each rank's processes; a wrapper is no rank."""
    busy: dict[int, int] = defaultdict(int)
    hosts: dict[int, str] = {}
    for usage in usages:
        if usage.role != "wrapper":
            busy[usage.rank] += usage.cpu_ns
            hosts.setdefault(usage.rank, usage.host)
    return _Load(sorted(((ns, rank, hosts[rank]) for rank, ns in busy.items()), reverse=True))


def _span_ns(began_ns: int | None, ended_ns: int | None) -> int:
    """Return how long something took; 0 while that is not known."""
    return max(ended_ns - began_ns, 0) if began_ns is not None and ended_ns is not None else 0


def _run_spans(group: Iterable[_Execution], ranks: dict[str, int]) -> list[tuple[int, int]]:
    """Return wall time and cores of each run: without cores allotted, of its largest execution."""
    runs: dict[str, list[_Execution]] = defaultdict(list)
    for execution in group:
        runs[execution.run].append(execution)
    return [
        (
            _span_ns(parts[0].run_began_ns, parts[0].run_ended_ns or _latest(parts)),
            parts[0].cores or max(ranks[part.execution] for part in parts),
        )
        for parts in runs.values()
    ]


def _latest(parts: Iterable[_Execution]) -> int | None:
    return max((part.ended_ns for part in parts if part.ended_ns is not None), default=None)


def _spans(
    group: Iterable[_Execution], parents: dict[str, str | None], ranks: dict[str, int]
) -> list[tuple[int, int]]:
    """Return wall time and cores of each execution that is not nested in another of the group."""
    top = outermost(parents)
    below: dict[str, int] = defaultdict(int)
    for name, outer in top.items():
        below[outer] = max(below[outer], ranks[name])
    return [
        (_span_ns(part.began_ns, part.ended_ns), part.cores or below[part.execution])
        for part in group
        if top[part.execution] == part.execution
    ]


def _stragglers(loads: Iterable[tuple[_Execution, _Load]]) -> list[Straggler]:
    """Name the worst of the ranks that were busy for much longer than their execution's mean."""
    found = [
        Straggler(
            run=execution.run,
            execution=execution.execution,
            pipeline=execution.pipeline,
            stage=execution.stage,
            rank=rank,
            host=host,
            busy_ns=busy_ns,
            over_mean=busy_ns / load.mean_ns,
        )
        for execution, load in loads
        if load.imbalance is not None
        for busy_ns, rank, host in load.ranks
        if busy_ns > STRAGGLER_OVER_MEAN * load.mean_ns
    ]
    return sorted(found, key=lambda one: one.over_mean, reverse=True)[:_MOST_STRAGGLERS]
