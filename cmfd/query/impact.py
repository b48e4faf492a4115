"""The sphere of influence of an artifact: all that it reached, and how."""

from __future__ import annotations

import json
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query.index import all_rows
from cmfd.query.lineage import ReachedArtifact, ReachedExecution, makers, nodes, paths_to
from cmfd.query.reach import reach
from cmfd.query.results import Result
from cmfd.query.walk import Bounds, Way
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from cmfd.query.subject import Subject


class Party(Result, frozen=True, kw_only=True):
    """A user, pipeline or node that was reached."""

    name: str
    n_executions: int
    last_ns: int | None
    """When the latest of these executions began."""


class ReachedRun(Result, frozen=True, kw_only=True):
    """A run that was reached."""

    run: str
    job: str
    cluster: str
    user: str
    began_ns: int | None
    n_executions: int
    """How many of its executions were reached."""


class Impact(Result, frozen=True, kw_only=True):
    """What an artifact reached; everything newest first."""

    start: str
    n_executions: int
    n_artifacts: int
    """Without the start itself."""
    n_runs: int
    kinds: dict[str, int]
    """How many artifacts of each kind."""
    executions: list[ReachedExecution]
    artifacts: list[ReachedArtifact]
    paths: dict[str, list[str]]
    """A shortest path from the start to each of these: digests and ids of executions."""
    labels: dict[str, str]
    """A name for people of each thing on these paths: a path, or ``pipeline.stage``."""
    users: list[Party]
    pipelines: list[Party]
    nodes: list[Party]
    """``host@cluster``; without a batch system, the host."""
    runs: list[ReachedRun]


def impact(
    db: sqlite3.Connection, subject: Subject, *, limit: int = -1, until_ns: int | None = None
) -> Impact:
    """
    Return everything that an artifact reached, at any distance.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    subject : Subject
        From `cmfd.query.subject`; of an execution, what came of it.
    limit : int
        How many executions and how many artifacts to list and to give a path to, and how many runs
        to list, the newest ones; -1: all. Counts, users, pipelines and nodes are always of
        everything.
    until_ns : int, optional
        Only along executions that began by then.
    """
    found = reach(db, subject.start, Way.DOWN, Bounds(until_ns=until_ns))
    through = makers(found)
    artifacts = [step.id for step in found.artifacts if step.via is not None]
    reached = _reached(db, [step.id for step in found.executions if step.via is not None])
    newest = _newest(reached.at_ns, reached.execution, reached.id, limit)
    at_ns = dict(zip(reached.id, reached.at_ns, strict=True))
    made_ns = [at_ns.get(through[number] or 0, _UNKNOWN_NS) for number in artifacts]
    newest_artifacts = _newest(made_ns, artifacts, artifacts, limit)
    known, steps = nodes(db, paths_to(found, set(newest_artifacts), set(newest)))
    before = {one.digest: one.via for one in known.values()}
    before |= {one.execution: one.via for one in steps.values()}
    listed = [steps[number].execution for number in newest]
    listed += [known[number].digest for number in newest_artifacts]
    counts = Counter(number for number in reached.run_id if number is not None)
    return Impact(
        start=subject.name,
        n_executions=len(reached.id),
        n_artifacts=len(artifacts),
        n_runs=len(counts),
        kinds=dict(_asked(db, "n_of_kind", artifacts)),
        executions=[steps[number] for number in newest],
        artifacts=[known[number] for number in newest_artifacts],
        paths={name: _path(name, before) for name in listed},
        labels={one.digest: one.path for one in known.values()}
        | {one.execution: f"{one.pipeline}.{one.stage}" for one in steps.values()},
        users=_parties(reached.user, reached.at_ns),
        pipelines=_parties(reached.pipeline, reached.at_ns),
        nodes=_nodes(db, reached),
        runs=_runs(db, reached, counts, limit),
    )


_UNKNOWN_NS = -(2**63)
"""When something began of which that is not known: before everything else."""


