"""
Metric values in columns: how chunks and slices are written, and read back.

A column is 64-bit integers (a float counts as its bit pattern), turned into
small numbers by one of a few reversible transforms, split into byte planes and
compressed with zstd together with the other columns of its blob. Everything is
exact to the bit: NaN payloads, negative zero, the extremes of int64. Only a few
values, which columns would make larger, are kept in the slots they came in.

A blob is ``version, kind, number of columns``, then ``transform, length`` of
each column, then one zstd frame that holds the columns one after the other,
each as eight planes: all lowest bytes first. Everything is little-endian. A
blob of slots has ``transform 0, bytes of a slot`` in place of its columns.
"""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import zstandard

from cmfd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Int64s: TypeAlias = npt.NDArray[np.int64]
    Float64s: TypeAlias = npt.NDArray[np.float64]

VERSION = 1
FLOAT_CHUNK, INT_CHUNK, POINTS, ROWS, SLOTS = range(1, 6)
"""Kinds of blob: one series' values; points of any series; rows of a group; journal slots."""

RAW, XOR, DELTA_1, DELTA_2, DELTA_3, DELTA_4 = range(6)
"""Transforms: none; xor with the value before; differences, up to four times."""

MAX_VALUES = 1 << 24
"""More values in one blob than any journal block can give."""

_HEAD = struct.Struct("<BBH")
_COLUMN = struct.Struct("<BI")
_LEVEL = 1
_SAMPLE = 256
_MIN_CHOICE = 256
"""Shorter columns are not worth choosing a transform for."""

# A sample of a smooth float series shrinks with each order of differences, noise grows with it.
_VALUE_CHOICES = (DELTA_1, RAW, XOR, DELTA_2, DELTA_3, DELTA_4)
_TIME_CHOICES = (DELTA_1, DELTA_2)


class Columns(NamedTuple):
    """One series' values, in the order they were logged."""

    steps: Int64s
    times: Int64s
    values: Float64s | Int64s


class Points(NamedTuple):
    """Values of any series, ordered by series, and by slot within a series."""

    series: Int64s
    times: Int64s
    steps: Int64s
    bits: Int64s


class Rows(NamedTuple):
    """Rows of a group in slot order; `bits` has one line for each of its series."""

    times: Int64s
    steps: Int64s
    bits: Int64s


def encode(steps: Int64s, times: Int64s, values: Float64s | Int64s) -> bytes:
    """
    Encode the values of one series.

    Parameters
    ----------
    steps, times : array of int64
        Times are UTC nanoseconds.
    values : array of float64 or int64
        As long as `steps` and `times`; at least one value.

    Returns
    -------
    bytes
        What `decode` reads.
    """
    kind = INT_CHUNK if values.dtype == np.int64 else FLOAT_CHUNK
    bits = np.ascontiguousarray(values).view(np.int64)
    return _pack(kind, _chosen((steps, times), (bits,)))


def decode(data: bytes) -> Columns:
    """
    Return the values of one series, exactly as they were encoded.

    Raises
    ------
    StoreError
        The bytes are damaged or from a newer cmfd.
    """
    kind, columns = _unpack(data)
    if kind not in (FLOAT_CHUNK, INT_CHUNK) or len(columns) != 3:
        raise _damaged("it is no chunk of values")
    steps, times, bits = columns
    if not len(steps) == len(times) == len(bits):
        raise _damaged("its columns differ in length")
    if not len(steps):
        raise _damaged("it holds no value")
    return Columns(steps, times, bits if kind == INT_CHUNK else bits.view(np.float64))


def encode_points(points: Points) -> bytes:
    """Encode a slice of points, which must be ordered by series."""
    starts = run_starts(points.series)
    counts = np.diff(starts, append=len(points.series))
    columns = _chosen((points.series[starts], counts, points.times, points.steps), (points.bits,))
    return _pack(POINTS, columns)


def decode_points(data: bytes) -> Points:
    """Return a slice of points."""
    kind, columns = _unpack(data)
    if kind != POINTS or len(columns) != 5:
        raise _damaged("it is no slice of points")
    runs, counts, times, steps, bits = columns
    return Points(np.repeat(runs, counts), times, steps, bits)


def encode_rows(rows: Rows) -> bytes:
    """Encode a slice of rows."""
    return _pack(ROWS, _chosen((rows.times, rows.steps), list(rows.bits)))


def decode_rows(data: bytes) -> Rows:
    """Return a slice of rows."""
    kind, columns = _unpack(data)
    if kind != ROWS:
        raise _damaged("it is no slice of rows")
    times, steps, *bits = columns
    return Rows(times, steps, np.array(bits, np.int64).reshape(len(bits), len(times)))


def encode_slots(payload: bytes | memoryview, record_bytes: int) -> bytes:
    """Encode slots of a journal block as they are."""
    head = _HEAD.pack(VERSION, SLOTS, 1) + _COLUMN.pack(RAW, record_bytes)
    return head + _compress(payload)


def slots_of(data: bytes) -> tuple[memoryview, int] | None:
    """Return the slots and the bytes of each, if this is what a blob has."""
    kind, shapes, body = _open(data)
    if kind != SLOTS:
        return None
    return _decompress(body, zstandard.frame_content_size(body)), shapes[0][1]


def run_starts(keys: Int64s) -> Int64s:
    """Return where each run of equal keys starts."""
    changed = np.empty(len(keys), np.bool_)
    changed[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=changed[1:])
    return np.flatnonzero(changed)


