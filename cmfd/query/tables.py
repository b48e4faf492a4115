"""
A site as plain tables: runs, executions, values, artifacts, energy.

What columns they have, of which kind and unit, is said once, here. Rows come some at a time, as
Arrow record batches: `cmfd.query.frames` makes frames of them, `cmfd.formats.tables` files.
"""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ConfigError, NotFoundError
from cmfd.query.filter import Filter
from cmfd.query.index import value_of
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from cmfd.query.values import Values

    Row = tuple[Any, ...]
    Told = Callable[[str], None]

ROWS = 1 << 16
"""So many rows of a table at most are in memory at a time."""

_EXECUTIONS = "SELECT e.{column} FROM execution AS e LEFT JOIN run AS r ON r.id = e.run_id WHERE {}"
_ARTIFACTS = "SELECT x.artifact_id FROM event AS x WHERE x.execution_id IN ({})"


class Kind(Enum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    TIME = "time"
    """Nanoseconds since 1970 in UTC; in Arrow, a timestamp."""
    FLAG = "flag"


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: Kind
    meaning: str


class Table(NamedTuple):
    """A table: what a row of it is, and its columns."""

    name: str
    meaning: str
    columns: tuple[Column, ...]


def _text(name: str, meaning: str) -> Column:
    return Column(name, Kind.TEXT, meaning)


def _count(name: str, meaning: str) -> Column:
    return Column(name, Kind.INTEGER, meaning)


def _real(name: str, meaning: str) -> Column:
    return Column(name, Kind.REAL, meaning)


def _time(name: str, meaning: str) -> Column:
    return Column(name, Kind.TIME, meaning)


_EXECUTION = _text("execution", "id of the execution")
_STAGE = (_text("pipeline", "pipeline of the stage"), _text("stage", "what the execution did"))
_RANK = _count("rank", "rank of the process")
_HOST = _text("host", "node that the process was on")
_STATUS = _text("status", "completed, failed, cancelled, lost or running")
_END = (_count("exit_code", "what it ended with"), _count("signal", "the signal that ended it"))
_WHEN = (
    _time("began", "when it began"),
    _time("ended", "when it ended; null while it runs"),
    _real("wall_s", "how long it took, in seconds"),
)
_CPU = _real("cpu_s", "time on processors, in seconds")
_MEMORY = _count("max_rss_bytes", "the most main memory that a process of it had")
_DROPPED = _count("dropped", "values that could not be recorded")
_VALUE = (
    _text("value_type", "int, float, bool, str, json or null"),
    _text("value", "the value, as text"),
    _real("number", "the value, if it is a number"),
)
_SIZE = (_count("size_bytes", "how long it is"), _count("n_files", "files in a directory"))

TABLES = {
    table.name: table
    for table in (
        Table(
            "runs",
            "one start of a job; all its ranks",
            (
                _text("run", "id of the run"),
                _text("cluster", "where it ran"),
                _text("job", "what the batch system calls its job"),
                _count("restart", "how often the job had been started before"),
                _text("user", "whose it is"),
                _text("name", "what it is called"),
                _text("command", "what was run"),
                _text("cwd", "in which directory"),
                _STATUS,
                _text("job_state", "what the batch system says of its job"),
                *_END,
                *_WHEN,
                _count("n_executions", "executions in it"),
                _count("n_nodes", "nodes that it was on"),
                _count("n_processes", "processes that said something"),
                _CPU,
                _MEMORY,
                _DROPPED,
            ),
        ),
        Table(
            "executions",
            "one time a stage ran: a step of a run, or more of them",
            (
                _EXECUTION,
                _text("run", "id of its run"),
                _text("parent", "id of the execution that it is nested in"),
                *_STAGE,
                _text("step", "the batch system's step"),
                _STATUS,
                *_END,
                *_WHEN,
                _count("n_processes", "its processes"),
                _count("n_ranks", "its ranks"),
                _CPU,
                _MEMORY,
                _DROPPED,
            ),
        ),
        Table(
            "processes",
            "one process of an execution",
            (
                _EXECUTION,
                _text("instance", "id of the process"),
                _RANK,
                _count("size", "how many ranks there were"),
                _HOST,
                _count("pid", "its number there"),
                _text("role", "rank, wrapper or worker"),
                _STATUS,
                *_END,
                *_WHEN,
                _real("cpu_user_s", "time on processors for the program, in seconds"),
                _real("cpu_system_s", "time on processors for the kernel, in seconds"),
                _MEMORY,
                _DROPPED,
            ),
        ),
        Table(
            "params",
            "one value of a parameter; ranks that disagree have a row each",
            (_EXECUTION, *_STAGE, _RANK, _text("key", "the parameter"), *_VALUE),
        ),
        Table(
            "facts",
            "something known of a run or an execution",
            (
                _text("subject", "id of the run or execution"),
                _text("key", "what is known"),
                _time("at", "when it was said"),
                *_VALUE,
            ),
        ),
        Table(
            "metrics",
            "the figures of a metric of one process",
            (
                _EXECUTION,
                *_STAGE,
                _text("name", "the metric"),
                _RANK,
                _HOST,
                _count("n_values", "how many values"),
                _count("n_nan", "how many of them are NaN"),
                _real("min", "the least"),
                _real("max", "the greatest"),
                _real("mean", "their mean; null where an infinity is among them"),
                _real("last", "the last one; null for a NaN"),
                _count("last_step", "the step of the last one"),
                _count("step_min", "the first step"),
                _count("step_max", "the last step"),
                _time("first_at", "when the first was logged"),
                _time("last_at", "when the last was logged"),
            ),
        ),
        Table(
            "points",
            "one value of a metric",
            (
                _EXECUTION,
                *_STAGE,
                _text("name", "the metric"),
                _RANK,
                _count("step", "the step that it was logged for"),
                _time("at", "when it was logged"),
                _real("value", "the value"),
                _count("whole", "the value, if it was logged as an integer: exact above 2^53"),
            ),
        ),
        Table(
            "artifacts",
            "content, by digest",
            (
                _text("digest", "MD5 as DVC computes it, with what it is of"),
                _text("strong", "SHA-256"),
                _text("kind", "dataset, model, metrics, ...: as it was first called"),
                _text("path", "where it was first"),
                *_SIZE,
                _count("n_paths", "paths that it was at"),
                _count("n_producers", "executions that wrote it"),
                _count("n_consumers", "executions that read it"),
            ),
        ),
        Table(
            "events",
            "an artifact going into or out of an execution",
            (
                _EXECUTION,
                *_STAGE,
                _text("direction", "input or output"),
                _text("kind", "what it was called"),
                _text("path", "what it was named by"),
                _text("digest", "which artifact"),
                *_SIZE,
                _RANK,
                _HOST,
                _text("absolute", "its absolute path there"),
                _text("properties", "what was said of it, as JSON"),
                _text("problem", "why it has no digest of its content; else empty"),
                _time("at", "when it was said"),
            ),
        ),
        Table(
            "notes",
            "what somebody said of an artifact, an execution or a run",
            (
                _text("subject", "digest or id of what it is about"),
                _text("kind", "note, tag, untag, label, tainted or cleared"),
                _text("text", "what was said"),
                _text("author", "who said it"),
                _time("at", "when it was said"),
            ),
        ),
        Table(
            "energy",
            "energy of a stretch of time, as it was measured and shared out",
            (
                _text("run", "whose it is, if a run's"),
                _text("execution", "of which execution, where that is known"),
                _text("node", "where"),
                _text("owner", "run, idle, system; counter: what all of them add up to"),
                _text("component", "cpu, dram, gpu, other, which add up; node"),
                _text("domain", "a GPU's UUID"),
                _text("source", "what was read: rapl, nvml, ..."),
                _text("role", "count; check: of another source, to compare with"),
                _text("grade", "A, the node's own meter, to E, a constant; M, missing"),
                _text("method", "how it was shared out"),
                _time("began", "when the stretch began"),
                _real("duration_s", "how long it was, in seconds"),
                _count("energy_uj", "microjoules"),
                _count("static_uj", "of these, what flows without load"),
            ),
        ),
        Table(
            "packs",
            "a sealed part of a run that was merged",
            (
                _text("digest", "SHA-256 of the pack"),
                _count("size_bytes", "how long it is"),
                _text("cluster", "where it is from"),
                _text("node", "the node that sealed it"),
                Column("final", Kind.FLAG, "whether nothing comes after it from that node"),
                _time("sealed", "when it was sealed"),
                _time("merged", "when it was merged here"),
            ),
        ),
    )
}
"""All tables, by their names."""


def find(name: str) -> Table:
    """
    Return a table.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    if name not in TABLES:
        raise NotFoundError(f"There is no table {name!r}. There are: {', '.join(TABLES)}.")
    return TABLES[name]


def chosen_by_filter(name: str) -> bool:
    """Tell whether the rows of a table belong to executions, by which a filter can choose."""
    return "{" in named("query/tables")[name]


def schema(table: Table) -> pa.Schema:
    """Return a table's schema; fields carry what they mean as `description`."""
    pa = arrow()
    types = {
        Kind.TEXT: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.REAL: pa.float64(),
        Kind.TIME: pa.timestamp("ns", "UTC"),
        Kind.FLAG: pa.bool_(),
    }
    fields = [
        pa.field(column.name, types[column.kind], metadata={"description": column.meaning})
        for column in table.columns
    ]
    return pa.schema(fields, metadata={"description": table.meaning})


def batches(
    db: sqlite3.Connection, name: str, where: str = "", *, told: Told
) -> Iterator[pa.RecordBatch]:
    """
    Yield the rows of a table.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    name : str
        Of `TABLES`.
    where : str
        A filter of executions: only what belongs to those that it lets pass, or to their runs.
    told : callable
        Is told, in a sentence each, what could not be read and is left out.

    Raises
    ------
    NotFoundError
        There is no such table.
    ConfigError
        PyArrow is not installed, or the table has nothing that a filter could choose by.
    FilterError
        The filter cannot be understood.
    """
    table = find(name)
    pa, fields = arrow(), schema(table)
    if table.name == "points":
        for part in points(db, where, told=told):
            whole = _of_points(part, fields)
            yield from (whole.slice(first, ROWS) for first in range(0, len(part), ROWS))
        return
    rows = _rows(db, table, where)
    while some := list(islice(rows, ROWS)):
        columns = [
            _array(column.kind, values, field.type)
            for column, field, values in zip(
                table.columns, fields, zip(*some, strict=True), strict=True
            )
        ]
        yield pa.record_batch(columns, schema=fields)


def points(db: sqlite3.Connection, where: str = "", *, told: Told) -> Iterator[Values]:
    """Yield the values of metrics, in columns, as `batches` does as batches."""
    from cmfd.query.values import Owner, Series, values  # noqa: PLC0415 - NumPy: only for these

    rows = _rows(db, find("points"), where)
    series = (Series._make((*row[:3], Owner._make(row[3:]))) for row in rows)
    return values(db, series, at_a_time=ROWS, told=told)


def _of_points(part: Values, fields: pa.Schema) -> pa.RecordBatch:
    """Make a batch of values; of names, only one text each is made."""
    pa = arrow()
    owner = pa.array(part.owner)
    names = [pa.array(column, pa.string()).take(owner) for column in zip(*part.owners, strict=True)]
    at = pa.array(part.at_ns, fields.field("at").type)
    whole = pa.array(part.whole, mask=~part.is_whole)
    numbers = (pa.array(part.rank), pa.array(part.step), at, pa.array(part.value), whole)
    return pa.record_batch([*names, *numbers], schema=fields)


def arrow() -> Any:
    """Import PyArrow, or say what is missing."""
    try:
        import pyarrow  # noqa: PLC0415, ICN001 - an extra, and slow to import
    except ImportError:
        raise ConfigError(
            "Tables need PyArrow, which is not installed here: pip install 'cmfd[tables]'."
        ) from None
    return pyarrow


def _array(kind: Kind, values: tuple[Any, ...], type_: pa.DataType) -> pa.Array:
    """Return the values of a column; one by one only where some do not fit."""
    pa = arrow()
    try:
        return pa.array(values, type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([_fitting(kind, value) for value in values], type_)


def _fitting(kind: Kind, value: Any) -> Any:
    """Return a value that fits its column: a pack from elsewhere may have any in any."""
    if value is None:
        return None
    if kind is Kind.TEXT:
        return value if isinstance(value, str) else str(value)
    if not isinstance(value, (int, float)):
        return None
    if kind is Kind.REAL:
        return float(value)
    return bool(value) if kind is Kind.FLAG else int(value)


def _rows(db: sqlite3.Connection, table: Table, where: str) -> Iterator[Row]:
    statement = named("query/tables")[table.name]
    if where.strip() and not chosen_by_filter(table.name):
        raise ConfigError(f"The rows of {table.name} are of no execution: leave the filter away.")
    condition, parameters = Filter(where, db).compiled(by_index=True)
    rows = db.execute(_chosen(statement, condition if where.strip() else None), parameters)
    if table.columns[-3:] == _VALUE:
        return map(_valued, rows)
    return iter(rows)


def _chosen(statement: str, condition: str | None) -> str:
    """Put a condition on executions in the places of a statement; None: everything."""
    if condition is None:
        return statement.format(run="true", execution="true", artifact="true", fact="true")
    executions, runs = (_EXECUTIONS.format(condition, column=name) for name in ("id", "run_id"))
    return statement.format(
        run=f"v.run_id IN ({runs})",
        execution=f"v.execution_id IN ({executions})",
        artifact=f"v.artifact_id IN ({_ARTIFACTS.format(executions)})",
        fact=f"(v.execution_id IN ({executions}) OR v.run_id IN ({runs}))",
    )


def _valued(row: Row) -> Row:
    """Return a row whose value is as it was logged: as a text, and as a number."""
    *before, value_type, stored = row
    value = value_of(value_type, stored)
    number = _number(value)
    if isinstance(value, bool):
        return (*before, value_type, "true" if value else "false", number)
    text = stored if isinstance(stored, str) and number is None else value
    return (*before, value_type, None if value is None else str(text), number)


def _number(value: object) -> float | None:
    """Return a value as a number; None of what is none, or is beyond what a float can be."""
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return None
