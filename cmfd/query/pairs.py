"""What leads to what over two events at a time: for few nodes where there is nothing but events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.query.walk import Reach, Start, Step, Way, steps
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

ROWS = 4
"""Pairs for each node up to which this takes no longer than asking for each node by itself."""


def walk_pairs(
    db: sqlite3.Connection, start: Start, way: Way, most_executions: int, n_pairs: int
) -> Reach | None:
    """
    Walk from an artifact or execution, as long as that takes few pairs of events.

    Up, an artifact leads to who wrote it and to what that read; down, an execution to what it wrote
    and to who read that. Mostly a content is written once, so that hardly a pair says nothing new.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, in a transaction; of nothing but events.
    start, way
        As for `cmfd.query.walk.walk`.
    most_executions : int
        On a path.
    n_pairs : int
        Give up, and return None, with this many.
    """
    is_up, execute, pairs = way is Way.UP, db.execute, _sql("pairs", way)
    near: dict[int, int | None] = {}
    far: dict[int | None, int | None] = {None: None, start.id: None}
    near_rounds: list[tuple[int, list[int]]] = []
    far_rounds = [(0, [start.id])]
    depth, nodes = 0, [start.id]
    if start.is_execution is is_up:  # it is in the middle of a pair
        near, far, near_rounds, far_rounds = {start.id: None}, {None: None}, far_rounds, []
        depth = 0 if is_up else 1
        rows = execute(_sql("half", way), (start.id, n_pairs)).fetchall()
        n_pairs -= len(rows)
        nodes = [row[0] for row in rows] if depth <= most_executions else []
        far.update(dict.fromkeys(nodes, start.id))
        far_rounds.append((depth, nodes))
    while nodes and n_pairs > 0 and depth + is_up <= most_executions:
        new_near: list[int] = []
        new_far: list[int] = []
        for node in nodes:
            for one, other in execute(pairs, (node, n_pairs)):
                n_pairs -= 1
                if one not in near:
                    near[one] = node
                    new_near.append(one)
                if other not in far:
                    far[other] = one
                    new_far.append(other)
        near_rounds.append((depth + is_up, new_near))
        depth += 1
        nodes = new_far if depth <= most_executions else []
        far_rounds.append((depth, nodes))
    if n_pairs <= 0:
        return None
    found = steps_of(near_rounds, near), steps_of(far_rounds, far)
    return Reach(*(found[::-1] if is_up else found))


def steps_of(rounds: Sequence[tuple[int, list[int]]], via: Mapping[Any, int | None]) -> list[Step]:
    """Return what was reached, depth by depth, at each in order."""
    numbers: list[int] = []
    depths: list[int] = []
    for depth, some in rounds:
        some.sort()
        numbers += some
        depths += [depth] * len(some)
    return steps(numbers, depths, map(via.__getitem__, numbers))


def _sql(name: str, way: Way) -> str:
    return named("query/pairs")[f"{name}_{way.name.lower()}"]
