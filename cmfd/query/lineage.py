"""
Ancestry and descendants of artifacts and executions, over all runs of a site.

An artifact is its content: whoever read the same content, from wherever and whenever, is reached
as well. That is what one asks of tainted data.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query.index import all_rows
from cmfd.query.reach import reach
from cmfd.query.results import Result
from cmfd.query.walk import UNLIMITED, Bounds, Reach, Step, Way
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.subject import Subject


class ReachedArtifact(Result, frozen=True, kw_only=True):
    """An artifact on the way, under the name and kind that it had first."""

    digest: str
    kind: str
    path: str
    size_bytes: int | None
    depth: int
    """Executions on a shortest path to it."""
    via: str | None
    """
    What is before it on that path: the execution, or another artifact, of which it is a part or
    that is a part of it. None for the start.
    """
    tainted: str | None
    """Why it was marked as tainted; None: it is not."""


class ReachedExecution(Result, frozen=True, kw_only=True):
    """An execution on the way."""

    execution: str
    run: str | None
    pipeline: str
    stage: str
    status: str
    began_ns: int | None
    user: str
    cluster: str
    job: str
    depth: int
    via: str | None
    """
    What is before it: a digest, or the execution that it is nested in or that is in it, or that it
    goes on from or that goes on from it (see `Continued`).
    """
    tainted: str | None


class Edge(Result, frozen=True, kw_only=True):
    """An artifact that went into or came out of an execution."""

    execution: str
    direction: str
    digest: str
    path: str
    observed: str | None
    """How it was seen, where nobody declared it; None: the program or its command line said so."""


class Continued(Result, frozen=True, kw_only=True):
    """An execution that goes on from another one."""

    execution: str
    earlier: str
    is_restart: bool
    """It is the same stage of the next start of a job, which went back into the queue."""


class Part(Result, frozen=True, kw_only=True):
    """An artifact that is part of another one, or the same content."""

    whole: str
    relation: str
    """``contains``, or ``same``: then neither is a part."""
    digest: str
    name: str
    """What the part is called in the whole."""


class Lineage(Result, frozen=True, kw_only=True):
    """Where an artifact or execution comes from, or what came of it; nearest first."""

    start: str
    way: str
    """``up`` to ancestors, ``down`` to descendants."""
    artifacts: list[ReachedArtifact]
    executions: list[ReachedExecution]
    edges: list[Edge]
    parts: list[Part]
    continued: list[Continued]


def lineage(  # noqa: PLR0913 - filters, each by name
    db: sqlite3.Connection,
    subject: Subject,
    way: Way,
    *,
    depth: int | None = None,
    stage: str | None = None,
    until_ns: int | None = None,
) -> Lineage:
    """
    Return all ancestors or descendants of an artifact or execution, and how they hang together.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    subject : Subject
        From `cmfd.query.subject`.
    way : Way
        To ancestors or descendants.
    depth : int, optional
        The most executions on a path.
    stage : str, optional
        Only executions of this stage (or ``pipeline.stage``), shortest paths to them, and what is
        next beyond them.
    until_ns : int, optional
        Only along executions that began by then.
    """
    bounds = Bounds(UNLIMITED if depth is None else depth, until_ns)
    found = reach(db, subject.start, way, bounds)
    if stage is not None:
        found = _towards(db, found, stage)
    artifacts, executions = nodes(db, found)
    return Lineage(
        start=subject.name,
        way=way.name.lower(),
        artifacts=list(artifacts.values()),
        executions=list(executions.values()),
        edges=_edges(db, artifacts, executions),
        parts=_parts(db, artifacts),
        continued=_continued(db, executions),
    )


def _towards(db: sqlite3.Connection, found: Reach, stage: str) -> Reach:
    """Keep executions of a stage, what they lead to, and what leads to them."""
    ids = json.dumps([step.id for step in found.executions])
    chosen = {row[0] for row in db.execute(_sql("of_stage"), {"ids": ids, "stage": stage})}
    beyond = {number for number, via in makers(found).items() if via in chosen}
    return paths_to(found, beyond, chosen)


def makers(found: Reach) -> dict[int, int | None]:
    """Return the execution before each artifact, artifacts before it left out."""
    before = {step.id: step.via for step in found.artifacts}
    if min(filter(None, before.values()), default=0) >= 0:
        return before

    def maker(via: int | None) -> int | None:
        while via is not None and via < 0:
            via = before[-via]
        return via

    return {number: maker(via) for number, via in before.items()}


def paths_to(found: Reach, artifacts: set[int], executions: set[int]) -> Reach:
    """Keep some of what was reached, and what is on the shortest paths to it."""
    steps = {step.id: step for step in found.executions}
    before = {step.id: step for step in found.artifacts}
    kept_artifacts: set[int] = set()
    kept_executions: set[int] = set()
    waiting = [(False, number) for number in artifacts] + [(True, number) for number in executions]
    while waiting:
        is_execution, number = waiting.pop()
        kept = kept_executions if is_execution else kept_artifacts
        if number in kept:
            continue
        kept.add(number)
        via = (steps if is_execution else before)[number].via
        if via is not None:
            waiting.append((is_execution == (via < 0), abs(via)))
    return Reach(
        [step for step in found.artifacts if step.id in kept_artifacts or step.via is None],
        [step for step in found.executions if step.id in kept_executions or step.via is None],
    )


class Names(NamedTuple):
    """What things are called, by their numbers: by digest or id, and for people."""

    artifacts: dict[int, tuple[str, str]]
    """Digest and path."""
    executions: dict[int, tuple[str, str]]
    """Id and ``pipeline.stage``."""

    def via(self, step: Step, *, is_execution: bool) -> str | None:
        """Return what is before an artifact or execution, by digest or id."""
        if step.via is None:
            return None
        alike = is_execution == (step.via < 0)
        return (self.executions if alike else self.artifacts)[abs(step.via)][0]


def names(db: sqlite3.Connection, found: Reach) -> Names:
    """Return what all that was reached is called."""
    return Names(
        {row[0]: row[1:] for row in _asked(db, "artifact_names", found.artifacts)},
        {row[0]: row[1:] for row in _asked(db, "execution_names", found.executions)},
    )


def nodes(
    db: sqlite3.Connection, found: Reach, called: Names | None = None
) -> tuple[dict[int, ReachedArtifact], dict[int, ReachedExecution]]:
    """
    Return what was reached with what is known of it, by number and in the same order.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    found : Reach
        What was reached, or some of it.
    called : Names, optional
        Of this, and of what is before it on its path.
    """
    called = called or names(db, found)
    artifacts = {row[0]: row for row in _asked(db, "artifacts", found.artifacts)}
    executions = {row[0]: row for row in _asked(db, "executions", found.executions)}
    return (
        {
            step.id: _artifact(*called.artifacts[step.id], *artifacts[step.id][1:], step=step,
                               via=called.via(step, is_execution=False))
            for step in found.artifacts
        },
        {
            step.id: _execution(called.executions[step.id][0], *executions[step.id][1:], step=step,
                                via=called.via(step, is_execution=True))
            for step in found.executions
        },
    )  # fmt: skip


def _artifact(  # noqa: PLR0913 - columns
    digest: str, path: str, kind: str, size_bytes: int | None, tainted: str | None,
    *, step: Step, via: str | None,
) -> ReachedArtifact:  # fmt: skip
    return ReachedArtifact(
        digest=digest, kind=kind, path=path, size_bytes=size_bytes, depth=step.depth, via=via,
        tainted=tainted,
    )  # fmt: skip


def _execution(  # noqa: PLR0913, PLR0917 - columns
    execution: str, run: str | None, pipeline: str, stage: str, status: str, began_ns: int | None,
    user: str, cluster: str, job: str, tainted: str | None, *, step: Step, via: str | None,
) -> ReachedExecution:  # fmt: skip
    return ReachedExecution(
        execution=execution, run=run, pipeline=pipeline, stage=stage, status=status,
        began_ns=began_ns, user=user, cluster=cluster, job=job, depth=step.depth, via=via,
        tainted=tainted,
    )  # fmt: skip


def _asked(db: sqlite3.Connection, query: str, found: list[Step]) -> list[tuple[Any, ...]]:
    return all_rows(db, _sql(query), {"ids": json.dumps([step.id for step in found])})


def _edges(
    db: sqlite3.Connection,
    artifacts: dict[int, ReachedArtifact],
    executions: dict[int, ReachedExecution],
) -> list[Edge]:
    chosen = {"executions": json.dumps(list(executions)), "artifacts": json.dumps(list(artifacts))}
    return [
        Edge(
            execution=executions[execution].execution, direction=direction,
            digest=artifacts[artifact].digest, path=path, observed=observed,
        )
        for execution, direction, artifact, path, observed in db.execute(_sql("events"), chosen)
    ]  # fmt: skip


def _continued(db: sqlite3.Connection, executions: dict[int, ReachedExecution]) -> list[Continued]:
    """Return which of some executions go on from others of them."""
    cursor = db.execute(_sql("continued"), {"executions": json.dumps(list(executions))})
    return [
        Continued(
            execution=executions[later].execution, earlier=executions[earlier].execution,
            is_restart=bool(is_restart),
        )
        for later, earlier, is_restart in cursor
    ]  # fmt: skip


def _parts(db: sqlite3.Connection, artifacts: dict[int, ReachedArtifact]) -> list[Part]:
    """Return which of some artifacts are parts of others of them."""
    cursor = db.execute(_sql("parts"), {"artifacts": json.dumps(list(artifacts))})
    return [
        Part(
            whole=artifacts[whole].digest, relation=relation, digest=artifacts[part].digest,
            name=name,
        )
        for whole, relation, part, name in cursor
    ]  # fmt: skip


def _sql(name: str) -> str:
    return named("query/lineage")[name]