class _Reached(NamedTuple):
    """
    Executions that were reached, by when they began.

    In columns, which are counted without a loop: of very many, that takes longer than the index.
    """

    id: Sequence[int]
    at_ns: Sequence[int]
    execution: Sequence[bytes]
    pipeline: Sequence[str | None]
    run_id: Sequence[int | None]
    run_at_ns: Sequence[int]
    user: Sequence[str]
    cluster: Sequence[str]
    host: Sequence[str | None]
    """None where there are several."""


def _reached(db: sqlite3.Connection, ids: list[int]) -> _Reached:
    rows = sorted(_asked(db, "reached", ids), key=itemgetter(1))
    return _Reached(*(zip(*rows, strict=True) if rows else ((),) * len(_Reached._fields)))


def _nodes(db: sqlite3.Connection, reached: _Reached) -> list[Party]:
    """Return where they ran."""
    on = list(zip(reached.host, reached.cluster, reached.at_ns, strict=True))
    if None in reached.host:
        of = {row[0]: row[1] for row in zip(reached.id, on, strict=True) if row[1][0] is None}
        on = [one for one in on if one[0] is not None]
        on += [(host, *of[number][1:]) for number, host in _asked(db, "hosts", list(of))]
        on.sort(key=itemgetter(2))
    names = [f"{host}@{cluster}" if cluster else host for host, cluster, _ in on]
    return _parties(names, [at_ns for _, _, at_ns in on])


def _parties(names: Sequence[str | None], at_ns: Sequence[int]) -> list[Party]:
    """Count each name, once for each execution, in the order of their times."""
    n_executions = Counter(names)
    last_ns = dict(zip(names, at_ns, strict=True))
    found = [(-last_ns[name], name) for name in n_executions if name is not None]
    return [
        Party(name=name, n_executions=n_executions[name], last_ns=_known(last_ns[name]))
        for _, name in sorted(found)
    ]


def _runs(
    db: sqlite3.Connection, reached: _Reached, counts: Counter[int], limit: int
) -> list[ReachedRun]:
    """Return the newest runs."""
    at_ns = dict(zip(reached.run_id, reached.run_at_ns, strict=True))
    since = _since([at_ns[number] for number in counts], limit)
    ids = [number for number in counts if at_ns[number] >= since]
    rows = sorted(_asked(db, "runs", ids), key=lambda row: (-row[1], row[2]))
    return [
        ReachedRun(
            run=run.hex(), job=job, cluster=cluster, user=user, began_ns=_known(began_ns),
            n_executions=counts[number],
        )
        for number, began_ns, run, job, cluster, user in (rows if limit < 0 else rows[:limit])
    ]  # fmt: skip


def _known(at_ns: int) -> int | None:
    return None if at_ns == _UNKNOWN_NS else at_ns


def _newest(
    at_ns: Sequence[int], then_by: Sequence[Any], ids: Sequence[int], limit: int
) -> list[int]:
    """Return the last ones by when they were, then by what; all of them with -1."""
    since = _since(at_ns, limit)
    known = zip(at_ns, then_by, ids, strict=True)
    chosen = sorted((-at, by, number) for at, by, number in known if at >= since)
    return [number for _, _, number in (chosen if limit < 0 else chosen[:limit])]


def _since(at_ns: Collection[int], limit: int) -> int:
    """Return when the last so many of some times begin; sorting what is nearly sorted is quick."""
    return sorted(at_ns)[-limit] if 0 < limit < len(at_ns) else _UNKNOWN_NS


def _asked(db: sqlite3.Connection, query: str, ids: list[int]) -> list[tuple[Any, ...]]:
    """Run a query on the numbers of executions, artifacts or runs, which it finds in a table."""
    db.execute(_sql("make_asked"))
    db.execute(_sql("clear_asked"))
    db.execute(_sql("ask"), {"ids": json.dumps(sorted(ids))})
    return all_rows(db, _sql(query))


def _path(name: str, before: dict[str, str | None]) -> list[str]:
    """Return what leads from the start to a node, both included."""
    path = [name]
    while (via := before[path[-1]]) is not None:
        path.append(via)
    return path[::-1]


def _sql(name: str) -> str:
    return named("query/impact")[name]
