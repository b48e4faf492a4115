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
    ranks disagree, the value of the lowest rank stands; all of them are in the table ``params``. A
    parameter called ``execution`` is the column ``param.execution``.

    Parameters
    ----------
    db, where, like
        As for `frame`.
    """
    from cmfd.query import wide  # noqa: PLC0415 - NumPy is slow to import

    found = _table(db, "params", where).sort_by([("rank", "descending")])
    return converted(wide.of_params(found), like)


def metrics(
    db: sqlite3.Connection, where: str = "", *, over: Reduction | None = None, like: Like = "pandas"
) -> Any:
    """
    Return the values of metrics, a row for each step and a column for each metric, of floats.

    Integers that a float would round are in the table ``points``. A metric that is called as
    another column is has ``metric.`` before its name: ``metric.step``.

    Parameters
    ----------
    db, where, like
        As for `frame`.
    over : str, optional
        ``mean``, ``min`` or ``max``: one row for all ranks of an execution, with this of their
        values. By default, each rank has its rows. If a metric was logged several times for a step,
        the last value stands, or all of them are reduced.
    """
    from cmfd.query import values, wide  # noqa: PLC0415 - NumPy is slow to import

    found = values.joined(tables.points(db, where, told=warnings.warn))
    return converted(wide.of_metrics(found, over), like)


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
