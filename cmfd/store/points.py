"""Metric values of any series: from a journal's bytes, from a store's slices, and summed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cmfd.store.columns import Points, Rows, decode_points, decode_rows, run_starts, slots_of
from cmfd.wire.journal import POINTS, VOID_SERIES, values_per_row

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import numpy.typing as npt

    from cmfd.store.columns import Int64s

    Structured = npt.NDArray[np.void]

_POINT = np.dtype(
    [("time", "<i8"), ("step", "<i8"), ("bits", "<i8"), ("series", "<u4"), ("mark", "<u4")]
)


class Summaries(NamedTuple):
    """
    What tables say of the values of some series without decoding them, a list each.

    A NaN among the values stands for none: that is what SQLite makes of it.
    """

    series: list[int]
    n_values: list[int]
    n_nan: list[int]
    step_min: list[int]
    step_max: list[int]
    first_ns: list[int]
    last_ns: list[int]
    value_min: list[float]
    """Of values that are not NaN, as `value_max`."""
    value_max: list[float]
    value_sum: list[float]
    """Of values that are finite."""
    last_step: list[int]
    last_value: list[float]
    last_at: list[int]
    """Where the value logged last is in the points."""


def read_points(payload: bytes | memoryview) -> Points:
    """Return the points in slots of a point block, ordered by series, without void ones."""
    slots = np.frombuffer(payload, _POINT)
    series = slots["series"].astype(np.int64)
    if (series == VOID_SERIES).any():
        slots = slots[series != VOID_SERIES]
        series = slots["series"].astype(np.int64)
    columns = (slots["time"], slots["step"], slots["bits"])
    if len(series) and (series != series[0]).any():
        order = stable_order(series)
        return Points(series[order], *(column[order] for column in columns))
    return Points(series, *(np.ascontiguousarray(column) for column in columns))


def read_rows(payload: bytes | memoryview, record_bytes: int) -> Rows:
    """Return the rows in slots of a row block, without void ones."""
    n_values = values_per_row(record_bytes)
    layout = np.dtype(
        [
            ("time", "<i8"), ("step", "<i8"), ("bits", "<i8", (n_values,)),
            ("valid", "<u4"), ("mark", "<u4"),
        ]
    )  # fmt: skip
    slots: Structured = np.frombuffer(payload, layout)
    if (slots["valid"] == 0).any():
        slots = slots[slots["valid"] != 0]
    return Rows(*(np.ascontiguousarray(slots[name].T) for name in ("time", "step", "bits")))


def points_of_rows(rows: Rows, series: Sequence[int]) -> Points:
    """
    Return the values of rows whose columns are these series, ordered by series.

    Rows that have another number of columns are not what their group says they
    are: nothing can be said of them.
    """
    numbers = np.array(series if len(series) == len(rows.bits) else [], np.int64)
    kept = stable_order(numbers)
    kept = kept[numbers[kept] != VOID_SERIES]
    n_rows = len(rows.times)
    return Points(
        np.repeat(numbers[kept], n_rows),
        np.tile(rows.times, len(kept)),
        np.tile(rows.steps, len(kept)),
        rows.bits[kept].reshape(-1),
    )


def decode_points_of(data: bytes) -> Points:
    """Return the points of a stored slice of a point block."""
    slots = slots_of(data)
    return decode_points(data) if slots is None else read_points(slots[0])


def decode_rows_of(data: bytes) -> Rows:
    """Return the rows of a stored slice of a row block."""
    slots = slots_of(data)
    return decode_rows(data) if slots is None else read_rows(*slots)


def decode_slice(kind: int, data: bytes, series: Sequence[int]) -> Points:
    """Return the points of a stored slice; `series` names the columns of one of rows."""
    return (
        decode_points_of(data) if kind == POINTS else points_of_rows(decode_rows_of(data), series)
    )


def stable_order(series: Int64s) -> Int64s:
    """Return the order that sorts by series and keeps what is equal in place."""
    # NumPy sorts 16-bit integers by radix, several times faster than others.
    keys = series.astype(np.uint16) if len(series) and series.max() < 1 << 16 else series
    return np.argsort(keys, kind="stable")


def joined(pieces: Sequence[Points]) -> tuple[Points, Int64s]:
    """
    Return the points of several pieces ordered by series.

    Returns
    -------
    points : Points
        Within a series, in the order of the pieces.
    order : array of int
        Where each was in the pieces put one after the other.
    """
    whole = Points(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))
    if (whole.series[1:] >= whole.series[:-1]).all():
        return whole, np.arange(len(whole.series))
    order = stable_order(whole.series)
    return Points(*(column[order] for column in whole)), order


def summaries(points: Points, ints: Container[int]) -> Summaries:
    """
    Sum up each series of some points.

    Parameters
    ----------
    points : Points
        At least one, ordered by series.
    ints : container of int
        The series whose bits are integers.
    """
    starts = run_starts(points.series)
    ends = np.append(starts[1:], len(points.series))
    last = _last_at(points.times, starts, ends)
    values = points.bits.view(np.float64)
    is_nan = np.isnan(values)
    with np.errstate(all="ignore"):
        found = Summaries(
            points.series[starts].tolist(),
            (ends - starts).tolist(),
            np.add.reduceat(is_nan, starts, dtype=np.int64).tolist(),
            np.minimum.reduceat(points.steps, starts).tolist(),
            np.maximum.reduceat(points.steps, starts).tolist(),
            np.minimum.reduceat(points.times, starts).tolist(),
            points.times[last].tolist(),
            np.fmin.reduceat(values, starts).tolist(),
            np.fmax.reduceat(values, starts).tolist(),
            np.add.reduceat(np.where(np.isfinite(values), values, 0.0), starts).tolist(),
            points.steps[last].tolist(),
            values[last].tolist(),
            last.tolist(),
        )
    for i, number in enumerate(found.series):
        if number in ints:
            _sum_up_ints(found, i, points.bits[starts[i] : ends[i]], points.bits[last[i]])
    return found


def _sum_up_ints(found: Summaries, i: int, values: Int64s, newest: np.int64) -> None:
    """Correct the figures of a series whose bits are integers."""
    found.n_nan[i] = 0
    found.value_min[i] = int(values.min())
    found.value_max[i] = int(values.max())
    found.value_sum[i] = float(np.add.reduce(values, dtype=np.float64))
    found.last_value[i] = int(newest)


def at_of(ordered: Int64s, series: int) -> slice:
    """Return where a series is in an array ordered by series."""
    first, end = np.searchsorted(ordered, [series, series + 1])
    return slice(int(first), int(end))


def _last_at(times: Int64s, starts: Int64s, ends: Int64s) -> Int64s:
    """Return where the greatest time of each series is; of equal ones, the last."""
    last = ends - 1
    greatest = np.maximum.reduceat(times, starts)
    # Times nearly always grow; they do not where a clock was set back.
    for i in np.flatnonzero(times[last] != greatest).tolist():
        backwards = times[starts[i] : ends[i]][::-1]
        last[i] = ends[i] - 1 - int(np.argmax(backwards))
    return last
