"""
A site's index as Datasette shows it: what its views and columns mean, and questions.

Datasette opens the file of the index as it is. What it cannot know, it reads from a file beside it:
https://docs.datasette.io/en/stable/metadata.html
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from cmfd.errors import ConfigError
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.query.tables import TABLES
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_UNITS = {"_s": "s", "_j": "J", "uj": "uJ", "_bytes": "B", "_ns": "ns"}
"""By the ends of columns' names; Datasette reads them with Pint."""

_SPOKEN = {"s": "seconds", "J": "joules", "uJ": "microjoules", "B": "bytes", "ns": "nanoseconds"}

_DATES = {"at", "began", "merged", "sealed"}
"""Columns of times as text; all that these and `_TIMES` name with ``_ns`` are times as well."""

_TIMES = {*_DATES, "end", "ended", "first", "last", "read", "t0"}

_LIKE = {"energy_rows": "energy", "metrics_last": "points"}
"""Which table for analysis has the columns of a view of another name."""

_ROWS = {
    "deliveries": "how far a node has delivered what it has of a run",
    "energy_of_nodes": "what counters of a node moved in a day (UTC), and whose energy that was",
    "energy_of_runs": "energy of a run, for a node, component, source and grade",
    "energy_probes": "whether a source of energy readings could be used on a node",
    "energy_rows": TABLES["energy"].meaning,
    "environments": "what an execution ran in",
    "labels": "what an artifact, execution or run is called now",
    "metrics_last": "the last value of a metric of one process",
    "nodes": "what a node is made of",
    "tags": "a tag that counts now",
    "tainted": "an artifact, execution or run that is tainted now",
}
"""What a row of a view is, where no table for analysis says it."""

_COLUMNS = {
    "advice": "how to get a better number",
    "at": "when it was said",
    "artifact_id": "number of the artifact in this file",
    "author": "who said it",
    "boot": "which boot of the node, as the kernel calls it",
    "chosen": "1: its energy is counted",
    "cluster": "name of the cluster; empty without a batch system",
    "component": "cpu, dram, gpu, other, which add up",
    "components": "which components it reads, as JSON",
    "counter_j": "what the counter moved: the sum of the others",
    "covered_ns": "for how much of the stretch there are readings",
    "cpu_model": "as the kernel names it",
    "cpu_ns": "time on processors of the owner",
    "cpu_s": "time on processors",
    "day": "the day, in UTC",
    "digest": "digest of the content",
    "document": "all of it, as JSON",
    "domain": "a GPU's UUID",
    "domains": "which parts it tells apart, as JSON",
    "dur_ns": "how long the stretch was",
    "end": "when the last stretch ended",
    "energy_j": "what it took",
    "execution_id": "number of the execution in this file",
    "energy_of_runs.began": "when the first stretch began",
    "final": "1: nothing comes after it from that node",
    "first": "when the first stretch began",
    "flags": "what is odd about the readings, as bits",
    "gpus": "uuid, name and memory of each, as JSON",
    "grade": "A, the node's own meter, to E, a constant; M, missing",
    "idle_j": "of it, what nothing ran for",
    "job_over": "1: its job was over",
    "kind": "what it was called",
    "label": "what it is called",
    "local_rank": "rank among those of the node",
    "memory_bytes": "of main memory",
    "metrics.kind": "float or int",
    "metrics_last.step": "the step of the last value",
    "metrics_last.value": "the last value; null for a NaN",
    "method": "how it was shared out",
    "n_cores": "physical cores",
    "n_distinct": "how many values there are; more than one: ranks disagree",
    "n_open": "executions that had not ended there",
    "n_sockets": "processors",
    "n_threads": "what the kernel counts as CPUs",
    "node": "name of the node",
    "note": "id of the note",
    "owner": "run, idle, system; counter: what all of them add up to",
    "read": "when it was read last",
    "reason": "why",
    "run": "id of the run",
    "runs.at": "when it was first heard of",
    "run_id": "number of the run in this file",
    "runs_j": "of it, what runs took",
    "scope": "node, package, dram, gpu or other",
    "series_id": "number of the series in this file",
    "short": "the beginning of the run's id, which commands take for the whole",
    "source": "what was read: rapl, nvml, ...",
    "static_j": "of it, what flows without load",
    "static_uj": "of it, what flows without load",
    "status": "how it stands",
    "subject": "digest or id of what it is about",
    "system_j": "of it, what the system took",
    "t0": "when the stretch began",
    "tag": "the tag",
    "uid": "number of the user",
    "uj": "what it took",
    "value": "the value",
}  # fmt: skip
"""What a column is, or one of a certain view, where no table for analysis says it."""

