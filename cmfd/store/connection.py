"""
How every database of cmfd is opened, and how its .sql files are read.

Connections are in autocommit mode: a transaction is where `atomic` says it is.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cmfd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process's transaction."""


def connect(path: Path | str, *, readonly: bool = False, wal: bool = False) -> sqlite3.Connection:
    """
    Open a database.

    Parameters
    ----------
    path : Path or str
        The file; made if missing, unless `readonly`.
    readonly : bool
        Open what is there and never write to it: foreign packs, and a node
        store that a daemon is writing.
    wal : bool
        Write-ahead log, synced at each commit. Only for node-local disks: a
        WAL database never lies on a network filesystem.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode. It may be handed from thread to thread, which the
        daemon does to commit in a worker.

    Raises
    ------
    StoreError
        The file cannot be opened or is no database; it was left unchanged.
    """
    mode = "ro" if readonly else "rwc"
    # "?", "#" and "%" in a path would end or alter the URI; bytes, as a path may be no text.
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    try:
        db = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    try:
        _set_up(db, wal=wal)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(path, error) from error
    return db


def _set_up(db: sqlite3.Connection, *, wal: bool) -> None:
    # A schema in a foreign file must not be able to call functions with side effects.
    db.execute("PRAGMA trusted_schema = OFF")
    if wal:
        db.execute("PRAGMA journal_mode = WAL")
    # What was acknowledged survives a power cut.
    db.execute("PRAGMA synchronous = FULL")
    # Fails here, not in the middle of the caller's work, if this is no database.
    db.execute("SELECT count(*) FROM sqlite_schema")


def _unusable(path: Path | str, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"cannot use {path} as a database: {error}; it was left unchanged."
        " Check its permissions and the free space, or move it away"
    )


@contextmanager
def atomic(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block in one write transaction: all of it is kept, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back after some errors (disk full, for one).
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@cache
def sql(name: str) -> str:
    """Return the text of `cmfd/store/sql/<name>.sql`."""
    # Not importlib.resources: it costs every command 15 ms, to read from archives that nobody has.
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text("utf-8")


def statements(text: str) -> Iterator[str]:
    """
    Yield the statements of a script, one by one.

    `sqlite3.Connection.executescript` commits before it starts, so that a
    script could not be part of a transaction.
    """
    pending: list[str] = []
    for line in text.splitlines():
        pending.append(line)
        if ";" not in line:
            continue
        statement = "\n".join(pending)
        if sqlite3.complete_statement(statement):
            yield statement
            pending.clear()


@cache
def named(name: str) -> dict[str, str]:
    """
    Return the statements of `cmfd/store/sql/<name>.sql` by name.

    A line ``-- name: x`` stands before the statement *x*.
    """
    found = {}
    for statement in statements(sql(name)):
        title, marker, text = statement.strip().partition("\n")
        if not title.startswith("-- name: ") or not marker:
            raise StoreError(f"{name}.sql: no '-- name:' before: {statement.strip()}")
        found[title.removeprefix("-- name: ").strip()] = text
    return found
