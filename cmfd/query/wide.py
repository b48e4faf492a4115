"""Wide tables: a column for each parameter, or for each metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cmfd.query.tables import arrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from cmfd.query.frames import Reduction
    from cmfd.query.values import Owner, Values
    from cmfd.store.columns import Float64s, Int64s

    Flags = npt.NDArray[np.bool_]


def of_metrics(found: Values, over: Reduction | None) -> pa.Table:
    """
    Return a row for each step and a column for each metric.

    Parameters
    ----------
    found : Values
        In any order. The last of a step stands, by time.
    over : str or None
        One row for all ranks, with this of their values.
    """
    pa = arrow()
    of = {owner.execution: owner for owner in sorted(found.owners)}
    execution = _places([owner.execution for owner in found.owners], of)[found.owner]
    names = sorted({owner.name for owner in found.owners})
    name = _places([owner.name for owner in found.owners], names)[found.owner]
    keys = [execution, *(() if over else (found.rank,)), found.step]
    order = np.lexsort((found.at_ns, name, *reversed(keys)))
    is_new = np.logical_or.reduce([_changes(key[order]) for key in keys])
    cells = np.flatnonzero(is_new | _changes(name[order]))
    row, first = np.cumsum(is_new)[cells] - 1, order[is_new]
    columns = _owners([*of.values()], execution[first])
    if not over:
        columns["rank"] = pa.array(found.rank[first])
    columns["step"] = pa.array(found.step[first])
    values = _reduced(found.value[order], cells, over)
    for place, where in _grouped(name[order][cells], len(names)):
        numbers, is_missing = np.zeros(len(first)), np.ones(len(first), np.bool_)
        numbers[row[where]], is_missing[row[where]] = values[where], False
        columns[_free(names[place], "metric", columns)] = pa.array(numbers, mask=is_missing)
    return pa.table(columns)


def of_params(long: pa.Table) -> pa.Table:
    """
    Return a row for each execution and a column for each parameter.

    Parameters
    ----------
    long : pyarrow.Table
        The table ``params``. Of several values, that of the last row stands.
    """
    pa = arrow()
    executions, keys = (
        long[name].combine_chunks().dictionary_encode() for name in ("execution", "key")
    )
    execution, key = np.asarray(executions.indices), np.asarray(keys.indices)
    cell = execution.astype(np.int64) * len(keys.dictionary) + key
    _, from_last = np.unique(cell[::-1], return_index=True)
    rows = len(cell) - 1 - from_last
    columns = {"execution": executions.dictionary}
    names = keys.dictionary.to_pylist()
    of_key = {names[place]: where for place, where in _grouped(key[rows], len(names))}
    for name in sorted(names):
        chosen = np.full(len(executions.dictionary), -1)
        chosen[execution[rows[of_key[name]]]] = rows[of_key[name]]
        values = _of_param(long.take(pa.array(chosen, mask=chosen < 0)))
        columns[_free(name, "param", columns)] = values
    return pa.table(columns)


def _free(name: str, what: str, taken: dict[str, Any]) -> str:
    """Return a column's name: with what it is of, as in filters, if another column has it."""
    while name in taken:
        name = f"{what}.{name}"
    return name


def _of_param(rows: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Return the values of a parameter: numbers if all are; exact ones if all are whole."""
    pa = arrow()
    said = rows.filter(rows["value"].is_valid())
    if not len(said):
        return pa.nulls(len(rows))
    if said["value_type"].unique().to_pylist() == ["int"]:
        return rows["value"].cast(pa.int64())
    return rows["value" if said["number"].null_count else "number"]


def _places(texts: Sequence[str], among: Sequence[str] | dict[str, Any]) -> Int64s:
    """Return where each text is among others."""
    place = {text: place for place, text in enumerate(among)}
    return np.array([place[text] for text in texts], np.int64)


def _changes(column: Int64s) -> Flags:
    """Tell where a value is the first, or another than the one before."""
    is_new = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=is_new[1:])
    return is_new


def _grouped(codes: Int64s, n_codes: int) -> Iterator[tuple[int, Int64s]]:
    """Yield each code, and where it stands."""
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(1, n_codes))
    yield from enumerate(np.split(order, bounds)) if n_codes else ()


def _reduced(values: Float64s, starts: Int64s, over: Reduction | None) -> Float64s:
    """Return one value of each stretch: the last, or what it comes to. NaN is no extreme."""
    lengths = np.diff(starts, append=len(values))
    if over is None:
        return values[starts + lengths - 1]
    if over == "mean":
        with np.errstate(invalid="ignore", over="ignore"):  # NaN of both infinities
            return np.add.reduceat(values, starts) / lengths
    return (np.fmin if over == "min" else np.fmax).reduceat(values, starts)


def _owners(owners: list[Owner], places: Int64s) -> dict[str, pa.Array]:
    """Return the columns that say of which execution a row is."""
    pa = arrow()
    columns = {}
    for name in ("execution", "pipeline", "stage"):
        said = pa.array([getattr(owner, name) for owner in owners], pa.string())
        columns[name] = said.take(pa.array(places))
    return columns