_QUESTIONS = {
    "runs_and_energy": (
        "Runs and their energy",
        "Latest first: time, memory, energy; its sources, and the worst grade (A, a meter, to E).",
    ),
    "best_values": (
        "Best values of a metric",
        "The last value of each process that logged it, greatest first.",
    ),
    "parameters_and_metric": (
        "A metric beside the parameters of its execution",
        "For parameters of other stages upstream, ask for a frame.",
    ),
    "made_from": (
        "What was an artifact made from?",
        "By events alone, at most 20 steps; cmfd lineage up also knows what contains what.",
    ),
    "came_of": (
        "What came of an artifact?",
        "By events alone, at most 20 steps; cmfd impact also knows what contains what.",
    ),
}
"""Title and description of each question."""

_NARROW = (
    "<style>.column-descriptions {columns: 19rem; font-size: smaller}"
    " .column-descriptions dd {break-before: avoid}</style>"
)
"""Lets the descriptions of columns stand beside each other, so that rows are seen below them."""

_FACETS = {
    "runs": ["user", "status"],
    "executions": ["pipeline", "stage", "status"],
    "events": ["direction", "kind"],
    "energy_of_runs": ["component", "source", "grade"],
}
_SORTED = {"runs": "at_ns", "executions": "began_ns", "notes": "at_ns"}


def metadata(site: Path) -> dict[str, Any]:
    """
    Return what Datasette should know of a site's index.

    Parameters
    ----------
    site : Path
        The site's directory.

    Returns
    -------
    dict
        To be written as JSON, for ``datasette --metadata``.

    Raises
    ------
    NotFoundError
        There is no site, or nothing was ever merged into it.
    ConfigError
        Its index is no file.
    StoreError
        It cannot be read.
    """
    there = open_site(site)
    if there.database:
        raise ConfigError(
            f"The index of {site} is in PostgreSQL, which Datasette does not open; nothing was "
            "written. A clone of the site can have its index in a file: cmfd clone."
        )
    with open_index(site) as db:
        tables = _tables(db)
    texts = named("datasette/questions")
    questions = {
        name: {"title": title, "description": said, "sql": texts[name], "hide_sql": True}
        for name, (title, said) in _QUESTIONS.items()
    }
    shown = {"tables": tables, "queries": questions, "description": _ABOUT}
    return {"title": f"cmfd site {there.id}", "databases": {there.index.stem: shown}}


_ABOUT = (
    "Views are for reading: ids in hexadecimal, times in UTC, units as shown. Tables, which are "
    "hidden, are cmfd's own. Numbers in columns called *_id are of this file only."
)


def _tables(db: sqlite3.Connection) -> dict[str, Any]:
    """Return what is said of views; all else is hidden."""
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    views = db.execute("SELECT name FROM sqlite_temp_master WHERE type = 'view'").fetchall()
    return {
        **{name: {"hidden": True} for (name,) in tables},
        **{name: _view(db, name) for (name,) in views},
    }


def _view(db: sqlite3.Connection, name: str) -> dict[str, Any]:
    columns = [row[1] for row in db.execute(f'PRAGMA table_info("{name}")')]
    said: dict[str, Any] = {
        "description_html": f"A row is {escape(row_of(name))}.{_NARROW}",
        "columns": {column: meaning_of(name, column) for column in columns},
        "units": {column: unit for column in columns if (unit := _unit(column))},
    }
    if name in _SORTED:
        said["sort_desc"] = _SORTED[name]
    if name in _FACETS:
        said["facets"] = _FACETS[name]
    return said


def row_of(view: str) -> str:
    """Return what a row of a view is."""
    return TABLES[view].meaning if view in TABLES else _ROWS[view]


def meaning_of(view: str, column: str) -> str:
    """Return what a column of a view is, with how it is written or its unit."""
    if _is_time(column):
        how = "ISO 8601" if column in _DATES else "nanoseconds since 1970"
        return f"{_said(view, column.removesuffix('_ns'), '_at', '')} ({how}, UTC)"
    said = _said(view, column, "")
    unit = _unit(column)
    return f"{said} ({_SPOKEN[unit]})" if unit and "in seconds" not in said else said


def _said(view: str, column: str, *ends: str) -> str:
    """Return what is said of a column: of this view, else of any."""
    table = TABLES.get(_LIKE.get(view, view))
    own = {one.name: one.meaning for one in table.columns} if table else {}
    every = {one.name: one.meaning for table in TABLES.values() for one in table.columns}
    found = [own.get(f"{column}{end}") for end in ends]
    places = [_COLUMNS.get(f"{view}.{column}"), *found, _COLUMNS.get(column), every.get(column)]
    return next(said for said in places if said is not None)


def _is_time(column: str) -> bool:
    bare = column.removesuffix("_ns")
    return column in _DATES or (bare != column and bare in _TIMES)


def _unit(column: str) -> str | None:
    """Return the unit of a column, as Pint knows it; times have none."""
    units = (unit for end, unit in _UNITS.items() if column.endswith(end))
    return None if _is_time(column) else next(units, None)
