"""Executions that a filter lets pass, and those of them that did best."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cmfd.errors import ConfigError, NotFoundError
from cmfd.query.filter import Filter
from cmfd.query.index import value_of
from cmfd.query.metrics import goal_of
from cmfd.query.reach import reach_into_tables
from cmfd.query.results import Result, Timed
from cmfd.query.walk import Way
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.subject import Subject

_WINDOW = 5000
"""So many of the latest executions are looked at one by one before all are searched by index."""


_WIDER = 8
"""So many times more are looked at if that promises to be enough."""

_USED = "e.id IN (SELECT id FROM reached_execution UNION ALL SELECT id FROM reached_outer)"


class Found(Timed, frozen=True, kw_only=True):
    """An execution that was searched for."""

    execution: str
    run: str | None
    name: str
    """Of its run."""
    pipeline: str
    stage: str
    status: str
    user: str
    cluster: str
    job: str
    params: dict[str, list[Any]]
    """All values of each; several where its ranks disagree."""
    tainted: bool
    """Whether it, its run, or something that it read or wrote is marked as tainted."""


class Leader(Found, frozen=True, kw_only=True):
    """An execution on a leader board."""

    value: float | int
    """The best value of the metric that it logged, on any rank."""
    last: float | int | None
    """The last one, of its lowest rank; None for a NaN."""


class LeaderBoard(Result, frozen=True, kw_only=True):
    """Executions by the best value of a metric."""

    pipeline: str
    metric: str
    goal: str
    """``max`` or ``min``."""
    leaders: list[Leader]
    """Best first."""


def search(db: sqlite3.Connection, where: str = "", *, limit: int = 20) -> list[Found]:
    """
    Return executions that a filter lets pass, latest first.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    where : str
        A filter: see `cmfd.query.filter`.
    limit : int
        How many at most; -1: all.

    Raises
    ------
    FilterError
        The filter cannot be understood.
    """
    chosen = Filter(where, db)
    ids = _latest(db, chosen, limit)
    if ids is None:
        sql, parameters = chosen.compiled(by_index=True)
        query = _sql("every").replace("{condition}", sql)
        ids = [row[0] for row in db.execute(query, {**parameters, "limit": limit})]
    return [Found(**row) for row in _rows(db, ids)]


def _latest(db: sqlite3.Connection, chosen: Filter, limit: int) -> list[int] | None:
    """Return what is asked for if the latest executions have that much of it."""
    sql, parameters = chosen.compiled(by_index=False)
    query = _sql("latest").replace("{condition}", sql)
    for window in (_WINDOW, _WINDOW * _WIDER):
        since = db.execute(_sql("since"), {"offset": window}).fetchone()
        bounds = {"since_ns": since[0] if since else -(2**63), "limit": limit}
        ids = [row[0] for row in db.execute(query, {**parameters, **bounds})]
        if since is None or 0 <= limit <= len(ids):
            return ids
        if limit < 0 or len(ids) * _WIDER < limit:  # as many again would not do
            return None
    return None


def best(  # noqa: PLR0913 - filters, each by name
    db: sqlite3.Connection,
    pipeline: str,
    metric: str,
    *,
    stage: str | None = None,
    goal: str | None = None,
    slice: str | None = None,  # noqa: A002 - the word of the model
    where: str = "",
    using: Subject | None = None,
    limit: int = 10,
) -> LeaderBoard:
    """
    Return the executions of a pipeline that reached the best values of a metric.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    pipeline, metric : str
        Of which, and by what.
    stage : str, optional
        Only its executions.
    goal : str, optional
        ``max`` or ``min``; by default, what the metric's name says.
    slice : str, optional
        By the metric as it was logged for this slice of the data, ``metric[slice]``.
    where : str
        A filter: see `cmfd.query.filter`.
    using : Subject, optional
        Only executions that used this artifact, at any distance: from `cmfd.query.subject`.
    limit : int
        How many at most; -1: all.

    Raises
    ------
    ConfigError
        The metric's name does not say which values are good, and neither does `goal`.
    FilterError
        The filter cannot be understood.
    NotFoundError
        The pipeline is not known, or has no such metric.
    """
    goal = goal or goal_of(metric)
    if slice is not None:
        metric = f"{metric}[{slice}]"
    chosen = Filter(where, db)
    _require(db, pipeline, metric)
    if goal is None:
        raise ConfigError(
            f"Which values of {metric!r} are good is not clear from its name: say --max or --min."
        )
    if using is not None:
        reach_into_tables(db, using.start, Way.DOWN)
    rows = _leaders(
        db, chosen, goal, using is not None, pipeline=pipeline, stage=stage, metric=metric,
        limit=limit,
    )  # fmt: skip
    ids = [row[0] for row in rows]
    last = dict(db.execute(_sql("last"), {"ids": json.dumps(ids), "metric": metric}).fetchall())
    return LeaderBoard(
        pipeline=pipeline,
        metric=metric,
        goal=goal,
        leaders=[
            Leader(**found, value=value, last=last.get(number))
            for found, (number, value) in zip(_rows(db, ids), rows, strict=True)
        ],
    )


def _leaders(
    db: sqlite3.Connection, chosen: Filter, goal: str, using: bool, **asked: object  # noqa: FBT001 - bound in the query
) -> list[tuple[int, Any]]:  # fmt: skip
    sql, parameters = chosen.compiled(by_index=False)
    query = _sql(f"best_{goal}").replace("{condition}", sql)
    query = query.replace("{used}", _USED if using else "true")
    return db.execute(query, {**parameters, **asked}).fetchall()


def _require(db: sqlite3.Connection, pipeline: str, metric: str) -> None:
    """See to it that there is something to compare."""
    if db.execute(_sql("has_pipeline"), {"pipeline": pipeline}).fetchone() is None:
        raise NotFoundError(
            f"No execution is of pipeline {pipeline!r} here. `cmfd runs` shows which there are."
        )
    query = """
        SELECT 1 FROM series AS s CROSS JOIN execution AS e ON e.id = s.execution_id
        WHERE s.name = ? AND e.pipeline = ? LIMIT 1"""
    if db.execute(query, (metric, pipeline)).fetchone() is None:
        names = [row[0] for row in db.execute(_sql("metric_names"), {"pipeline": pipeline})]
        raise NotFoundError(
            f"Pipeline {pipeline!r} has no metric {metric!r}. It has: {', '.join(names) or 'none'}."
        )


def _rows(db: sqlite3.Connection, ids: list[int]) -> list[dict[str, Any]]:
    """Return executions in the order of their numbers here, with their parameters."""
    if not ids:
        return []
    chosen = {"ids": json.dumps(ids)}
    params: dict[int, dict[str, list[Any]]] = {number: {} for number in ids}
    for number, key, value_type, value in db.execute(_sql("params"), chosen):
        params[number].setdefault(key, []).append(value_of(value_type, value))
    cursor = db.execute(_sql("executions"), chosen)
    names = [column[0] for column in cursor.description][1:]
    tainted = {row[0] for row in db.execute(_sql("tainted"), chosen)}
    return [
        dict(zip(names, row[1:], strict=True))
        | {"params": params[row[0]], "tainted": row[0] in tainted}
        for row in cursor
    ]


def _sql(name: str) -> str:
    return named("query/search")[name]
