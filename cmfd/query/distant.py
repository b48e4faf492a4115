"""
What leads to what, asked at once: for answers of few nodes from an index that is far away.

Each question to a server takes longer than many to a file. So all that may be on the way is asked
for in one, which the server walks, and the answer is then walked over here as any other.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query.walk import Way
from cmfd.store.connection import named

if TYPE_CHECKING:
    from cmfd.query.walk import Start

_ARTIFACT, _EXECUTION, _AROUND, _OUTER = range(4)
"""Kinds of nodes, by what leads on from them; the last two are what the first two are within."""

_FROM: dict[str, tuple[tuple[int, ...], int]] = {
    "readers": ((_ARTIFACT, _AROUND), _EXECUTION),
    "writers": ((_ARTIFACT, _AROUND), _EXECUTION),
    "inputs": ((_EXECUTION, _OUTER), _ARTIFACT),
    "outputs": ((_EXECUTION, _OUTER), _ARTIFACT),
    "earlier": ((_EXECUTION, _OUTER), _EXECUTION),
    "later": ((_EXECUTION, _OUTER), _EXECUTION),
    "inner": ((_EXECUTION,), _EXECUTION),
    "outer": ((_EXECUTION, _OUTER), _OUTER),
    "parts": ((_ARTIFACT,), _ARTIFACT),
    "wholes": ((_ARTIFACT, _AROUND), _AROUND),
}
"""From which kinds of nodes each kind of way leads, and to which: see `cmfd.query.nodewalk`."""

_AGAINST = {Way.UP: {"readers", "outputs", "later"}, Way.DOWN: {"writers", "inputs", "earlier"}}


class Kinds(NamedTuple):
    """Which kinds of ways there are, besides events."""

    nested: int
    linked: int
    continued: int
    unread: int
    """Not a way: whether anything was not hashed."""

    @property
    def missing(self) -> frozenset[str]:
        """Which ways there are none of, by their names."""
        ways = (("inner", "outer"), ("parts", "wholes"), ("earlier", "later"))
        return frozenset(
            name for has, names in zip(self, ways, strict=False) if not has for name in names
        )


class Known(NamedTuple):
    """What leads to what."""

    kinds: Kinds
    """Which kinds there are by now."""

    ways: dict[str, dict[int, list[tuple[int]]]]
    """What each node leads to, by the kinds of ways between them."""
    artifacts: set[int]
    """Which artifacts are reached whole, and so lead on to their parts; where there are links."""


def is_far(db: object) -> bool:
    """Say whether a question to an index takes far longer than to a file: it is on a server."""
    return not isinstance(db, sqlite3.Connection)


def every_way(
    db: sqlite3.Connection, start: Start, way: Way, kinds: Kinds, most: int
) -> Known | None:
    """
    Return what leads to what, of all that is reached.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, which is far away.
    start, way
        As for `cmfd.query.walk.walk`.
    kinds : Kinds
        Which ways to go.
    most : int
        Give up, and return None, with more than this many steps.
    """
    names = _names(kinds, way)
    kind = _EXECUTION if start.is_execution else _ARTIFACT
    asked = {"kind": kind, "id": start.id, "limit": most + 1}
    rows = db.execute(_query(names), asked).fetchall()
    if len(rows) > most:
        return None
    rows.sort()  # of paths that are as short, the same is taken as from a file
    _, _, there = rows.pop(0)  # the start: the only one that no way leads to
    found: list[dict[int, list[tuple[int]]]] = [defaultdict(list) for _ in names]
    for number, node, before in rows:
        found[number][before].append((node,))
    to_artifacts = {n for n, name in enumerate(names) if _FROM[name][1] == _ARTIFACT}
    whole = {node for number, node, _ in rows if number in to_artifacts} if kinds.linked else set()
    return Known(
        Kinds(*(there >> bit & 1 for bit in range(len(kinds)))),
        dict(zip(names, found, strict=True)),
        whole if start.is_execution else {start.id, *whole},
    )


@cache
def _names(kinds: Kinds, way: Way) -> tuple[str, ...]:
    return tuple(name for name in _FROM if name not in kinds.missing | _AGAINST[way])


@cache
def _query(names: tuple[str, ...]) -> str:
    """Put what is asked of a node by each kind of way into one question."""
    steps = (
        f"SELECT {_FROM[name][1]} AS kind, {number} AS way, n.id FROM ({_of(name)}) AS n (id)"  # noqa: S608 - our own text
        f" WHERE r.kind IN ({', '.join(map(str, _FROM[name][0]))})"
        for number, name in enumerate(names)
    )
    query = named("postgres/distant")["every"].replace("{steps}", "\nUNION ALL ".join(steps))
    return query.replace("{kinds}", _of("kinds"))


def _of(name: str) -> str:
    query = named("query/ways")[name].strip().removesuffix(";").strip()
    query = query.replace("SELECT DISTINCT", "SELECT")  # each step is taken once in any case
    return query.removesuffix("LIMIT ?").replace("?", "r.id")
