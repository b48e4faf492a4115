"""Which runs there are, which one a person means, and what one consists of."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cmfd import identity
from cmfd.errors import NotFoundError
from cmfd.query.cost import Usage, cpu_ns
from cmfd.query.delivery import nodes_of
from cmfd.query.index import fetch, object_of, results, value_of
from cmfd.query.metrics import summaries
from cmfd.query.notes import notes_of_run
from cmfd.query.results import (
    Artifact,
    Environment,
    Execution,
    Fact,
    Param,
    Process,
    Run,
    RunDetail,
    Start,
)

if TYPE_CHECKING:
    import sqlite3

EVERY = -1
"""As a limit: no limit (SQLite's convention)."""

_MOST_CANDIDATES = 10
_INTEGER_DIGITS = 19
_BACK = re.compile(r"@-(\d{1,9})")


def recent(  # noqa: PLR0913 - filters, each by name
    db: sqlite3.Connection,
    *,
    limit: int = EVERY,
    pipeline: str | None = None,
    stage: str | None = None,
    user: str | None = None,
    group: str | None = None,
    status: str | None = None,
    since_ns: int | None = None,
) -> list[Run]:
    """
    Return runs, latest first.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    limit : int
        How many at most.
    pipeline, stage : str, optional
        Only runs that have an execution of it.
    user, status : str, optional
        Only this user's runs; only runs that stand so.
    group : str, optional
        Only runs that are, or have an execution that is, a variant of this.
    since_ns : int, optional
        Only runs that began then or later.
    """
    rows = fetch(
        db, "runs", run_id=None, limit=limit, pipeline=pipeline, stage=stage, user=user,
        status=status, since_ns=since_ns, group=group,
    )  # fmt: skip
    return _runs(db, rows)


def _runs(db: sqlite3.Connection, rows: list[dict[str, Any]]) -> list[Run]:
    nodes = nodes_of(db, [row["run_id"] for row in rows])
    found = []
    for row in rows:
        known = nodes.get(row.pop("run_id"))
        missing = known.missing if known else []
        lists = {key: sorted(json.loads(row[key])) for key in ("stages", "variants")}
        found.append(Run(**{**row, **lists, "missing_nodes": missing}))
    return found


def find(db: sqlite3.Connection, name: str) -> int:
    """
    Find the run that a person means.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    name : str
        ``last``, ``@-1`` (the same), ``@-2`` (the last but one); a job id, which means the last
        start of that job, or of an array any of its tasks; the run's id or the beginning of it; its
        name; the id of one of its executions or the beginning of that. Of several, what comes first
        here counts.

    Returns
    -------
    int
        The run's number in this index, for the other queries.

    Raises
    ------
    NotFoundError
        No run or several go by it; the message lists them.
    """
    back = _BACK.fullmatch("@-1" if name == "last" else name)
    found = _counted_back(db, int(back[1]) - 1) if back else _candidates(db, name)
    if not found:
        raise NotFoundError(f"No run goes by {name!r} here. `cmfd runs` lists those there are.")
    if len(found) > 1:
        raise NotFoundError(f"{name!r} may be any of these runs:\n{_listed(found)}")
    run_id: int = found[0]["run_id"]
    return run_id


def _counted_back(db: sqlite3.Connection, back: int) -> list[dict[str, Any]]:
    return fetch(db, "recent_run", back=back) if back >= 0 else []


def _candidates(db: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    low: bytes | None
    high: bytes | None
    try:
        low, high = identity.prefix_range(name)
    except NotFoundError:  # a job id need not be hexadecimal
        low = high = None
    number = int(name) if name.isdecimal() and len(name) < _INTEGER_DIGITS else None
    rows = fetch(
        db, "find_run", name=name, number=number, low=low, high=high, limit=_MOST_CANDIDATES + 1
    )
    by_job = [row for row in rows if row["is_job"] and not row["is_followed"]]
    for kind in ("is_part", "is_id"):
        by_job = by_job or [row for row in rows if row[kind]]
    return by_job or rows or _of_executions(db, low, high)


def _of_executions(
    db: sqlite3.Connection, low: bytes | None, high: bytes | None
) -> list[dict[str, Any]]:
    return fetch(db, "runs_of_execution", low=low, high=high, limit=_MOST_CANDIDATES + 1)


def _listed(found: list[dict[str, Any]]) -> str:
    lines = [f"  {row['run']}  job {row['job'] or '-'}" for row in found]
    more = ["  ..."] if len(found) > _MOST_CANDIDATES else []
    return "\n".join(lines[:_MOST_CANDIDATES] + more)


def run_of(db: sqlite3.Connection, run_id: int) -> Run:
    """Return a run by its number in this index."""
    rows = fetch(
        db, "runs", run_id=run_id, limit=1, pipeline=None, stage=None, user=None, status=None,
        since_ns=None, group=None,
    )  # fmt: skip
    return _runs(db, rows)[0]


def executions(db: sqlite3.Connection, run_id: int) -> list[Execution]:
    """Return a run's executions, in the order they began."""
    return results(db, "executions", Execution, run_id=run_id)


def processes(db: sqlite3.Connection, run_id: int) -> list[Process]:
    """Return a run's processes, by execution, role and rank."""
    return results(db, "processes", Process, run_id=run_id)


def params(db: sqlite3.Connection, run_id: int) -> list[Param]:
    """Return a run's parameters by execution and key; a key with several values comes again."""
    return [_valued(Param, row) for row in fetch(db, "params", run_id=run_id)]


def facts(db: sqlite3.Connection, run_id: int) -> list[Fact]:
    """Return the facts of a run and its executions."""
    return [_valued(Fact, row) for row in fetch(db, "facts", run_id=run_id)]


def _valued(kind: type[Any], row: dict[str, Any]) -> Any:
    return kind(**{**row, "value": value_of(row["type"], row["value"])})


def artifacts(db: sqlite3.Connection, run_id: int) -> list[Artifact]:
    """Return what a run's executions consumed and produced."""
    rows = fetch(db, "artifacts", run_id=run_id)
    return [Artifact(**{**row, "properties": object_of(row["properties"])}) for row in rows]


def environments(db: sqlite3.Connection, run_id: int) -> list[Environment]:
    """Return where and with what the executions of a run ran."""
    rows = fetch(db, "environments", run_id=run_id)
    return [Environment(**{**row, "document": object_of(row["document"])}) for row in rows]


def detail(db: sqlite3.Connection, run_id: int) -> RunDetail:
    """Return everything about a run but its metrics' values."""
    run = run_of(db, run_id)
    parts, taking_part = executions(db, run_id), processes(db, run_id)
    return RunDetail(
        run=run,
        other_starts=results(db, "starts", Start, run_id=run_id),
        wall_ns=run.wall_ns,
        cpu_ns=cpu_ns(
            {part.execution: part.parent for part in parts},
            map(usage_of, taking_part),
        ),
        executions=parts,
        processes=taking_part,
        params=params(db, run_id),
        metrics=summaries(db, run_id),
        artifacts=artifacts(db, run_id),
        environments=environments(db, run_id),
        facts=facts(db, run_id),
        notes=notes_of_run(db, run_id),
    )


def usage_of(process: Process) -> Usage:
    """Return a process's CPU time, that of a wrapper apart."""
    used = process.cpu_user_ns + process.cpu_system_ns
    is_wrapper = process.role == "wrapper"
    return Usage(process.execution, process.host, used * is_wrapper, used * (not is_wrapper))
