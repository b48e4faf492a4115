"""
Frames for analysis: tables of a site as pandas, polars or Arrow; parameters and metrics wide.

Arrow is what all of them are made of. The libraries are extras, and imported on use.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from cmfd.errors import ConfigError
from cmfd.query import tables

if TYPE_CHECKING:
    import sqlite3

    import pyarrow as pa

    Like = Literal["pandas", "polars", "arrow"]
    Reduction = Literal["mean", "min", "max"]


def frame(db: sqlite3.Connection, name: str, where: str = "", *, like: Like = "pandas") -> Any:
    """
    Return a table of a site as a frame.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    name : str
        Of `cmfd.query.tables.TABLES`.
    where : str
        A filter of executions: only what belongs to those that it lets pass, or to their runs.
    like : str
        ``pandas``, ``polars``, or ``arrow``.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        Whole numbers that may be missing are pandas' ``Int64``.

    Raises
    ------
    ConfigError
        The library is not installed, or the table knows no filter.
    NotFoundError
        There is no such table.
    FilterError
        The filter cannot be understood.

    Warns
    -----
    UserWarning
        Something could not be read and is left out.
    """
    return converted(_table(db, name, where), like)


def params(db: sqlite3.Connection, where: str = "", *, like: Like = "pandas") -> Any:
    """
    Return the parameters of executions, a row for each execution and a column for each parameter.

    A column is of whole numbers if all values are, else of numbers if all are, else of texts. Where
    ranks disagree, the value of the lowest rank stands; all of them are in the table ``params``.

    Parameters
    ----------
    db, where, like
        As for `frame`.
    """
    pa = tables.arrow()
    found = _table(db, "params", where).sort_by([("rank", "descending")])
    wide: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found.select(["execution", "key", "value_type", "value", "number"]).to_pylist():
        wide.setdefault(row["execution"], {})[row["key"]] = row
    names = sorted({key for values in wide.values() for key in values})
    columns = {"execution": pa.array(wide, pa.string())}
    for name in names:
        columns[name] = pa.array(_column([values.get(name) for values in wide.values()]))
    return converted(pa.table(columns), like)


def _column(rows: list[dict[str, Any] | None]) -> list[Any]:
    """Return the values of a parameter: numbers if all are; exact ones if all are whole."""
    said = [row for row in rows if row is not None and row["value"] is not None]
    if all(row["value_type"] == "int" for row in said):
        return [row and row["value"] and int(row["value"]) for row in rows]
    is_number = all(row["number"] is not None for row in said)
    return [row and row["number" if is_number else "value"] for row in rows]


def metrics(
    db: sqlite3.Connection, where: str = "", *, over: Reduction | None = None, like: Like = "pandas"
) -> Any:
    """
    Return the values of metrics, a row for each step and a column for each metric.

    Parameters
    ----------
    db, where, like
        As for `frame`.
    over : str, optional
        ``mean``, ``min`` or ``max``: one row for all ranks of an execution, with this of their
        values. By default, each rank has its rows. If a metric was logged several times for a step,
        the last value stands, or all of them are reduced.
    """
    found = _table(db, "points", where)
    keys = ["execution", "pipeline", "stage", *(() if over else ("rank",)), "step"]
    how = over or "last"
    ordered = found.sort_by([(key, "ascending") for key in (*keys, "name", "at")])
    sums = ordered.group_by([*keys, "name"], use_threads=False).aggregate([("value", how)])
    sums = sums.sort_by(
        [(key, "ascending") for key in keys]
    )  # groups come in an order of their own
    return converted(_pivoted(sums, keys, f"value_{how}"), like)


def _pivoted(long: pa.Table, keys: list[str], value: str) -> pa.Table:
    """Make columns of what `name` says; the rows of a key stand together."""
    import numpy as np  # noqa: PLC0415 - slow to import, and only frames need it

    pa = tables.arrow()
    rows = np.zeros(len(long), np.int64)
    for key in keys:
        codes = long[key].combine_chunks().dictionary_encode(null_encoding="encode").indices
        changes = np.asarray(codes)
        rows[1:] |= changes[1:] != changes[:-1]
    number = rows.cumsum()
    first = np.flatnonzero(np.concatenate([[True], rows[1:] > 0])) if len(rows) else rows
    columns = {key: long[key].take(pa.array(first)) for key in keys}
    names = np.asarray(long["name"].to_pylist(), object)
    values = np.asarray(long[value])
    for name in sorted(set(names)):
        of_it = names == name
        column = np.zeros(len(first))
        missing = np.ones(len(first), bool)
        column[number[of_it]], missing[number[of_it]] = values[of_it], False
        columns[name] = pa.array(column, mask=missing)
    return pa.table(columns)


def _table(db: sqlite3.Connection, name: str, where: str) -> pa.Table:
    told = warnings.warn
    found = tables.batches(db, name, where, told=told)
    fields = tables.schema(tables.find(name))
    return tables.arrow().Table.from_batches(found, schema=fields)


def converted(table: pa.Table, like: Like) -> Any:
    """Return an Arrow table as a frame of another library."""
    if like == "arrow":
        return table
    try:
        library = import_module(like)
    except ImportError:
        raise ConfigError(
            f"Frames like {like} need it: pip install 'cmfd[{like}]'. Those like arrow do not."
        ) from None
    if like == "polars":
        return library.from_arrow(table)
    whole = {tables.arrow().int64(): library.Int64Dtype()}
    return table.to_pandas(types_mapper=whole.get)
