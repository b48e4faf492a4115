"""
Schemas by version, and taking a database from one version to the next.

A schema is a list of steps; step *n* brings a database from version *n - 1* to
*n* in one transaction, and a new database to the newest in one. Steps that were
ever released are never edited: a change is a new step, and a new fixture of the
version before it. `user_version` holds the version,
`application_id` says which schema it is.
"""

from __future__ import annotations

import sqlite3
from itertools import chain

from cmfd.errors import SchemaTooNewError, StoreError
from cmfd.store.connection import atomic, sql, statements

Steps = tuple[tuple[str, ...], ...]

SCHEMAS: dict[str, Steps] = {
    "node": (
        ("content/0001", "node/0001"),
        ("content/0002",),
        ("content/0003", "node/0002"),
        ("node/0003",),
    ),
    "pack": (
        ("content/0001", "content/0001_pack"),
        ("content/0002_pack",),
        ("content/0002",),
        ("content/0003",),
        ("content/0005_pack",),
    ),
    "site": (
        ("site/0001",),
        ("site/0002",),
        ("site/0003",),
        ("site/0004",),
        ("site/0005",),
        ("site/0006",),
        ("site/0007",),
        ("site/0008",),
    ),
}
"""The .sql files of each step of each schema."""

APPLICATION_IDS = {"node": 0x636D666E, "pack": 0x636D6670, "site": 0x636D6673}
"""What the last file of each schema's first step sets: cmfn, cmfp, cmfs."""


def version_of(db: sqlite3.Connection, attached: str = "main") -> int:
    """Return the schema version of a database, or of one attached to it; 0 if it has none yet."""
    version: int = db.execute(f"PRAGMA {attached}.user_version").fetchone()[0]
    return version


def migrate(db: sqlite3.Connection, schema: str, *, steps: Steps | None = None) -> int:
    """
    Bring a database to the newest version of its schema.

    Parameters
    ----------
    db : sqlite3.Connection
        A new database, or one of this schema.
    schema : str
        A key of `SCHEMAS`.
    steps : tuple of tuple of str, optional
        Other steps than the schema's own.

    Returns
    -------
    int
        The version it had.

    Raises
    ------
    SchemaTooNewError
        A newer cmfd wrote it; it was left unchanged.
    StoreError
        It is not of this schema, or a step failed; it has the last version
        whose step was done.
    """
    steps = SCHEMAS[schema] if steps is None else steps
    before = check(db, schema, newest=len(steps))
    if not before:  # all at once, as each transaction waits for the disk
        _step(db, schema, range(len(steps)), steps)
    for version in range(version_of(db), len(steps)):
        _step(db, schema, range(version, version + 1), steps)
    return before


def check(db: sqlite3.Connection, schema: str, *, newest: int | None = None) -> int:
    """
    Return the version of a database of this schema, or of an empty one.

    Raises
    ------
    SchemaTooNewError
        A newer cmfd wrote it.
    StoreError
        It is another program's database or of another schema.
    """
    newest = len(SCHEMAS[schema]) if newest is None else newest
    version = version_of(db)
    application = db.execute("PRAGMA application_id").fetchone()[0]
    has_tables = db.execute("SELECT 1 FROM sqlite_schema").fetchone() is not None
    if (version or has_tables) and application != APPLICATION_IDS[schema]:
        raise StoreError(
            f"{file_of(db)} is no {schema} database of cmfd; it was left unchanged."
            " Move it away, or name another file"
        )
    if version > newest:
        raise SchemaTooNewError(
            f"{file_of(db)} has {schema} schema {version}, this cmfd knows {newest};"
            " it was left unchanged. Use the newer cmfd that wrote it"
        )
    return version


def file_of(db: sqlite3.Connection) -> str:
    """Return the path of a connection's main database."""
    return db.execute("PRAGMA database_list").fetchone()[2] or ":memory:"


def _step(db: sqlite3.Connection, schema: str, versions: range, steps: Steps) -> None:
    """Take a database from the first of some versions to behind the last."""
    try:
        with atomic(db):
            # Another process may have made the same step while this one waited for the lock.
            if version_of(db) > versions.start:
                return
            for name in chain.from_iterable(steps[versions.start : versions.stop]):
                for statement in statements(sql(name)):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {versions.stop:d}")
    except sqlite3.Error as error:
        raise StoreError(
            f"could not bring {file_of(db)} to {schema} schema {versions.stop}: {error};"
            f" it still has schema {version_of(db)}, with all that it held"
        ) from error


def refresh_views(db: sqlite3.Connection, name: str) -> None:
    """
    Replace every view of a database by those of `sql/<name>.sql`.

    Views are derived, so they need no migrations: each opening for writing
    brings those of its release.
    """
    wanted = sorted(statement.strip() for statement in _views(sql(name)))
    found = [row[0] for row in db.execute("SELECT sql FROM sqlite_schema WHERE type = 'view'")]
    if sorted(f"{text};" for text in found) == wanted:
        return
    with atomic(db):
        for (view,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall():
            db.execute(f'DROP VIEW "{view}"')
        for statement in wanted:
            db.execute(statement)


def _views(text: str) -> list[str]:
    """Return the statements without the comments before them, as SQLite keeps them."""
    return [text_of[text_of.index("CREATE VIEW") :] for text_of in statements(text)]
