"""
The graph of a site's events, compact, in a file beside the index: for answers of many nodes.

What leads to what, as arrays of numbers: those that a node leads to stand one after another, and a
second array says where each node's begin. Walking is five times as fast as any query; making the
file takes as long as a walk to some tenth of all there is. It says of which state of which index it
is, and is never asked of another one; whoever finds it out of date may make it anew, or remove it.

It is read, not mapped into memory: what another node of a network file system replaces would kill
who has it mapped.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from cmfd.merge.layout import GRAPH, GRAPH_PARTIAL_PREFIX
from cmfd.query.walk import UNLIMITED, Reach, Start, Step, Way, nearest, prepare
from cmfd.store.connection import named
from cmfd.store.shared import follow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

_MAGIC = b"cmfg\n"
_FORMAT = 1
_BITS = 31
_AT_ONCE = 1_000_000
"""Artifacts whose events are fetched as one text, which SQLite bounds to 1 GB."""


class _Array(msgspec.Struct, array_like=True):
    """Where an array lies: bytes from the end of the header, how many, and of which type."""

    offset: int
    n_bytes: int
    code: Literal["i", "q"]


class _Header(msgspec.Struct):
    """What stands at the beginning of the file: of what it is, and where its arrays are."""

    key: list[int | str]
    arrays: dict[str, _Array]


class _Lists(NamedTuple):
    """What each of some nodes leads to."""

    begins: memoryview[int]
    numbers: memoryview[int]


def _index_of(db: sqlite3.Connection) -> str:
    index: str = db.execute("PRAGMA database_list").fetchone()[2]
    return index


def _graph_of(index: str) -> str:
    return f"{index.rpartition('/')[0]}/{GRAPH}"


def _key(db: sqlite3.Connection, index: str) -> list[int | str]:
    """Return what tells this state of this index from any other; within a transaction."""
    # A merge adds a pack; a file made anew from the packs is another file, at another time.
    packs = db.execute(_sql("packs")).fetchone()
    stat = os.stat(index)  # noqa: PTH116 - quicker
    return [_FORMAT, stat.st_ino, stat.st_size, stat.st_mtime_ns, *packs]


class Graph:
    """
    A graph in a file.

    Parameters
    ----------
    file : path-like
        Of `keep`.

    Raises
    ------
    OSError, ValueError
        There is none, or none of this format; a LookupError, too, of a damaged one.
    """

    def __init__(self, file: Path) -> None:
        self._memory = memoryview(file.read_bytes())
        if self._memory[: len(_MAGIC)] != _MAGIC:
            raise ValueError(f"{file} is no graph")
        first = len(_MAGIC) + 8
        n_header = int.from_bytes(self._memory[len(_MAGIC) : first], "little")
        header = msgspec.json.decode(self._memory[first : first + n_header], type=_Header)
        self.key = header.key
        self._arrays = header.arrays
        self._base = first + n_header
        if self._base + sum(one.n_bytes for one in header.arrays.values()) != len(self._memory):
            raise ValueError(f"{file} is not whole")
        self.superseded = frozenset(self._array("superseded"))
        self.sliced = frozenset(self._array("sliced"))

    def _array(self, name: str) -> memoryview[int]:
        found = self._arrays[name]
        begin = self._base + found.offset
        return self._memory[begin : begin + found.n_bytes].cast(found.code)

    def lists(self, name: str) -> _Lists | None:
        """Return one of the kinds of ways between nodes; None where there is none of it."""
        if name not in self._arrays:
            return None
        return _Lists(self._array(f"{name}.begins"), self._array(name))


_known: dict[str, Graph] = {}


def current(db: sqlite3.Connection, *, load: bool = True) -> Graph | None:
    """
    Return the graph of an index as it is now, if there is one; within a transaction.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    load : bool
        Look into the file, if this process has not read it.
    """
    index = _index_of(db)
    key = _key(db, index)
    known = _known.get(index)
    if known is not None and known.key == key:
        return known
    _known.pop(index, None)
    if load:
        with suppress(OSError, ValueError, LookupError):  # msgspec's errors are ValueErrors
            known = Graph(Path(_graph_of(index)))
            if known.key == key:
                _known[index] = known
                return known
    return None


def keep(db: sqlite3.Connection) -> Graph | None:
    """
    Make the graph of an index, and keep it in a file beside that; within a transaction.

    Returns
    -------
    Graph, optional
        None where it cannot be kept: in somebody else's site, or on a full disk.
    """
    try:
        index = _index_of(db)
        _write(Path(_graph_of(index)), _key(db, index), dict(_arrays(db)))
    except OSError:
        return None
    return current(db)


def is_worth_it(db: sqlite3.Connection) -> int:
    """Return after how many nodes a walk is better done on a graph that is made for it."""
    if not os.access(Path(_index_of(db)).parent, os.W_OK):
        return UNLIMITED
    n_nodes: int = sum(db.execute(_sql("size")).fetchone())
    return max(1000, n_nodes // 20)


def _write(path: Path, key: list[int | str], arrays: dict[str, Any]) -> None:
    places, offset = {}, 0
    for name, array in arrays.items():
        places[name] = _Array(offset, array.nbytes, "q" if array.itemsize == 8 else "i")
        offset += array.nbytes
    header = msgspec.json.encode(_Header(key, places))
    with NamedTemporaryFile(dir=path.parent, prefix=GRAPH_PARTIAL_PREFIX, delete=False) as file:
        try:
            file.write(_MAGIC + len(header).to_bytes(8, "little") + header)
            for array in arrays.values():
                file.write(array)
            file.flush()
            os.fsync(file.fileno())
            follow(Path(file.name))
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


def _arrays(db: sqlite3.Connection) -> Iterator[tuple[str, Any]]:
    """Read what is to be kept."""
    n_artifacts, n_executions = db.execute(_sql("size")).fetchone()
    for name, back in (("inputs", "readers"), ("outputs", "writers")):
        texts = [
            db.execute(_sql(name), {"first": first, "last": last}).fetchone()[0]
            for first, last in _ranges(n_artifacts)
        ]
        executions, artifacts = _pairs(*texts)
        yield from _lists(name, executions, artifacts, n_executions)
        yield from _lists(back, artifacts, executions, n_artifacts)
    for name, back, more in (("outer", "inner", ()), ("earlier", "later", ("earlier_start",))):
        one, other = _pairs(*(db.execute(_sql(query)).fetchone()[0] for query in (name, *more)))
        yield from _lists(name, one, other, n_executions)
        yield from _lists(back, other, one, n_executions)
    (links,), (same,) = (db.execute(_sql(name)).fetchone() for name in ("parts", "same"))
    whole, part = _pairs(links, same)
    yield from _lists("parts", whole, part, n_artifacts)
    yield from _lists("wholes", part, whole, n_artifacts)
    for name in ("sliced", "superseded"):
        yield name, _numbers(*db.execute(_sql(name)).fetchone())


def _ranges(n: int) -> Iterator[tuple[int, int]]:
    for first, end in pairwise([*range(0, n + 1, _AT_ONCE), n + 1]):
        yield first, end - 1


def _numbers(text: str | None) -> Ints:
    import numpy as np  # noqa: PLC0415 - 0.1 s, where a graph is made

    return np.fromstring(text or "", np.int64, sep=",")


def _pairs(*texts: str | None) -> tuple[Ints, Ints]:
    import numpy as np  # noqa: PLC0415 - as above

    both = np.concatenate([_numbers(text) for text in texts])
    return both >> _BITS, both & ((1 << _BITS) - 1)


def _lists(name: str, nodes: Ints, others: Ints, n_nodes: int) -> Iterator[tuple[str, Any]]:
    """Yield an array of what the nodes lead to, each node's together, and where they begin."""
    import numpy as np  # noqa: PLC0415 - as above

    if len(nodes):
        begins = np.zeros(n_nodes + 2, np.int64)
        np.cumsum(np.bincount(nodes, minlength=n_nodes + 1), out=begins[1:])
        yield f"{name}.begins", begins
        yield name, others[np.argsort(nodes, kind="stable")].astype(np.int32)


