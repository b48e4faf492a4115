"""What leads to what, asked of the index a node at a time: for answers of few nodes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cmfd.query.distant import Kinds, every_way, is_far
from cmfd.query.nodewalk import NodeWalk
from cmfd.query.pairs import ROWS, steps_of, walk_pairs
from cmfd.query.walk import UNLIMITED
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from cmfd.query.distant import Known
    from cmfd.query.walk import Bounds, Reach, Start, Step, Way

Leading = Callable[[int], Iterable[tuple[int]]]
"""What a node leads to on one kind of way."""


def walk_few(
    db: sqlite3.Connection, start: Start, way: Way, bounds: Bounds, most: int
) -> Reach | None:
    """
    Walk from an artifact or execution, as long as not much is reached.

    A query for each node takes as long as a recursive one for all of them, and tells how each was
    reached; a query for each level costs more than the few nodes that one of these has. Where there
    are only events, a query for every second one does: see `cmfd.query.pairs`. An index on a server
    is asked once for all of them: see `cmfd.query.distant`.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, in a transaction.
    start, way, bounds
        As for `cmfd.query.walk.walk`; without a time.
    most : int
        Give up, and return None, where more artifacts or more executions than this are reached.
    """
    kinds = Kinds(*db.execute(_sql("kinds")).fetchone())
    is_once = is_far(db) and bounds.depth == UNLIMITED
    if not (any(kinds) or is_once):
        return walk_pairs(db, start, way, bounds.depth, ROWS * most)
    ways = _Ways(db, kinds.missing, most)
    try:
        if is_once:
            _LAST[db] = kinds
            known = _known(db, start, way, kinds, most)
            if not kinds.linked or not ways.sliced(known.artifacts):
                ways = _KnownWays(db, known, most)
        return _walked(db, ways, start, way, bounds.depth, kinds)
    except TooManyError:
        return None


def walk_at_once(db: sqlite3.Connection, start: Start, way: Way, most: int) -> Reach | None:
    """
    Walk as `walk_few` does, by a single question to an index that is far away.

    Parameters
    ----------
    db, start, way, most
        As for `walk_few`, but in no transaction.

    Returns
    -------
    Reach or None
        None where that needs more than one question.

    Raises
    ------
    TooManyError
        More is reached than that.
    """
    kinds = _LAST.get(db)
    if kinds is None or kinds.linked or kinds.unread:
        return None
    known = _known(db, start, way, kinds, most)
    if known.kinds != kinds:  # by now, there is something else
        return None
    return _walked(db, _KnownWays(db, known, most), start, way, UNLIMITED, kinds)


_LAST: WeakKeyDictionary[Any, Kinds] = WeakKeyDictionary()
"""Which kinds of ways there were, when a connection asked for that last."""


def _known(db: sqlite3.Connection, start: Start, way: Way, kinds: Kinds, most: int) -> Known:
    known = every_way(db, start, way, kinds, ROWS * most)
    if known is None:
        raise TooManyError
    return known


def _walked(  # noqa: PLR0913, PLR0917 - all that makes a walk
    db: sqlite3.Connection, ways: _Ways, start: Start, way: Way, depth: int, kinds: Kinds
) -> Reach:
    while True:
        found = NodeWalk(ways, db).walk(start, way, depth)
        ids = [step.id for step in found.artifacts if step.via is not None]
        if not kinds.unread or not ids:
            return found
        rows = db.execute(_sql("superseded"), {"ids": json.dumps(ids)}).fetchall()
        if not rows:
            return found
        ways.superseded |= {row[0] for row in rows}


class TooManyError(Exception):
    """More is reached than was wanted."""


class _Found:
    """Nodes in a dictionary: see `cmfd.query.nodewalk.Found`."""

    def __init__(self, most: int, ignored: set[int]) -> None:
        self._most = most
        self._via: dict[int, int | None] = dict.fromkeys(ignored)
        self._rounds: dict[int, list[int]] = defaultdict(list)

    def add(self, depth: int, node: int, via: int | None) -> None:
        if via is None or node not in self._via:
            self._via[node] = via
            self._rounds[depth].append(node)

    def go(self, depth: int, nodes: list[int], way: Leading, *, sign: int = 1) -> list[int]:
        via, limit = self._via, self._most + 1
        new: list[int] = []
        for node in nodes:
            for (other,) in way(node):
                if other not in via:
                    via[other] = sign * node
                    new.append(other)
                    if len(via) >= limit:
                        raise TooManyError
        self._rounds[depth] += new
        return new

    def at(self, depth: int) -> list[int]:
        return self._rounds[depth].copy()

    def steps(self) -> list[Step]:
        return steps_of(sorted(self._rounds.items()), self._via)


class _Ways:
    """See `cmfd.query.nodewalk.Ways`."""

    def __init__(self, db: sqlite3.Connection, missing: Collection[str], most: int) -> None:
        self._db = db
        self._missing = missing
        self._most = most
        self.superseded: set[int] = set()

    def way(self, name: str) -> Leading | None:
        if name in self._missing:
            return None
        execute, query, limit = self._db.execute, _sql(name), self._most + 1
        return lambda node: execute(query, (node, limit))

    def found(self, *, executions: bool) -> _Found:
        return _Found(self._most, set() if executions else self.superseded)

    def sliced(self, artifacts: Iterable[int]) -> list[int]:
        rows = self._db.execute(_sql("sliced"), {"ids": json.dumps([*artifacts])})
        return [row[0] for row in rows.fetchall()]


class _KnownWays(_Ways):
    """Ways that are known already, between things of which none is a slice."""

    def __init__(self, db: sqlite3.Connection, known: Known, most: int) -> None:
        super().__init__(db, (), most)
        self._known = known

    def way(self, name: str) -> Leading | None:
        others = self._known.ways.get(name)
        if others is None:
            return None
        return lambda node: others.get(node, ())

    def sliced(self, artifacts: Iterable[int]) -> list[int]:  # noqa: ARG002 - see above
        return []


def _sql(name: str) -> str:
    return named("query/ways")[name]
