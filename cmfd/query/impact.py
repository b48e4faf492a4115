"""The sphere of influence of an artifact: all that it reached, and how."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from cmfd.query.lineage import ReachedArtifact, ReachedExecution, makers, nodes, paths_to
from cmfd.query.reach import reach
from cmfd.query.results import Result
from cmfd.query.walk import Bounds, Way
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.subject import Subject

    R = TypeVar("R", bound=Result)


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
        How many executions and how many artifacts to list and to give a path to, the newest ones;
        -1: all. Counts, users, pipelines, nodes and runs are always of everything.
    until_ns : int, optional
        Only along executions that began by then.
    """
    found = reach(db, subject.start, Way.DOWN, Bounds(until_ns=until_ns))
    through = makers(found)
    artifacts = {step.id: through[step.id] for step in found.artifacts if step.via is not None}
    reached = [step.id for step in found.executions if step.via is not None]
    ids = json.dumps(reached)
    newest = _numbers(db, "newest_executions", ids=ids, limit=limit)
    pairs = json.dumps(list(artifacts.items()))
    newest_artifacts = _numbers(db, "newest_artifacts", pairs=pairs, limit=limit)
    known, steps = nodes(db, paths_to(found, set(newest_artifacts), set(newest)))
    before = {one.digest: one.via for one in known.values()}
    before |= {one.execution: one.via for one in steps.values()}
    listed = [steps[number].execution for number in newest]
    listed += [known[number].digest for number in newest_artifacts]
    return Impact(
        start=subject.name,
        n_executions=len(reached),
        n_artifacts=len(artifacts),
        kinds=dict(db.execute(_sql("n_of_kind"), {"ids": json.dumps(list(artifacts))})),
        executions=[steps[number] for number in newest],
        artifacts=[known[number] for number in newest_artifacts],
        paths={name: _path(name, before) for name in listed},
        labels={one.digest: one.path for one in known.values()}
        | {one.execution: f"{one.pipeline}.{one.stage}" for one in steps.values()},
        users=_rows(db, "users", Party, ids),
        pipelines=_rows(db, "pipelines", Party, ids),
        nodes=_rows(db, "nodes", Party, ids),
        runs=_rows(db, "runs", ReachedRun, ids),
    )


def _numbers(db: sqlite3.Connection, query: str, **parameters: object) -> list[int]:
    return [row[0] for row in db.execute(_sql(query), parameters)]


def _rows(db: sqlite3.Connection, query: str, kind: type[R], ids: str) -> list[R]:
    cursor = db.execute(_sql(query), {"ids": ids})
    names = [column[0] for column in cursor.description]
    return [kind(**dict(zip(names, row, strict=True))) for row in cursor]


def _path(name: str, before: dict[str, str | None]) -> list[str]:
    """Return what leads from the start to a node, both included."""
    path = [name]
    while (via := before[path[-1]]) is not None:
        path.append(via)
    return path[::-1]


def _sql(name: str) -> str:
    return named("query/lineage")[name]