def _chosen(times: Sequence[Int64s], values: Sequence[Int64s]) -> list[tuple[int, Int64s]]:
    # Series numbers and counts compress like times: sorted or constant, mostly.
    columns = [(_choose(column, _TIME_CHOICES), column) for column in times]
    return columns + [(_choose(column, _VALUE_CHOICES), column) for column in values]


def _choose(column: Int64s, choices: tuple[int, ...]) -> int:
    """Return the transform that makes a sample of the column smallest."""
    if len(column) < _MIN_CHOICE:
        return DELTA_1
    middle = max(0, (len(column) - _SAMPLE) // 2)
    sample = column[middle : middle + _SAMPLE]
    sizes = {}
    for choice in choices:
        sizes[choice] = len(_compress(_planes(_FORWARD[choice](sample))))
        if sizes[choice] < len(sample):  # nothing to gain: less than a byte a value
            return choice
    return min(sizes, key=sizes.__getitem__)


def _pack(kind: int, columns: Sequence[tuple[int, Int64s]]) -> bytes:
    head = [_HEAD.pack(VERSION, kind, len(columns))]
    head += [_COLUMN.pack(transform, len(column)) for transform, column in columns]
    body = b"".join([_planes(_FORWARD[transform](column)) for transform, column in columns])
    return b"".join(head) + _compress(body)


def _open(data: bytes) -> tuple[int, list[tuple[int, int]], bytes]:
    """Return a blob's kind, the transform and length of its columns, and the frame."""
    try:
        version, kind, n_columns = _HEAD.unpack_from(data)
        at = _HEAD.size + n_columns * _COLUMN.size
        shapes = list(_COLUMN.iter_unpack(data[_HEAD.size : at]))
    except struct.error as error:
        raise _damaged("its header is cut") from error
    if version != VERSION:
        raise StoreError(
            f"metric values in format {version}, this cmfd reads {VERSION}; they were left as"
            " they are. Use the newer cmfd that wrote them"
        )
    return kind, shapes, data[at:]


def _unpack(data: bytes) -> tuple[int, list[Int64s]]:
    kind, shapes, frame = _open(data)
    body = _decompress(frame, 8 * sum(length for _, length in shapes))
    columns, offset = [], 0
    for transform, length in shapes:
        if transform not in _BACKWARD:
            raise _damaged(f"it names transform {transform}")
        plane = body[offset : offset + 8 * length]
        columns.append(_BACKWARD[transform](_from_planes(plane, length)))
        offset += 8 * length
    return kind, columns


def _planes(column: Int64s) -> bytes:
    planes: bytes = column.view(np.uint8).reshape(-1, 8).T.tobytes()
    return planes


def _from_planes(data: memoryview, length: int) -> Int64s:
    planes = np.frombuffer(data, np.uint8).reshape(8, length)
    return np.ascontiguousarray(planes.T).view(np.int64).reshape(length)


def _xor(column: Int64s) -> Int64s:
    out: Int64s = column.copy()
    out[1:] ^= column[:-1]
    return out


def _xor_back(column: Int64s) -> Int64s:
    out: Int64s = np.bitwise_xor.accumulate(column)
    return out


def _differences(column: Int64s, order: int) -> Int64s:
    """Return differences of an order, wrapping, with small negatives made small positives."""
    for _ in range(order):
        following = column.copy()
        following[1:] -= column[:-1]
        column = following
    return (column << 1) ^ (column >> 63)


def _sums(column: Int64s, order: int) -> Int64s:
    unsigned = column.view(np.uint64)
    column = (unsigned >> np.uint64(1)).view(np.int64) ^ -(column & 1)
    for _ in range(order):
        column = np.cumsum(column)
    return column


def _forward_differences(order: int) -> Callable[[Int64s], Int64s]:
    return lambda column: _differences(column, order)


def _backward_differences(order: int) -> Callable[[Int64s], Int64s]:
    return lambda column: _sums(column, order)


_FORWARD: dict[int, Callable[[Int64s], Int64s]] = {
    RAW: np.ascontiguousarray,
    XOR: _xor,
    **{DELTA_1 + i: _forward_differences(i + 1) for i in range(4)},
}
_BACKWARD: dict[int, Callable[[Int64s], Int64s]] = {
    RAW: np.ascontiguousarray,
    XOR: _xor_back,
    **{DELTA_1 + i: _backward_differences(i + 1) for i in range(4)},
}


class _Codecs(threading.local):
    """Compressors are costly to make and must not be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()


def _compress(data: bytes | memoryview) -> bytes:
    packed: bytes = _codecs.compressor.compress(data)
    return packed


def _decompress(data: bytes, size_bytes: int) -> memoryview:
    try:
        # The frame says how much to allocate, and a damaged one may say anything.
        claimed = zstandard.frame_content_size(data)
        if claimed != size_bytes or size_bytes > 8 * MAX_VALUES:
            raise _damaged(f"{claimed} bytes of values instead of {size_bytes}")
        return memoryview(_codecs.decompressor.decompress(data))
    except zstandard.ZstdError as error:
        raise _damaged(str(error)) from error


def _damaged(what: str) -> StoreError:
    return StoreError(
        f"metric values are damaged: {what}; they were left as they are."
        " Restore the file that holds them from a copy"
    )
