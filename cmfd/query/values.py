"""The values of very many metrics, in columns: no Python object for each value."""

from __future__ import annotations

import json
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cmfd.errors import StoreError
from cmfd.query.index import run_query
from cmfd.query.metrics import left_out
from cmfd.store.columns import Columns, decode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from cmfd.store.columns import Float64s, Int64s

    Told = Callable[[str], None]

_NOTHING = Columns(*(np.empty(0, np.int64) for _ in Columns._fields))


class Owner(NamedTuple):
    """A metric of an execution."""

    execution: str
    pipeline: str | None
    stage: str | None
    name: str


class Series(NamedTuple):
    """A metric of a process."""

    number: int
    n_values: int
    rank: int
    owner: Owner


class Values(NamedTuple):
    """Values in columns, sorted by metric, step, rank and time."""

    owners: Sequence[Owner]
    owner: Int64s
    """Index into `owners`."""
    rank: Int64s
    step: Int64s
    at_ns: Int64s
    value: Float64s
    whole: Int64s
    """The value, if it was logged as an integer; else 0."""
    is_whole: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the values."""
        return len(self.step)


def values(
    db: sqlite3.Connection, series: Iterable[Series], *, at_a_time: int, told: Told
) -> Iterator[Values]:
    """
    Yield the values of metrics.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    series : iterable of Series
        Those of a metric stand together.
    at_a_time : int
        So many values, or more, are in memory at a time: a metric is not divided.
    told : callable
        Is told, in a sentence each, which chunks could not be decoded and are left out.
    """
    some: list[list[Series]] = []
    n_values = 0
    for _, group in groupby(series, attrgetter("owner")):
        some.append(list(group))
        n_values += sum(one.n_values for one in some[-1])
        if n_values >= at_a_time:
            yield _decoded(db, some, told)
            some, n_values = [], 0
    if some:
        yield _decoded(db, some, told)


def joined(parts: Iterable[Values]) -> Values:
    """Return all parts as one."""
    owners: list[Owner] = []
    columns: list[list[npt.NDArray[Any]]] = [[column] for column in _part(0, 0, _NOTHING)]
    for part in parts:
        shifted = (part.owner + len(owners), *part[2:])
        for column, more in zip(columns, shifted, strict=True):
            column.append(more)
        owners += part.owners
    return Values(owners, *map(np.concatenate, columns))


def _decoded(db: sqlite3.Connection, groups: list[list[Series]], told: Told) -> Values:
    """Return the values of some metrics, each with its series."""
    of = {one.number: (place, one) for place, group in enumerate(groups) for one in group}
    parts = [_part(0, 0, _NOTHING)]
    for number, *figures, data in run_query(db, "chunks_of", ids=json.dumps([*of])):
        place, one = of[number]
        try:
            parts.append(_part(place, one.rank, decode(data)))
        except StoreError as error:
            missing = left_out(*figures, rank=one.rank, execution=one.owner.execution, why=error)
            told(f"Left out of {one.owner.name}: {missing}")
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    owner, rank, step, at_ns, *_ = columns
    order = np.lexsort((at_ns, rank, step, owner))
    owners = [group[0].owner for group in groups]
    return Values(owners, *(column[order] for column in columns))


def _part(place: int, rank: int, columns: Columns) -> tuple[npt.NDArray[Any], ...]:
    """Return the columns of `Values` from those of a chunk."""
    n_values = len(columns.steps)
    is_whole = columns.values.dtype == np.int64
    whole = columns.values if is_whole else np.zeros(n_values, np.int64)
    return (
        np.full(n_values, place),
        np.full(n_values, rank),
        columns.steps,
        columns.times,
        columns.values.astype(np.float64, copy=False),
        whole,
        np.full(n_values, is_whole),
    )
