"""
The measurements behind docs/decisions, each way beside the other.

    python benchmarks/decisions.py [NUMBER ...]

Medians of several turns in one process; each line says what one value cost. There are no bounds
here: a decision is looked at again when its figures have changed places.
"""

from __future__ import annotations

import array
import itertools
import math
import random
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from bench_merge import SMALL, new_packs

from cmfd.merge import reader
from cmfd.merge.inspected import Asked
from cmfd.store import columns
from cmfd.wire.journal import BLOCK_BYTES, BLOCK_HEADER_BYTES, POINT

if TYPE_CHECKING:
    from collections.abc import Callable

    from cmfd.store.columns import Float64s, Int64s

N = (BLOCK_BYTES - BLOCK_HEADER_BYTES) // POINT.size  # the points of one block
TURNS = 25
POINT_TYPE = np.dtype(
    [("time", "<i8"), ("step", "<i8"), ("value", "<f8"), ("series", "<u4"), ("mark", "<u4")]
)


def compare(number: int, works: dict[str, Callable[[], object]], n_values: int = N) -> None:
    """Print what each way costs a value: medians, measured turn and turn about."""
    spans: dict[str, list[float]] = {what: [] for what in works}
    for _ in range(TURNS):
        for what, work in works.items():
            begun = perf_counter_ns()
            work()
            spans[what].append((perf_counter_ns() - begun) / n_values)
    unit, scale = ("ns/value", 1.0) if n_values > 1 else ("ms", 1e-6)
    for what, found in spans.items():
        say(number, what, statistics.median(found) * scale, unit)


def say(number: int, what: str, figure: float, unit: str) -> None:
    """Print one line."""
    print(f"{number:04}  {what:<68} {figure:>10.4g} {unit}", flush=True)


def a_block() -> bytearray:
    """Return a block's worth of points of a smooth series."""
    data = bytearray(N * POINT.size)
    for i in range(N):
        time = 1_700_000_000_000_000_000 + 1_000_003 * i
        POINT.pack_into(data, i * POINT.size, time, i, math.exp(-i / 3000), 1, 7)
    return data


# -- 0001: journal bytes travel as they are ----------------------------------------------------


def as_it_is(view: memoryview) -> tuple[bytes, int]:
    """Copy a slice and take its CRC: all that a client does."""
    payload = bytes(view)
    return payload, zlib.crc32(payload)


def in_columns_by_loop(view: memoryview) -> list[bytes]:
    """Unpack every record and append its fields to arrays."""
    into = [array.array(kind) for kind in "qqdI"]
    appends = [column.append for column in into]
    for record in POINT.iter_unpack(view):
        for append, field in zip(appends, record, strict=False):
            append(field)
    return [column.tobytes() for column in into]


def in_columns_by_stride(view: memoryview) -> list[bytes]:
    """Copy each field's bytes with a strided view: the best that Python does without NumPy."""
    long, word = view.cast("q"), view.cast("I")
    return [long[0::4].tobytes(), long[1::4].tobytes(), long[2::4].tobytes(), word[6::8].tobytes()]


def summed(view: memoryview) -> tuple[list[bytes], list[int]]:
    """Make columns and take their CRCs."""
    parts = in_columns_by_stride(view)
    return parts, [zlib.crc32(part) for part in parts]


def from_records(payload: bytes) -> list[object]:
    """Make columns on the daemon's side of what came as records."""
    points = np.frombuffer(payload, POINT_TYPE)
    return [np.ascontiguousarray(points[name]) for name in ("time", "step", "value", "series")]


def from_columns(parts: list[bytes]) -> list[object]:
    """Take columns that came as columns, as arrays of one's own."""
    kinds = ("<i8", "<i8", "<f8", "<u4")
    return [np.frombuffer(part, kind).copy() for part, kind in zip(parts, kinds, strict=True)]


