"""
A walk that goes from nodes to what they lead to, wherever that is known from.

To the same answer as `cmfd.query.walk.walk`, which tells what each step is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from cmfd.query.walk import Reach, Start, Step, Way, nearest, prepare
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sized

Nodes = TypeVar("Nodes", bound="Sized")
"""Numbers of some nodes of one kind: a list, or an array."""


class Found(Protocol[Nodes]):
    """What was reached of one kind: from where, and at which depth."""

    def add(self, depth: int, node: int, via: int | None) -> None:
        """Take in a node, unless it is known."""

    def go(self, depth: int, nodes: Nodes, way: Any, *, sign: int = 1) -> Nodes:
        """Take in what nodes lead to on a kind of way; return what of it is new."""

    def at(self, depth: int) -> Nodes:
        """Return what was taken in at a depth."""

    def steps(self) -> list[Step]:
        """Return all of it, nearest first."""


class Ways(Protocol[Nodes]):
    """What leads to what."""

    def way(self, name: str) -> Any:
        """Return what `Found.go` takes as a kind of way; None where there is none of it."""

    def found(self, *, executions: bool) -> Found[Nodes]:
        """Return where to gather nodes of a kind, with what is not to be reached in it."""

    def sliced(self, artifacts: Nodes) -> Iterable[int]:
        """Return which of some artifacts are slices."""


class NodeWalk(Generic[Nodes]):
    """
    A walk, once.

    Parameters
    ----------
    ways : Ways
        What leads to what.
    db : sqlite3.Connection
        The index that it is of: asked which slices overlap.
    """

    def __init__(self, ways: Ways[Nodes], db: sqlite3.Connection) -> None:
        self._ways = ways
        self._db = db
        self._artifacts, self._around = (ways.found(executions=False) for _ in range(2))
        self._executions, self._outer = (ways.found(executions=True) for _ in range(2))
        self._links = ways.way("parts"), ways.way("wholes")

    def walk(self, start: Start, way: Way, most_executions: int) -> Reach:
        """Return what is reached from an artifact or execution."""
        begin = self._executions if start.is_execution else self._artifacts
        begin.add(0, start.id, None)
        if not start.is_execution:
            self._spread(0)
        names = (
            ("writers", "inputs", "earlier") if way is Way.UP else ("readers", "outputs", "later")
        )
        into, out_of, on, inner, outer = map(self._ways.way, (*names, "inner", "outer"))
        executions, artifacts = self._executions, self._artifacts
        read = artifacts.at(0)
        for depth in range(0 if start.is_execution else 1, most_executions + 1):
            reached = self._to_executions(depth, read, into, on) if depth else executions.at(0)
            if not len(reached):
                break
            if inner is not None:
                _go_on(executions, depth, reached, inner)
                _go_on(self._outer, depth, executions.at(depth), outer)
                artifacts.go(depth, self._outer.at(depth), out_of)
                reached = executions.at(depth)
            read = artifacts.go(depth, reached, out_of)
            if inner is not None or self._links[0] is not None:
                self._spread(depth)
                read = artifacts.at(depth)
        whole, around = artifacts.steps(), self._around.steps()
        return Reach(nearest(whole, around) if around else whole, self._every_execution())

    def _to_executions(self, depth: int, read: Nodes, into: Any, on: Any) -> Nodes:
        found = self._executions
        new = found.go(depth, read, into)
        if self._links[0] is None and on is None:
            return new
        found.go(depth, self._around.at(depth - 1), into)
        if on is not None:
            found.go(depth, found.at(depth - 1), on, sign=-1)
            found.go(depth, self._outer.at(depth - 1), on, sign=-1)
        return found.at(depth)

    def _spread(self, depth: int) -> None:
        """Go from what was reached to its parts, and from these to what they are part of."""
        parts, wholes = self._links
        if parts is None:
            return
        _go_on(self._artifacts, depth, self._artifacts.at(depth), parts)
        reached = self._artifacts.at(depth)
        for number in self._ways.sliced(reached):
            for other in self._overlapping(number):
                self._around.add(depth, other, -number)
        slices = self._around.at(depth)
        _go_on(self._around, depth, reached, wholes)
        _go_on(self._around, depth, slices, wholes)

    def _overlapping(self, number: int) -> list[int]:
        """Return the slices that have rows in common with one."""
        queries = named("query/walk")
        prepare(self._db, Start(is_execution=False, id=number), [])
        self._db.execute(queries["to_overlapping"], {"depth": 0})
        return [row[0] for row in self._db.execute(queries["around"])]

    def _every_execution(self) -> list[Step]:
        """Return each execution once, where it is nearest; those around others, too."""
        reached, around = self._executions.steps(), self._outer.steps()
        if not around:
            return reached
        found = {step.id: step for step in reached}
        for step in around:
            if step.id not in found or step.depth < found[step.id].depth:
                found[step.id] = step
        return sorted(found.values(), key=lambda step: (step.depth, step.id))


def _go_on(found: Found[Nodes], depth: int, nodes: Nodes, way: Any) -> None:
    """Take in what nodes lead to, and what that leads to, and so on."""
    while len(nodes):
        nodes = found.go(depth, nodes, way, sign=-1)
