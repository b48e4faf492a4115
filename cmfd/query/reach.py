"""What can be reached from an artifact or execution: by a graph of the site, or by its index."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cmfd.query import graph
from cmfd.query.walk import Bounds, Reach, Start, Way, walk

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


_FEW = 1000
"""Nodes to which walking by the index takes no longer than reading a graph."""


def reach(
    db: sqlite3.Connection,
    start: Start,
    way: Way,
    bounds: Bounds = Bounds(),  # noqa: B008 - a tuple
) -> Reach:
    """
    Return what an artifact or execution leads to: see `cmfd.query.walk.walk`.

    An answer that turns out large is asked of the site's graph, which is made anew where it is
    older than the index; once this process has it, so is every answer.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    start, way, bounds
        As for `cmfd.query.walk.walk`.
    """
    with _one_state(db):
        # A graph knows no times.
        if bounds.until_ns is not None:
            return _by_index(db, start, way, bounds)
        known = graph.current(db, load=False)
        for most, other in ((_FEW, graph.current), (graph.is_worth_it(db), graph.keep)):
            if known is None:
                found = walk(db, start, way, bounds, most=most)
                if found is not None:
                    return found
                known = other(db)
        if known is None:
            return _by_index(db, start, way, bounds)
        return graph.GraphWalk(known, db).walk(start, way, bounds.depth)


def reach_into_tables(db: sqlite3.Connection, start: Start, way: Way) -> None:
    """Leave what is reached in the tables of `cmfd.query.walk.walk`, for further queries."""
    with _one_state(db):
        walk(db, start, way)


def _by_index(db: sqlite3.Connection, start: Start, way: Way, bounds: Bounds) -> Reach:
    found = walk(db, start, way, bounds)
    assert found is not None, "there is no limit"
    return found


@contextmanager
def _one_state(db: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one transaction: every level sees the same index, and locks it but once."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:  # SQLite ends it itself after some errors
            db.execute("COMMIT")
