"""What leads to what, asked of the index a node at a time: for answers of few nodes."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from cmfd.query.nodewalk import NodeWalk
from cmfd.query.pairs import ROWS, steps_of, walk_pairs
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.walk import Bounds, Reach, Start, Step, Way


def walk_few(
    db: sqlite3.Connection, start: Start, way: Way, bounds: Bounds, most: int
) -> Reach | None:
    """
    Walk from an artifact or execution, as long as not much is reached.

    A query for each node takes as long as a recursive one for all of them, and tells how each was
    reached; a query for each level costs more than the few nodes that one of these has. Where there
    are only events, a query for every second one does: see `cmfd.query.pairs`.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, in a transaction.
    start, way, bounds
        As for `cmfd.query.walk.walk`; without a time.
    most : int
        Give up, and return None, where more artifacts or more executions than this are reached.
    """
    nested, linked, continued, unread = db.execute(_sql("kinds")).fetchone()
    if not (nested or linked or continued or unread):
        return walk_pairs(db, start, way, bounds.depth, ROWS * most)
    missing = {"inner", "outer"} if not nested else set()
    missing |= {"parts", "wholes"} if not linked else set()
    missing |= {"earlier", "later"} if not continued else set()
    superseded: set[int] = set()
    while True:
        try:
            found = NodeWalk(_Ways(db, missing, superseded, most), db).walk(
                start, way, bounds.depth
            )
        except _TooManyError:
            return None
        ids = [step.id for step in found.artifacts if step.via is not None]
        if not unread or not ids:
            return found
        rows = db.execute(_sql("superseded"), {"ids": json.dumps(ids)}).fetchall()
        if not rows:
            return found
        superseded |= {row[0] for row in rows}


class _TooManyError(Exception):
    """More is reached than was wanted."""


class _Found:
    """Nodes in a dictionary: see `cmfd.query.nodewalk.Found`."""

    def __init__(self, db: sqlite3.Connection, most: int, ignored: set[int]) -> None:
        self._execute = db.execute
        self._most = most
        self._via: dict[int, int | None] = dict.fromkeys(ignored)
        self._rounds: dict[int, list[int]] = defaultdict(list)

    def add(self, depth: int, node: int, via: int | None) -> None:
        if via is None or node not in self._via:
            self._via[node] = via
            self._rounds[depth].append(node)

    def go(self, depth: int, nodes: list[int], way: str, *, sign: int = 1) -> list[int]:
        via, execute, limit = self._via, self._execute, self._most + 1
        new: list[int] = []
        for node in nodes:
            for (other,) in execute(way, (node, limit)):
                if other not in via:
                    via[other] = sign * node
                    new.append(other)
                    if len(via) >= limit:
                        raise _TooManyError
        self._rounds[depth] += new
        return new

    def at(self, depth: int) -> list[int]:
        return self._rounds[depth].copy()

    def steps(self) -> list[Step]:
        return steps_of(sorted(self._rounds.items()), self._via)


class _Ways:
    """See `cmfd.query.nodewalk.Ways`."""

    def __init__(
        self, db: sqlite3.Connection, missing: set[str], superseded: set[int], most: int
    ) -> None:
        self._db = db
        self._missing = missing
        self._superseded = superseded
        self._most = most

    def way(self, name: str) -> str | None:
        return None if name in self._missing else _sql(name)

    def found(self, *, executions: bool) -> _Found:
        return _Found(self._db, self._most, set() if executions else self._superseded)

    def sliced(self, artifacts: list[int]) -> list[int]:
        rows = self._db.execute(_sql("sliced"), {"ids": json.dumps(artifacts)})
        return [row[0] for row in rows.fetchall()]


def _sql(name: str) -> str:
    return named("query/ways")[name]
