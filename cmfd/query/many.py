"""What leads to what, taken from a site's graph a level at a time: for answers of many nodes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from cmfd.query.nodewalk import NodeWalk
from cmfd.query.walk import Bounds, Reach, Start, Step, Way, steps
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.graph import Graph, Ints, Lists

_NOTHING = np.empty(0, np.int64)


def walk_many(
    db: sqlite3.Connection, graph: Graph, start: Start, way: Way, bounds: Bounds
) -> Reach:
    """
    Walk from an artifact or execution on the graph of a site.

    Parameters
    ----------
    db : sqlite3.Connection
        The index that it is of, in a transaction.
    graph : Graph
        From `cmfd.query.graph`.
    start, way, bounds
        As for `cmfd.query.walk.walk`; without a time.
    """
    return NodeWalk(_Ways(db, graph), db).walk(start, way, bounds.depth)


class _Ways:
    """See `cmfd.query.nodewalk.Ways`."""

    def __init__(self, db: sqlite3.Connection, graph: Graph) -> None:
        self._graph = graph
        self._n_artifacts, self._n_executions = db.execute(named("query/graph")["size"]).fetchone()

    def way(self, name: str) -> Lists | None:
        return self._graph.lists(name)

    def found(self, *, executions: bool) -> _Found:
        if executions:
            return _Found(self._n_executions)
        return _Found(self._n_artifacts, self._graph.array("superseded"))

    def sliced(self, artifacts: Ints) -> list[int]:
        sliced: list[int] = np.intersect1d(artifacts, self._graph.array("sliced")).tolist()
        return sliced


class _Found:
    """Nodes in arrays: see `cmfd.query.nodewalk.Found`."""

    def __init__(self, n_nodes: int, ignored: Ints | None = None) -> None:
        self._is_known = np.zeros(n_nodes + 1, np.bool_)
        if ignored is not None:
            self._is_known[ignored] = True
        self._via = np.empty(n_nodes + 1, np.int64)
        self._rounds: dict[int, list[Ints]] = defaultdict(list)

    def add(self, depth: int, node: int, via: int | None) -> None:
        if via is not None and self._is_known[node]:
            return
        self._is_known[node] = True
        self._via[node] = via or 0
        self._rounds[depth].append(np.array([node], np.int64))

    def go(self, depth: int, nodes: Ints, way: Lists | None, *, sign: int = 1) -> Ints:
        if way is None or not len(nodes):
            return _NOTHING
        begins = way.begins[nodes]
        n_others = way.begins[nodes + 1] - begins
        last = np.cumsum(n_others)
        others = way.numbers[np.repeat(begins - last + n_others, n_others) + np.arange(last[-1])]
        fresh = ~self._is_known[others]
        new, first = np.unique(others[fresh], return_index=True)
        new = new.astype(np.int64)
        self._is_known[new] = True
        self._via[new] = sign * np.repeat(nodes, n_others)[fresh][first]
        self._rounds[depth].append(new)
        return new

    def at(self, depth: int) -> Ints:
        return np.concatenate([_NOTHING, *self._rounds[depth]])

    def steps(self) -> list[Step]:
        rounds = {depth: np.sort(self.at(depth)) for depth in sorted(self._rounds)}
        numbers = np.concatenate([_NOTHING, *rounds.values()])
        depths = np.repeat([*rounds], [len(some) for some in rounds.values()])
        found = steps(numbers.tolist(), depths.tolist(), self._via[numbers].tolist())
        # The start, which is among the first, came from nowhere.
        for at, step in enumerate(found):
            if not step.via:
                found[at] = step._replace(via=None)
                break
        return found
