"""What executions and artifacts that were reached are, all together: users, runs, nodes, kinds."""

from __future__ import annotations

import json
from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query import graph, reach
from cmfd.query.distant import is_far
from cmfd.query.index import all_rows
from cmfd.query.results import Result
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

UNKNOWN_NS = graph.UNKNOWN_NS

_LISTED = "FROM (SELECT value AS id FROM json_each(:ids)) AS a"


class Party(Result, frozen=True, kw_only=True):
    """A user, pipeline or node that was reached."""

    name: str
    n_executions: int
    last_ns: int | None
    """When the latest of these executions began."""


class RunOf(NamedTuple):
    """A run that some executions are of."""

    at_ns: int
    n_executions: int


class Summary(NamedTuple):
    """What some executions and artifacts are."""

    at_ns: Sequence[int]
    """When each of the executions began, in the order in which they were asked for."""
    users: list[Party]
    pipelines: list[Party]
    nodes: list[Party]
    runs: dict[int, RunOf]
    """By their numbers."""
    kinds: dict[str, int]
    """How many artifacts are of which, the most frequent first."""


def summary(db: sqlite3.Connection, executions: list[int], artifacts: list[int]) -> Summary:
    """
    Say what some executions and artifacts are.

    Of very many, most of it is taken from the site's graph, if there is one.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, in a transaction.
    executions, artifacts : list of int
        Their numbers.
    """
    known = graph.current(db) if len(executions) > reach.FEW else None
    if known is None:
        return _by_index(db, executions, artifacts)
    from cmfd.query.columns import by_columns  # noqa: PLC0415 - imports numpy

    return by_columns(db, known, executions, artifacts)


class _Reached(NamedTuple):
    """
    Executions, by when they began.

    In columns, which are counted without a loop: of very many, that takes longer than the index.
    """

    id: Sequence[int]
    at_ns: Sequence[int]
    pipeline: Sequence[str | None]
    run_id: Sequence[int | None]
    run_at_ns: Sequence[int]
    user: Sequence[str]
    cluster: Sequence[str]
    host: Sequence[str | None]
    """None where there are several."""


def _by_index(db: sqlite3.Connection, executions: list[int], artifacts: list[int]) -> Summary:
    rows = sorted(asked(db, "reached", executions), key=itemgetter(1))
    reached = _Reached(*(zip(*rows, strict=True) if rows else ((),) * len(_Reached._fields)))
    began = dict(zip(reached.id, reached.at_ns, strict=True))
    run_at_ns = dict(zip(reached.run_id, reached.run_at_ns, strict=True))
    n_executions = Counter(number for number in reached.run_id if number is not None)
    return Summary(
        at_ns=[began[number] for number in executions],
        users=_parties(reached.user, reached.at_ns),
        pipelines=_parties(reached.pipeline, reached.at_ns),
        nodes=_nodes(db, reached),
        runs={number: RunOf(run_at_ns[number], n) for number, n in n_executions.items()},
        kinds=dict(asked(db, "n_of_kind", artifacts)),
    )


def _nodes(db: sqlite3.Connection, reached: _Reached) -> list[Party]:
    """Return where they ran."""
    on = list(zip(reached.host, reached.cluster, reached.at_ns, strict=True))
    if None in reached.host:
        of = {row[0]: row[1] for row in zip(reached.id, on, strict=True) if row[1][0] is None}
        on = [one for one in on if one[0] is not None]
        on += [(host, *of[number][1:]) for number, host in asked(db, "hosts", list(of))]
        on.sort(key=itemgetter(2))
    names = [node_name(host, cluster) for host, cluster, _ in on if host is not None]
    return _parties(names, [at_ns for _, _, at_ns in on])


def node_name(host: str, cluster: str) -> str:
    """Return what a node is called."""
    return f"{host}@{cluster}" if cluster else host


def _parties(names: Sequence[str | None], at_ns: Sequence[int]) -> list[Party]:
    """Count each name, once for each execution, in the order of their times."""
    n_executions = Counter(names)
    last_ns = dict(zip(names, at_ns, strict=True))
    return parties((name, n, last_ns[name]) for name, n in n_executions.items() if name is not None)


def parties(found: Iterable[tuple[str, int, int]]) -> list[Party]:
    """Return names, with how many executions are of each and when the last one began; by that."""
    return [
        Party(name=name, n_executions=n, last_ns=None if last_ns == UNKNOWN_NS else last_ns)
        for name, n, last_ns in sorted(found, key=lambda one: (-one[2], one[0]))
    ]


def asked(db: sqlite3.Connection, query: str, ids: list[int]) -> list[tuple[Any, ...]]:
    """
    Run a query on the numbers of executions, artifacts or runs, which it finds in a table.

    On a server it finds them in a list: of a new table nothing is known, and other tables would be
    joined with it whole; and each statement less is a way less.
    """
    said = {"ids": json.dumps(sorted(ids))}
    if is_far(db):
        return db.execute(_sql(query).replace("FROM asked AS a", _LISTED), said).fetchall()
    db.execute(_sql("make_asked"))
    db.execute(_sql("clear_asked"))
    db.execute(_sql("ask"), said)
    return all_rows(db, _sql(query))


def _sql(name: str) -> str:
    return named("query/impact")[name]