def journal_bytes_as_they_are() -> None:
    """Compare both ways on both sides."""
    view = memoryview(a_block())
    payload, parts = bytes(view), in_columns_by_stride(view)
    times, steps, values = three_columns(payload)
    compare(
        1,
        {
            "client: copy and CRC of records as they are": lambda: as_it_is(view),
            "client: columns, strided copies, and their CRC": lambda: summed(view),
        },
    )
    # By itself: what it leaves in the caches would slow the others down.
    compare(1, {"client: columns, a loop over records": lambda: in_columns_by_loop(view)})
    compare(
        1,
        {
            "daemon: columns from records (NumPy, strided)": lambda: from_records(payload),
            "daemon: columns from columns": lambda: from_columns(parts),
            "daemon: encoding a chunk, either way": lambda: columns.encode(steps, times, values),
        },
    )


def three_columns(payload: bytes) -> tuple[Int64s, Int64s, Float64s]:
    """Return times, steps and values of a slice."""
    points = np.frombuffer(payload, POINT_TYPE)
    return points["time"].copy(), points["step"].copy(), points["value"].copy()


# -- 0002: a mark for each record, a CRC for each slice -------------------------------------------


def with_mark(data: bytearray) -> None:
    """Store records as the journal does."""
    pack, offsets = POINT.pack_into, iter(range(0, len(data), POINT.size))
    for step, offset in enumerate(offsets):
        pack(data, offset, time_ns(), step, 0.5, 1, 7)


def with_crc(data: bytearray) -> None:
    """Store records that end with a CRC of their own."""
    pack, size = struct.Struct("@qqdI").pack, POINT.size
    put, crc32 = struct.Struct("@28sI").pack_into, zlib.crc32
    for step, offset in enumerate(range(0, len(data), size)):
        head = pack(time_ns(), step, 0.5, 1)
        put(data, offset, head, crc32(head))


def marks_and_crcs() -> None:
    """Compare what a record costs its caller, and what the slice's CRC adds to the sender."""
    data = a_block()
    view = memoryview(data)
    compare(
        2,
        {
            "caller: record with a mark (the loop included)": lambda: with_mark(data),
            "caller: record with a CRC (the loop included)": lambda: with_crc(data),
            "sender: CRC over a slice": lambda: zlib.crc32(view),
        },
    )


# -- 0003: chunks are copied into the index -------------------------------------------------------


def chunk_rows(n_series: int) -> list[tuple[int, int, bytes]]:
    """Return a chunk of 1,000 values for each of some series."""
    noise = random.Random(1)
    steps = np.arange(1000)
    rows = []
    for series in range(n_series):
        values = np.array([noise.gauss(0, 1) for _ in range(1000)])
        rows.append((series, 1, columns.encode(steps, steps * 10**6, values)))
    return rows


def database(path: Path, rows: list[tuple[int, int, bytes]]) -> Path:
    """Make a file with these chunks."""
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE chunk (series INTEGER, block INTEGER, data BLOB, UNIQUE (series, block))"
    )
    db.executemany("INSERT INTO chunk VALUES (?, ?, ?)", rows)
    db.commit()
    db.close()
    return path


def read(path: Path, sql: str) -> list[tuple[bytes]]:
    """Open a file, ask, close."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def chunks_in_the_index(n_packs: int = 256, n_series: int = 20) -> None:
    """Read one metric of all ranks of a run: from the index, or from every node's pack."""
    with tempfile.TemporaryDirectory() as name:
        rows = chunk_rows(n_series)
        packs = [database(Path(name, f"{i}.db"), rows) for i in range(n_packs)]
        everything = [(i * n_series + s, b, data) for i in range(n_packs) for s, b, data in rows]
        index = database(Path(name, "index.db"), everything)
        one = "SELECT data FROM chunk WHERE series = 3"
        wanted = ", ".join(str(i * n_series + 3) for i in range(n_packs))
        all_of_them = f"SELECT data FROM chunk WHERE series IN ({wanted})"
        compare(
            3,
            {
                f"one metric of {n_packs} ranks, from the index": lambda: read(index, all_of_them),
                f"the same from {n_packs} packs": lambda: [read(pack, one) for pack in packs],
            },
            n_values=1,
        )
        share = index.stat().st_size / sum(pack.stat().st_size for pack in packs)
        say(3, "size of the chunks in the index over that of the packs", share, "")


