"""Runs and executions as reports of energy and emissions put them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3


class RunLine(NamedTuple):
    """A chosen run."""

    run_id: int
    run: str
    user: str
    uid: int | None
    job: str
    state: str
    """The batch system's word; else the run's status."""
    began_ns: int
    wall_s: float | None
    cores: int | None
    gpus: int | None
    name: str
    """What it is put together by, where that is one thing of the run's."""


class PartLine(NamedTuple):
    """A chosen execution."""

    run_id: int
    execution_id: int
    status: str
    began_ns: int
    wall_s: float | None
    pipeline: str
    stage: str
    is_nested: int
    """In another one that is put together with it."""


def run_lines(db: sqlite3.Connection, by: str) -> list[RunLine]:
    """
    Return the runs that `cmfd.query.selection.choose` chose, the latest first.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by : str
        What they are put together by.
    """
    return list(map(RunLine._make, _rows(db, "runs", by=by)))


def part_lines(db: sqlite3.Connection, by: str) -> list[PartLine]:
    """Return the chosen executions, the latest first."""
    return list(map(PartLine._make, _rows(db, "executions", by=by)))


def hosts(db: sqlite3.Connection) -> dict[int, list[str]]:
    """Return on which nodes processes of each chosen run were, as far as they said."""
    found: dict[int, list[str]] = {}
    for run_id, node in _rows(db, "hosts"):
        found.setdefault(run_id, []).append(node)
    return found


def _rows(db: sqlite3.Connection, query: str, **parameters: object) -> sqlite3.Cursor:
    return db.execute(named("query/reported")[query], parameters)
