"""Metric values on their way from a node store into a pack, a chunk for each series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from cmfd.store.columns import Points, encode
from cmfd.store.connection import named
from cmfd.store.points import decode_slice, joined, summaries
from cmfd.wire.journal import ROWS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping


def add_chunks(db: sqlite3.Connection, blocks: Iterable[tuple[bytes, int]]) -> None:
    """
    Write the values of blocks of journals into a pack, a chunk for each series.

    Parameters
    ----------
    db : sqlite3.Connection
        The pack, with the node store attached, as `cmfd.store.interpret.seal` has them.
    blocks : iterable of (bytes, int)
        Instances and blocks of their journals.
    """
    queries = named("node/seal")
    for instance, block in blocks:
        kinds = dict(db.execute(queries["kinds"], (instance,)))
        points = _points(db, instance, block, kinds)
        if not len(points.times):
            continue
        db.executemany(queries["add_chunk"], _chunks(instance, block, points, kinds))


def _points(
    db: sqlite3.Connection, instance: bytes, block: int, kinds: Mapping[int, str]
) -> Points:
    """Return what the node store has of a block, of the series that go into this pack."""
    pieces = []
    for kind, data, group in db.execute(named("node/seal")["slices"], (instance, block)):
        series = msgspec.json.decode(group, type=list[int]) if kind == ROWS and group else []
        pieces.append(decode_slice(kind, data, series))
    points, _ = joined(pieces)
    wanted = np.isin(points.series, np.fromiter(kinds, np.int64, len(kinds)))
    return points if wanted.all() else Points(*(column[wanted] for column in points))


def _chunks(
    instance: bytes, block: int, points: Points, kinds: Mapping[int, str]
) -> Iterator[tuple[object, ...]]:
    """Yield the chunk of each series."""
    ints = {series for series, kind in kinds.items() if kind == "int"}
    found = summaries(points, ints)
    first = 0
    for series, n_values, *figures, _ in zip(*found, strict=True):
        here = slice(first, first + n_values)
        first += n_values
        bits = points.bits[here]
        values = bits if series in ints else bits.view(np.float64)
        data = encode(points.steps[here], points.times[here], values)
        yield instance, series, block, n_values, *figures, data
