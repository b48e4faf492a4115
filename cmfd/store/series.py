"""
What is known of each series without decoding its values: `series_stat`.

Values are gathered over a transaction and summed up once, at its end. Should it
turn out only later what some values are of (their `Series` or `Group` record
came after them), the stored slices are read again.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from cmfd.store.columns import Points, encode_points, encode_rows, encode_slots, run_starts
from cmfd.store.connection import named
from cmfd.store.points import (
    at_of,
    decode_rows_of,
    decode_slice,
    joined,
    points_of_rows,
    read_points,
    read_rows,
    summaries,
)
from cmfd.wire.journal import POINTS, ROWS

if TYPE_CHECKING:
    import sqlite3

    from cmfd.store.columns import Int64s, Rows
    from cmfd.store.node import JournalSlice
    from cmfd.store.records import Records

_MAX_CACHED = 1 << 16
_SERIES_BITS = 0xFFFFFFFF

_FEW_SLOTS = 32
"""Fewer are stored as they came: columns would be larger, and take ten times as long."""


class _Piece(NamedTuple):
    """Points of one slice; `n_slots` is how many slots each of its series has."""

    instance: bytes
    block: int
    first: int
    points: Points
    n_slots: int


class Series:
    """
    Keeps `series_stat`, within the transaction of a node store.

    Attributes
    ----------
    seq : int
        The number of this commit.
    """

    def __init__(self, db: sqlite3.Connection, records: Records) -> None:
        self._db = db
        self._records = records
        self._sql = named("node/queries")
        self.seq = 0
        self.forget()

    def forget(self) -> None:
        """Forget this transaction, which was rolled back, and what is known of the database."""
        self._known: dict[tuple[bytes, int], tuple[bytes, str]] = {}
        self._groups: dict[tuple[bytes, int], list[int]] = {}
        self._pieces: list[_Piece] = []
        self._rows: list[tuple[bytes, int, int, int, Rows]] = []

    def begin(self, seq: int) -> None:
        """Begin commit number `seq`."""
        self.seq = seq
        if len(self._known) > _MAX_CACHED:
            self._known.clear()
            self._groups.clear()

    def take(
        self, piece: JournalSlice, first: int, end: int, payload: memoryview
    ) -> tuple[bytes, int]:
        """Gather the values of new units of a slice; return how they are stored, and how many."""
        few = encode_slots(payload, piece.record_bytes) if end - first < _FEW_SLOTS else b""
        if piece.kind == POINTS:
            points = read_points(payload)
            n_values = len(points.times)
            if not n_values:
                return b"", 0
            self._pieces.append(_Piece(piece.instance, piece.block, first, points, n_values))
            return few or encode_points(points), n_values
        rows = read_rows(payload, piece.record_bytes)
        if not len(rows.times):
            return b"", 0
        self._rows.append((piece.instance, piece.block, first, piece.group, rows))
        return few or encode_rows(rows), rows.bits.size

    def flush(self) -> None:
        """Sum up what was gathered."""
        # In this order: a recount covers what earlier commits brought, early rows included.
        for instance, group in self._records.late_groups:
            self._take_early_rows(instance, group)
        for instance, series in self._records.recount:
            self._recount(instance, series)
        for rows in self._rows:
            self._take_rows(*rows)
        self._sum_up(self._pieces)
        self._pieces.clear()
        self._rows.clear()

    # -- summing up ---------------------------------------------------------------------------

    def _sum_up(self, pieces: list[_Piece]) -> None:
        """Add new values to what is known of their series."""
        if not pieces:
            return
        pieces.sort(key=lambda piece: piece[:3])
        instances = list(dict.fromkeys(piece.instance for piece in pieces))
        numbers = {instance: i << 32 for i, instance in enumerate(instances)}
        # All instances at once: NumPy's cost is one a call, not one a value.
        points, order = joined(
            [
                piece.points._replace(series=piece.points.series + numbers[piece.instance])
                for piece in pieces
            ]
        )
        known = {}
        for key in points.series[run_starts(points.series)].tolist():
            known[key] = self._series(instances[key >> 32], key & _SERIES_BITS)
        ints = {key for key, (_, kind) in known.items() if kind == "int"}
        found = summaries(points, ints)
        last_pieces, last_slots = _places(pieces, order[found.last_at])
        rows = zip(
            [pieces[i].instance for i in last_pieces],
            [key & _SERIES_BITS for key in found.series],
            repeat(self.seq),
            found.n_values, found.n_nan, found.value_min, found.value_max, found.value_sum,
            found.last_ns, [pieces[i].block for i in last_pieces], last_slots,
            found.last_step, found.last_value,
        )  # fmt: skip
        self._db.executemany(self._sql["add_stat"], rows)
        self._records.changed.update(execution for execution, _ in known.values() if execution)

    def _series(self, instance: bytes, number: int) -> tuple[bytes, str]:
        """Return the execution and the kind of a series; an empty one while they are not known."""
        found = self._known.get((instance, number))
        if found is None:
            row = self._db.execute(self._sql["series"], (instance, number)).fetchone()
            if row is None:
                return b"", "float"
            found = self._known[instance, number] = (bytes(row[0]), row[1])
        return found

    def _recount(self, instance: bytes, series: int) -> None:
        """Sum up anew what earlier commits brought of a series whose kind is known only now."""
        self._known.pop((instance, series), None)
        self._db.execute(self._sql["forget_stat"], (instance, series))
        pieces = []
        for block, first, kind, group, data in self._stored(instance):
            columns = (self._group(instance, group) or []) if kind == ROWS else []
            points = decode_slice(kind, data, columns)
            found = at_of(points.series, series)
            points = Points(*(column[found] for column in points))
            if len(points.times):
                pieces.append(_Piece(instance, block, first, points, len(points.times)))
        self._sum_up(pieces)

    def _stored(self, instance: bytes) -> list[tuple[int, int, int, int, bytes]]:
        """Return the slices that earlier commits brought of an instance."""
        return self._db.execute(self._sql["slices_before"], (instance, self.seq)).fetchall()

    # -- rows ---------------------------------------------------------------------------------

    def _take_rows(self, instance: bytes, block: int, first: int, group: int, rows: Rows) -> None:
        """Gather new rows as points; those of a group not named yet wait in their slices."""
        series = self._group(instance, group)
        if series is None:
            self._db.execute(self._sql["await_row_group"], (instance, group))
        else:
            self._pieces += _pieces_of_rows(instance, block, first, rows, series)

    def _take_early_rows(self, instance: bytes, group: int) -> None:
        """Sum up rows that earlier commits brought, before their group was named."""
        series = self._group(instance, group) or []
        pieces = []
        for block, first, kind, of_group, data in self._stored(instance):
            if kind == ROWS and of_group == group:
                rows = decode_rows_of(data)
                pieces += _pieces_of_rows(instance, block, first, rows, series)
        self._sum_up(pieces)

    def _group(self, instance: bytes, group: int) -> list[int] | None:
        """Return the series of a row group; none while they are not known."""
        found = self._groups.get((instance, group))
        if found is None:
            row = self._db.execute(self._sql["row_group"], (instance, group)).fetchone()
            if row is None or not row[0]:
                return None
            found = self._groups[instance, group] = msgspec.json.decode(row[0], type=list[int])
        return found


def _places(pieces: list[_Piece], at: Int64s) -> tuple[list[int], list[int]]:
    """Return in which piece, and in which slot of its block, values of joined pieces are."""
    starts = np.cumsum([0] + [len(piece.points.times) for piece in pieces])
    which = np.searchsorted(starts, at, side="right") - 1
    shapes = np.array([(piece.first, piece.n_slots) for piece in pieces])[which]
    slots = shapes[:, 0] + (at - starts[which]) % shapes[:, 1]
    return which.tolist(), slots.tolist()


def _pieces_of_rows(
    instance: bytes, block: int, first: int, rows: Rows, series: list[int]
) -> list[_Piece]:
    points = points_of_rows(rows, series)
    n_rows = len(rows.times)
    return [_Piece(instance, block, first, points, n_rows)] if len(points.times) else []
