"""What a node store holds, in a form that two stores can be compared by."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.store.columns import decode
from cmfd.store.connection import connect
from cmfd.store.content import tables
from cmfd.store.points import decode_slice
from cmfd.wire.journal import ROWS

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

Values = dict[tuple[bytes, int, int], list[tuple[int, int, int]]]
"""``(time, step, bits)`` of each value of an (instance, series, block), in slot order."""

_OTHER = {
    "committed": "instance, block, first, end",
    "row_group": "instance, id, series",
    "mention": "subject, instance",
    "owner": "subject, uid",
    "standing": "run, site, site_ns",
    "touch": "instance, token, execution, record",
    "part": "instance, token, part, total, data",
    "series_stat": (
        "instance, series, n_values, n_nan, value_min, value_max, last_ns, last_step, last_value"
    ),
}


def content_of(path: Path) -> dict[str, list[Any]]:
    """Return everything a node store holds, but when and in which pieces it came."""
    with closing(connect(path, readonly=True)) as db:
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        found = {name: _rows(db, name, "*") for name in tables() if name in there}
        found |= {name: _rows(db, name, columns) for name, columns in _OTHER.items()}
        found["value_sum"] = [
            None if total is None else float(f"{total:.9g}")
            for (total,) in db.execute(
                "SELECT value_sum FROM series_stat ORDER BY instance, series"
            )
        ]
        found["values"] = sorted(values_of(db).items())
    return found


def _rows(db: sqlite3.Connection, table: str, columns: str) -> list[Any]:
    return sorted(db.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)


def values_of(db: sqlite3.Connection) -> Values:
    """Return every metric value in a node store whose series is known."""
    groups = {
        (instance, number): msgspec.json.decode(series or "[]")
        for instance, number, series in db.execute("SELECT instance, id, series FROM row_group")
    }
    found: Values = defaultdict(list)
    slices = db.execute(
        "SELECT instance, block, kind, group_id, data FROM slice ORDER BY instance, block, first"
    )
    for instance, block, kind, group, data in slices:
        columns = groups.get((instance, group), []) if kind == ROWS else []
        points = decode_slice(kind, data, columns)
        for series, *value in zip(*(column.tolist() for column in points), strict=True):
            found[instance, series, block].append(tuple(value))
    return dict(found)


def chunks_of(db: sqlite3.Connection) -> Values:
    """Return every metric value in a pack."""
    found: Values = {}
    for instance, series, block, data in db.execute(
        "SELECT instance, series, block, data FROM chunk"
    ):
        steps, times, values = decode(data)
        bits = values.view("<i8")
        rows = zip(times.tolist(), steps.tolist(), bits.tolist(), strict=True)
        found[instance, series, block] = list(rows)
    return found
