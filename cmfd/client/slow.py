"""
What the hot path leaves out: first values of a name, full blocks, values that are no float.

Everything here may take microseconds; it happens once per name, once per
several thousand values, or for values that need converting.
"""

from __future__ import annotations

import math
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.client.journal import JournalFullError, Stream
from cmfd.client.values import as_json, as_number, as_step
from cmfd.wire.journal import INT_POINT, POINT, ROWS, VOID_SERIES, row_struct
from cmfd.wire.messages import ProcessBegin

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator, Mapping

    from cmfd.client.execution import Execution
    from cmfd.wire.messages import Record

__all__ = [
    "Group", "as_json", "as_worker", "exit_code_of", "metric", "metrics", "reduce", "void_point",
    "void_row",
]  # fmt: skip

_MAX_ROW_VALUES = 4000
"""Rows of more (32 KiB) may fit neither a small block nor what a daemon lets a process send."""

Group = tuple[list[str], Stream, "Callable[..., None]", "Iterator[int]"]
"""Names logged together, the stream of their rows, how to pack one, and its next step. A plain
tuple, as a cursor is."""

NO_GROUP: Group = ([], Stream(ROWS, 8, 0), row_struct(0).pack_into, count())
"""Has no room: every row leaves the hot path."""


def metric(execution: Execution, name: str, value: Any, step: Any) -> None:
    """Log one value by the long way; see `Execution.metric`."""
    number = as_number(value)
    name = _name(name)
    if step is not None:
        step = as_step(step)
    exact = isinstance(number, int)
    series = _series(execution, name, "int" if exact else "float")
    if step is None:
        step = next(execution._steps[name])  # noqa: SLF001 - the other half of Execution
    layout = INT_POINT if exact else POINT
    points = execution._points  # noqa: SLF001 - as above
    _write(execution, points, layout.pack_into, 1, time.time_ns(), step, number, series)


def metrics(execution: Execution, values: Mapping[str, Any], step: Any) -> None:
    """Log several values by the long way; see `Execution.metrics`."""
    step = None if step is None else as_step(step)
    numbers, failure = _numbers(values)
    large = {name: number for name, number in numbers.items() if isinstance(number, int)}
    names = tuple(name for name in numbers if name not in large)
    group = _group(execution, names) if names else None
    if step is None and names:
        counted = execution._sets.setdefault(names, count()) if group is None else group[3]  # noqa: SLF001 - the other half of Execution
        step = next(counted)
    if group is None:
        for name in names:
            execution.metric(name, numbers[name], step)
    else:
        _, stream, pack_into, _ = group
        row = (numbers[name] for name in names)
        _write(execution, stream, pack_into, len(names), time.time_ns(), step, *row, 1)
    for name, number in large.items():
        metric(execution, name, number, step)
    if failure is not None:
        raise failure


def _numbers(values: Mapping[str, Any]) -> tuple[dict[str, float | int], Exception | None]:
    """Return the values that are numbers, and what is wrong with the first one that is not."""
    numbers: dict[str, float | int] = {}
    failure = None
    for name, value in values.items():
        try:
            numbers[_name(name)] = as_number(value)
        except Exception as error:  # noqa: BLE001, PERF203 - a user's value may raise anything
            failure = failure or error
    return numbers, failure


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a metric's name is text, not {type(name).__name__}")
    return name


def _write(
    execution: Execution, stream: Stream, pack_into: Callable[..., None], n_values: int,
    *fields: float,
) -> None:  # fmt: skip
    """Pack fields and mark into the stream's next slot, turning to a new block as needed."""
    session = execution.session
    cursor = stream.cursor
    while (offset := next(cursor[1], -1)) < 0:
        try:
            cursor = session.journal.turn(stream, cursor)
        except JournalFullError as error:  # noqa: PERF203 - once a block
            session.drop(n_values, error)
            return
    pack_into(cursor[0], offset, *fields, cursor[2])


def _series(execution: Execution, name: str, kind: str) -> int:
    """Return the number of a metric in this journal, defining it at first use."""
    known = execution._series if kind == "float" else execution._int_series  # noqa: SLF001 - as above
    if name not in known:
        execution.begin()
        with execution.session.defining:
            if name not in known:
                number = execution.session.series(execution.id, name, kind)
                execution._steps.setdefault(name, count())  # noqa: SLF001 - as above
                known[name] = number
    return known[name]


def _group(execution: Execution, names: tuple[str, ...]) -> Group | None:
    """Return the group of these names, defining it at first use; none if they get no rows."""
    groups = execution._groups  # noqa: SLF001 - as above
    session = execution.session
    if names not in groups:
        if len(names) > _MAX_ROW_VALUES or session.n_groups >= session.max_groups:
            return None
        series = [_series(execution, name, "float") for name in names]
        with session.defining:
            if names not in groups:
                stream = session.group(series)
                pack = row_struct(len(names)).pack_into
                groups[names] = (list(names), stream, pack, count())
    return groups[names]


def void_point(buffer: mmap.mmap, offset: int, mark: int) -> None:
    """Fill a slot whose value could not be packed, so that nothing waits for it."""
    POINT.pack_into(buffer, offset, 0, 0, 0.0, VOID_SERIES, mark)


def void_row(buffer: mmap.mmap, offset: int, group: Group, mark: int) -> None:
    """Fill a row's slot likewise."""
    names, _, pack_into, _ = group
    pack_into(buffer, offset, 0, 0, *([0.0] * len(names)), 0, mark)


def reduce(values: list[float]) -> dict[str, float]:
    """
    Return min, mean, max, std (population) of `values`, and where the extremes are.

    A NaN takes part in mean and std, which it makes NaN; extremes are those of the rest.
    """
    n = len(values)
    mean = math.fsum(values) / n if all(map(math.isfinite, values)) else sum(values) / n
    real = [item for item in values if not math.isnan(item)] or values
    return {
        "min": min(real),
        "mean": mean,
        "max": max(real),
        "std": math.sqrt(math.fsum((item - mean) ** 2 for item in values) / n)
        if math.isfinite(mean)
        else math.nan,
        "argmin": float(values.index(min(real))),
        "argmax": float(values.index(max(real))),
    }


def as_worker(records: list[Record]) -> list[Record]:
    """Return an execution's first records as a forked child says them of itself."""
    import os  # noqa: PLC0415 - only after a fork

    return [
        msgspec.structs.replace(record, role="worker", pid=os.getpid(), at_ns=time.time_ns())
        if isinstance(record, ProcessBegin)
        else record
        for record in records
    ]


def exit_code_of(error: SystemExit) -> int:
    """Return the exit code that Python makes of a SystemExit."""
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1
