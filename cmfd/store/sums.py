"""
Sums that reports read in place of rows, made of the rows once these are merged.

A merge puts down what it changes; when it is done, `refresh` makes the sums of that anew, whole, a
batch after the other. So a sum is what its rows say, whichever order they came in and how often.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from cmfd.store.connection import named, sql

if TYPE_CHECKING:
    import sqlite3

BATCH = 2000
"""So many of each kind at a time: what a transaction changes stays in memory until its end."""

_STEPS = ("site/0006", "site/0008")
"""Of the schema: those that make tables of sums."""
_KINDS = ("energy", "execution", "run")
_TABLES = re.compile(r"CREATE TABLE (\w+) \(.*?\) STRICT(?:, WITHOUT ROWID)?;", re.DOTALL)


def refresh(db: sqlite3.Connection, limit: int = BATCH) -> bool:
    """
    Make the next sums anew that are out of date.

    Parameters
    ----------
    db : sqlite3.Connection
        Of a site's index, in a transaction.
    limit : int
        Of so many days of a meter and owner, executions and runs; -1: of all.

    Returns
    -------
    bool
        Whether there may be more.
    """
    queries = named("site/sums")
    for name, statement in queries.items():
        if name.startswith("make_"):
            db.execute(statement)
    for kind in _KINDS:
        db.execute(queries[f"{kind}_begin"])
        n_taken = db.execute(queries[f"{kind}_take"], {"limit": limit}).rowcount
        for statement in _steps(kind) if n_taken else ():
            db.execute(statement)
        if n_taken == limit:  # runs stand on all of their executions and energy
            return True
    return False


def is_stale(db: sqlite3.Connection) -> bool:
    """Tell whether any sums are out of date."""
    return bool(db.execute(named("site/sums")["is_stale"]).fetchone()[0])


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """
    Let who only reads an index have sums that are up to date, if need be in temporary tables.

    Parameters
    ----------
    db : sqlite3.Connection
        Of a site's index, which a merge may not have done with, or was killed at.
    """
    if not is_stale(db):
        return
    db.execute("BEGIN")
    try:
        for name in _made():
            db.execute(temporary(name, name))
            db.execute(f"INSERT INTO temp.{name} SELECT * FROM main.{name}")  # noqa: S608 - names of our own tables
        refresh(db, -1)
    finally:
        if db.in_transaction:
            db.execute("COMMIT")


@cache
def _steps(kind: str) -> list[str]:
    return [
        statement
        for name, statement in named("site/sums").items()
        if re.fullmatch(rf"{kind}_\d+", name)
    ]


def temporary(table: str, name: str) -> str:
    """Return how to make a table of sums once more for a connection, under whatever name."""
    return _made()[table].replace(f"TABLE {table}", f"TEMP TABLE IF NOT EXISTS {name}", 1)


@cache
def _made() -> dict[str, str]:
    """Return how each table of sums is made, by its name."""
    return {found[1]: found[0] for step in _STEPS for found in _TABLES.finditer(sql(step))}