# -- 0004: one chunk a series and block, the longest wins -----------------------------------------


def grow_rule(n_slices: int = 80) -> None:
    """Compare a chunk for each block with one for each slice that came."""
    times, steps, values = three_columns(bytes(a_block()))
    size = N // n_slices + 1
    pieces = [slice(at, at + size) for at in range(0, N, size)]
    block = [columns.encode(steps, times, values)]
    slices = [columns.encode(steps[at], times[at], values[at]) for at in pieces]
    compare(
        4,
        {
            "a chunk a block: decoding": lambda: [columns.decode(data) for data in block],
            f"a chunk a slice ({n_slices}): decoding": lambda: [*map(columns.decode, slices)],
        },
    )
    for what, chunks in (("a chunk a block", block), ("a chunk a slice", slices)):
        say(4, f"{what}: size", sum(map(len, chunks)) / N, "bytes/value")


# -- 0005: NumPy and zstandard on the daemon's side ------------------------------------------------


def planes_in_python(column: array.array[int]) -> bytes:
    """Do what `columns` does to a time column without NumPy: differences, byte planes, zlib."""
    differences = array.array("q", column[:1])
    differences.extend(b - a for a, b in itertools.pairwise(column))
    data = differences.tobytes()
    return zlib.compress(b"".join(data[plane::8] for plane in range(8)), 1)


def with_and_without_numpy() -> None:
    """Compare encoding by NumPy and zstd with the standard library's means."""
    times, steps, values = three_columns(bytes(a_block()))
    plain = [array.array("q", column.tobytes()) for column in (steps, times, values)]
    ours = columns.encode(steps, times, values)
    bare = [planes_in_python(column) for column in plain]
    compare(
        5,
        {
            "encode: NumPy and zstd": lambda: columns.encode(steps, times, values),
            "encode: array and zlib": lambda: [planes_in_python(column) for column in plain],
        },
    )
    say(5, "size: NumPy and zstd", len(ours) / N, "bytes/value")
    say(5, "size: array and zlib", sum(map(len, bare)) / N, "bytes/value")
    compare(
        5,
        {
            "Python's start": lambda: start("pass"),
            "with numpy": lambda: start("import numpy"),
            "with zstandard": lambda: start("import zstandard"),
        },
        n_values=1,
    )


def start(program: str) -> None:
    """Run a program in a new process."""
    subprocess.run([sys.executable, "-c", program], check=True)


def who_reads_packs() -> None:
    """Measure 0014: a copy of a command that reads a pack, and a program of its own."""
    with tempfile.TemporaryDirectory() as directory:
        (pack,) = new_packs(Path(directory), SMALL, 1)
        asked = msgspec.json.encode(Asked(str(pack), pack.stem, directory, ""))
        begun = time.monotonic()

        def read_by(start: Callable[[str], reader.Reader]) -> None:
            one = start("")
            one.ask(asked, begun + 600)
            one.end()

        compare(
            14,
            {
                "a copy, without the environment": lambda: read_by(reader.forked),
                "a program of its own": lambda: read_by(reader.started),
            },
            n_values=1,
        )


DECISIONS = {
    1: journal_bytes_as_they_are,
    2: marks_and_crcs,
    3: chunks_in_the_index,
    4: grow_rule,
    5: with_and_without_numpy,
    14: who_reads_packs,
}

if __name__ == "__main__":
    for chosen in map(int, sys.argv[1:]) if sys.argv[1:] else DECISIONS:
        DECISIONS[chosen]()