class _Found:
    """What was reached of one kind: from where, and in which round."""

    def __init__(self) -> None:
        self.via: dict[int, int | None] = {}
        self.rounds: dict[int, list[int]] = defaultdict(list)

    def go(
        self, depth: int, nodes: Sequence[int], lists: _Lists | None, *, sign: int = 1
    ) -> list[int]:
        """Take in what nodes lead to; return what of it is new."""
        if lists is None:
            return []
        via, new = self.via, self.rounds[depth]
        n_before = len(new)
        begins, numbers = lists
        for node in nodes:
            for other in numbers[begins[node] : begins[node + 1]]:
                if other not in via:
                    via[other] = sign * node
                    new.append(other)
        return new[n_before:]

    def go_on(self, depth: int, nodes: Sequence[int], lists: _Lists | None) -> None:
        """Take in what nodes lead to, and those, and so on."""
        while nodes and lists is not None:
            nodes = self.go(depth, nodes, lists, sign=-1)

    def steps(self) -> list[Step]:
        """Return all of it, nearest first."""
        via = self.via
        return [
            Step(number, depth, via[number])
            for depth, some in sorted(self.rounds.items())
            for number in sorted(some)
        ]


class GraphWalk:
    """
    A walk on a graph, to the same answer as `cmfd.query.walk.walk`, where each step is told.

    Parameters
    ----------
    graph : Graph
        Of `current`.
    db : sqlite3.Connection
        The index that it is of: asked which slices overlap.
    """

    def __init__(self, graph: Graph, db: sqlite3.Connection) -> None:
        self._graph = graph
        self._db = db
        self._artifacts, self._around = _Found(), _Found()
        self._executions, self._outer = _Found(), _Found()
        self._links = graph.lists("parts"), graph.lists("wholes")

    def walk(self, start: Start, way: Way, most_executions: int) -> Reach:
        """Return what is reached from an artifact or execution."""
        self._artifacts.via = dict.fromkeys(self._graph.superseded)
        begin = self._executions if start.is_execution else self._artifacts
        begin.via[start.id] = None
        begin.rounds[0].append(start.id)
        if not start.is_execution:
            self._spread(0)
        names = (
            ("writers", "inputs", "earlier") if way is Way.UP else ("readers", "outputs", "later")
        )
        into, out_of, on, inner, outer = map(self._graph.lists, (*names, "inner", "outer"))
        for depth in range(0 if start.is_execution else 1, most_executions + 1):
            if depth and not self._to_executions(depth, into, on):
                break
            reached = self._executions.rounds[depth]
            if inner is not None:
                self._executions.go_on(depth, reached, inner)
                self._outer.go_on(depth, reached, outer)
                self._artifacts.go(depth, self._outer.rounds[depth], out_of)
            self._artifacts.go(depth, reached, out_of)
            self._spread(depth)
        whole, around = self._artifacts.steps(), self._around.steps()
        return Reach(nearest(whole, around) if around else whole, self._every_execution())

    def _to_executions(self, depth: int, into: _Lists | None, on: _Lists | None) -> list[int]:
        found = self._executions
        found.go(depth, self._artifacts.rounds[depth - 1], into)
        if self._around.via:
            found.go(depth, self._around.rounds[depth - 1], into)
        if on is not None:
            around = self._outer.rounds[depth - 1]
            found.go(depth, found.rounds[depth - 1] + around, on, sign=-1)
        return found.rounds[depth]

    def _spread(self, depth: int) -> None:
        """Go from what was reached to its parts, and from these to what they are part of."""
        parts, wholes = self._links
        if parts is None:
            return
        reached = self._artifacts.rounds[depth]
        self._artifacts.go_on(depth, reached, parts)
        for number in self._graph.sliced.intersection(reached):
            for other in self._overlapping(number):
                if other not in self._around.via:
                    self._around.via[other] = -number
                    self._around.rounds[depth].append(other)
        seeds = reached + self._around.rounds[depth]
        self._around.go_on(depth, seeds, wholes)

    def _overlapping(self, number: int) -> list[int]:
        """Return the slices that have rows in common with one."""
        prepare(self._db, Start(is_execution=False, id=number), [])
        self._db.execute(named("query/walk")["to_overlapping"], {"depth": 0})
        return [row[0] for row in self._db.execute(named("query/walk")["around"])]

    def _every_execution(self) -> list[Step]:
        """Return each execution once, where it is nearest; those around others, too."""
        found = {step.id: step for step in self._executions.steps()}
        around = self._outer.steps()
        if not around:
            return list(found.values())
        for step in around:
            if step.id not in found or step.depth < found[step.id].depth:
                found[step.id] = step
        return sorted(found.values(), key=lambda step: (step.depth, step.id))


def _sql(name: str) -> str:
    return named("query/graph")[name]
