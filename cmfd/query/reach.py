"""What can be reached from an artifact or execution: by a graph of the site, or by its index."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cmfd.query import graph
from cmfd.query.distant import is_far
from cmfd.query.few import TooManyError, walk_at_once, walk_few
from cmfd.query.walk import Bounds, Reach, Start, Way, walk

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


FEW = 500
"""
Artifacts or executions up to which asking the index for each takes no longer than reading a graph.
"""


def reach(
    db: sqlite3.Connection,
    start: Start,
    way: Way,
    bounds: Bounds = Bounds(),  # noqa: B008 - a tuple
) -> Reach:
    """
    Return what an artifact or execution leads to: see `cmfd.query.walk.walk`.

    Few nodes are asked of the index one by one, or all at once where it is far away. An answer that
    turns out large is asked of the site's graph, which is made anew where it is older than the
    index.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    start, way, bounds
        As for `cmfd.query.walk.walk`.
    """
    few = FEW
    if is_far(db) and bounds == Bounds():
        try:
            found = walk_at_once(db, start, way, few)
        except TooManyError:
            found, few = None, 0
        if found is not None:
            return found
    with one_state(db):
        # Neither of both knows times.
        if bounds.until_ns is not None:
            return _by_index(db, start, way, bounds)
        found = walk_few(db, start, way, bounds, few) if few else None
        if found is not None:
            return found
        known = graph.current(db)
        if known is None:
            found = walk(db, start, way, bounds, most=graph.is_worth_it(db))
            if found is not None:
                return found
            known = graph.keep(db)
        if known is None:
            return _by_index(db, start, way, bounds)
        from cmfd.query.many import walk_many  # noqa: PLC0415 - imports numpy

        return walk_many(db, known, start, way, bounds)


def reach_into_tables(db: sqlite3.Connection, start: Start, way: Way) -> None:
    """Leave what is reached in the tables of `cmfd.query.walk.walk`, for further queries."""
    with one_state(db):
        walk(db, start, way)


def _by_index(db: sqlite3.Connection, start: Start, way: Way, bounds: Bounds) -> Reach:
    found = walk(db, start, way, bounds)
    assert found is not None, "there is no limit"
    return found


@contextmanager
def one_state(db: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one transaction: every level sees the same index, and locks it but once."""
    if db.in_transaction:  # somebody's for more than this
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:  # SQLite ends it itself after some errors
            db.execute("COMMIT")
