"""The sphere of influence of an artifact: all that it reached, and how."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cmfd.query.lineage import ReachedArtifact, ReachedExecution, makers, names, nodes, paths_to
from cmfd.query.reach import one_state, reach
from cmfd.query.results import Result
from cmfd.query.summary import UNKNOWN_NS, Party, Summary, asked, summary
from cmfd.query.walk import Bounds, Reach, Way

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cmfd.query.lineage import Names
    from cmfd.query.subject import Subject


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
    with one_state(db):
        found = reach(db, subject.start, Way.DOWN, Bounds(until_ns=until_ns))
        through = makers(found)
        artifacts = [step.id for step in found.artifacts if step.via is not None]
        executions = [step.id for step in found.executions if step.via is not None]
        reached = summary(db, executions, artifacts)
        at_ns = dict(zip(executions, reached.at_ns, strict=True))
        made_ns = [at_ns.get(through[number] or 0, UNKNOWN_NS) for number in artifacts]
        newest = _newest(reached.at_ns, executions, limit, partial(_ids, db))
        newest_artifacts = _newest(made_ns, artifacts, limit)
        on_paths = paths_to(found, set(newest_artifacts), set(newest))
        called = names(db, on_paths)
        known, steps = nodes(db, _of(on_paths, newest_artifacts, newest), called)
        runs = _runs(db, reached, limit)
    return Impact(
        start=subject.name,
        n_executions=len(executions),
        n_artifacts=len(artifacts),
        n_runs=len(reached.runs),
        kinds=reached.kinds,
        executions=[steps[number] for number in newest],
        artifacts=[known[number] for number in newest_artifacts],
        paths=_paths(_listed(called, newest, newest_artifacts), _before(on_paths, called)),
        labels=dict([*called.artifacts.values(), *called.executions.values()]),
        users=reached.users,
        pipelines=reached.pipelines,
        nodes=reached.nodes,
        runs=runs,
    )


def _runs(db: sqlite3.Connection, reached: Summary, limit: int) -> list[ReachedRun]:
    """Return the newest runs."""
    since = _since([run.at_ns for run in reached.runs.values()], limit)
    ids = [number for number, run in reached.runs.items() if run.at_ns >= since]
    rows = sorted(asked(db, "runs", ids), key=lambda row: (-row[1], row[2]))
    return [
        ReachedRun(
            run=run.hex(), job=job, cluster=cluster, user=user,
            began_ns=None if began_ns == UNKNOWN_NS else began_ns,
            n_executions=reached.runs[number].n_executions,
        )
        for number, began_ns, run, job, cluster, user in (rows if limit < 0 else rows[:limit])
    ]  # fmt: skip


def _newest(
    at_ns: Sequence[int],
    numbers: Sequence[int],
    limit: int,
    ids_of: Callable[[list[int]], Mapping[int, bytes]] = lambda _: {},
) -> list[int]:
    """Return the last ones by when they were, then by their ids or numbers; all with -1."""
    since = _since(at_ns, limit)
    chosen = [(-at, number) for at, number in zip(at_ns, numbers, strict=True) if at >= since]
    chosen.sort()
    if len({at for at, _ in chosen}) < len(chosen):
        ids = ids_of([number for _, number in chosen])
        chosen.sort(key=lambda one: (one[0], ids.get(one[1], b""), one[1]))
    return [number for _, number in (chosen if limit < 0 else chosen[:limit])]


def _ids(db: sqlite3.Connection, executions: list[int]) -> dict[int, bytes]:
    return dict(asked(db, "names", executions))


def _since(at_ns: Collection[int], limit: int) -> int:
    """Return when the last so many of some times begin."""
    return sorted(at_ns)[-limit] if 0 < limit < len(at_ns) else UNKNOWN_NS


def _of(found: Reach, artifacts: list[int], executions: list[int]) -> Reach:
    """Keep some of what was reached."""
    kept = set(artifacts), set(executions)
    return Reach(
        *([step for step in some if step.id in of] for some, of in zip(found, kept, strict=True))
    )


def _listed(called: Names, executions: list[int], artifacts: list[int]) -> list[str]:
    return [
        *(called.executions[number][0] for number in executions),
        *(called.artifacts[number][0] for number in artifacts),
    ]


def _before(found: Reach, called: Names) -> dict[str, str | None]:
    """Return what is before each thing on its path."""
    return {
        called.artifacts[step.id][0]: called.via(step, is_execution=False)
        for step in found.artifacts
    } | {
        called.executions[step.id][0]: called.via(step, is_execution=True)
        for step in found.executions
    }


def _paths(ends: list[str], before: dict[str, str | None]) -> dict[str, list[str]]:
    """Return what leads from the start to each of some nodes, both included."""
    known: dict[str | None, list[str]] = {None: []}
    for end in ends:
        further: list[str] = []
        at: str | None = end
        while at is not None and at not in known:
            further.append(at)
            at = before[at]
        path = known[at]
        for name in reversed(further):
            path = known[name] = [*path, name]
    return {end: known[end] for end in ends}
