"""
The schema of an index in PostgreSQL: made and migrated by the steps that SQLite's is.

Each index is a schema of the database, with the functions that its statements need, so that one
database may hold the indices of many sites, and none needs more than the right to make a schema.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from cmfd.errors import SchemaTooNewError, StoreError
from cmfd.store.connection import sql, statements
from cmfd.store.migrations import SCHEMAS
from cmfd.store.postgres import readers
from cmfd.store.postgres.dialect import functions, operators, translated, translation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.store.postgres.connection import PostgresIndex

OLDEST_SERVER = 15
"""The first release whose views may have the rights of who asks."""

_STATE = """\
CREATE TABLE cmfd_index (
    version BIGINT NOT NULL,         -- of the tables
    derived TEXT NOT NULL,           -- digest of the functions and views
    token TEXT NOT NULL              -- of this making of it
);
INSERT INTO cmfd_index VALUES (0, '', gen_random_uuid()::text)
"""


_UNIQUE = re.compile(r"CREATE UNIQUE INDEX (?:IF NOT EXISTS )?(\w+) ON (\w+)\b")


@contextmanager
def atomic(db: PostgresIndex) -> Iterator[None]:
    """Run the block in one transaction: all of it is kept, or nothing."""
    with db.raw.transaction():
        yield


def exists(db: PostgresIndex) -> bool:
    """
    Say whether there is an index.

    Raises
    ------
    StoreError
        There is, and nothing of it was granted to who asks.
    """
    # Asked of the tables: names are kept by a connection, which learns of one that another has made
    # when its next transaction begins, and not when it gets the lock that it waited for.
    query = """
        SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace AS n
        JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
        WHERE n.nspname = ? AND c.relname = 'cmfd_index'"""
    found = db.execute(query, (db.schema,)).fetchone()
    if found is not None and not found[0]:
        user = db.raw.info.user
        raise StoreError(
            f"Nothing of the index {db.url} was granted to {user}; nothing was changed. Whose it is"
            f" can do that: cmfd site grant {user} --own"
        )
    return found is not None


def check(db: PostgresIndex) -> int:
    """
    Return the version of the tables.

    Raises
    ------
    SchemaTooNewError
        A newer cmfd made them.
    """
    version: int = db.one("SELECT version FROM cmfd_index")[0]
    newest = len(SCHEMAS["site"])
    if version > newest:
        raise SchemaTooNewError(
            f"{db.url} has site schema {version}, this cmfd knows {newest};"
            " it was left unchanged. Use the newer cmfd that wrote it"
        )
    return version


def set_up(db: PostgresIndex) -> None:
    """
    Make the index, or bring it up to date.

    Raises
    ------
    StoreError
        The database cannot hold one, or a step failed; it is as it was.
    SchemaTooNewError
        A newer cmfd made it.
    """
    if not exists(db):
        _make(db)
    version = check(db)
    if version == len(SCHEMAS["site"]) and is_current(db):
        return
    with atomic(db):
        lock(db)
        # Another merger may have done it while this one waited.
        if check(db) == len(SCHEMAS["site"]) and is_current(db):
            return
        _require_keys(db)
        _undo_derived(db)
        _make_functions(db)
        for step in range(check(db), len(SCHEMAS["site"])):
            _step(db, step)
        _derive(db)


def lock(db: PostgresIndex) -> None:
    """Be the one writer of this index until the transaction ends."""
    key = int.from_bytes(hashlib.sha256(db.schema.encode()).digest()[:8], "big", signed=True)
    db.execute("SELECT pg_advisory_xact_lock(?)", (key,))


def _make(db: PostgresIndex) -> None:
    encoding = db.one("SHOW server_encoding")[0]
    if db.raw.info.server_version < OLDEST_SERVER * 10_000:
        raise StoreError(
            f"the server of {db.url} is of PostgreSQL {db.raw.info.server_version // 10_000};"
            f" nothing was changed. An index needs {OLDEST_SERVER} or newer"
        )
    if encoding != "UTF8":
        raise StoreError(
            f"the database of {db.url} has the encoding {encoding}; nothing was changed. An index"
            " needs UTF8: CREATE DATABASE cmfd ENCODING 'UTF8' TEMPLATE template0"
        )
    with atomic(db):
        lock(db)
        if not exists(db):
            db.raw.execute(f'CREATE SCHEMA IF NOT EXISTS "{db.schema}"; {_STATE}'.encode())


def _step(db: PostgresIndex, before: int) -> None:
    for name in SCHEMAS["site"][before]:
        for statement in statements(sql(name)):
            if "PRAGMA " not in statement:
                db.execute(statement)
    if not before:
        db.raw.execute(b"ALTER TABLE chunk ALTER data SET STORAGE EXTERNAL")  # it is compressed
    db.execute("UPDATE cmfd_index SET version = ?", (before + 1,))


def _make_functions(db: PostgresIndex) -> None:
    """Make the functions and operators of this release, or have them do what they do in it."""
    db.raw.execute(functions().encode())
    for operator in operators():
        with suppress(psycopg.errors.DuplicateFunction), db.raw.transaction():
            db.raw.execute(operator.encode())


def is_current(db: PostgresIndex) -> bool:
    """Say whether functions and views are those of this release."""
    return bool(db.one("SELECT derived FROM cmfd_index")[0] == _derived())


def _derived() -> str:
    # What is translated, and by what: to translate it takes longer than many a question.
    parts = (functions(), *operators(), sql("site/views"), translation(), *readers.policies())
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _require_keys(db: PostgresIndex) -> None:
    """See to it that rows are told apart by the keys of this release: no step changes those."""
    query = "SELECT tablename, indexname FROM pg_catalog.pg_indexes WHERE schemaname = ?"
    there = {(table, name) for table, name in db.execute(query, (db.schema,)).fetchall()}
    tables = {table for table, _ in there}
    every = (one for step in SCHEMAS["site"] for name in step for one in statements(sql(name)))
    for statement in every:
        for name, table in _UNIQUE.findall(translated(statement)):
            if table in tables and (table, name) not in there:
                raise StoreError(
                    f"{db.url} was made by an older cmfd, with other keys ({name} is not there); it"
                    " was left unchanged, and packs stay in the inbox. Make it anew from the packs:"
                    " cmfd site reindex"
                )


def _undo_derived(db: PostgresIndex) -> None:
    """Remove what stands on tables and functions and can be made anew."""
    readers.drop_policies(db)
    query = "SELECT table_name FROM information_schema.views WHERE table_schema = ?"
    for (view,) in db.execute(query, (db.schema,)).fetchall():
        db.raw.execute(f'DROP VIEW IF EXISTS "{view}" CASCADE'.encode())


def _derive(db: PostgresIndex) -> None:
    """Make that anew."""
    make_views(db)
    readers.make_policies(db)
    db.execute("UPDATE cmfd_index SET derived = ?", (_derived(),))


def make_views(db: PostgresIndex, *, temporary: bool = False) -> None:
    """Make the views of this release; temporary ones are of this connection only."""
    kind = "CREATE TEMP VIEW" if temporary else "CREATE VIEW"
    for statement in statements(sql("site/views")):
        # With the rights of who asks, not of who made it.
        made = re.sub(
            r"\bCREATE VIEW (\w+) AS\b", rf"{kind} \1 WITH (security_invoker = true) AS", statement
        )
        db.execute(made)


def drop(db: PostgresIndex) -> None:
    """Remove the index, if there is one."""
    db.raw.execute(f'DROP SCHEMA IF EXISTS "{db.schema}" CASCADE'.encode())


def rename(db: PostgresIndex, schema: str) -> None:
    """Put the index in the place of another one, which is removed, in one step."""
    with atomic(db):
        db.raw.execute(
            f'DROP SCHEMA IF EXISTS "{schema}" CASCADE;'
            f' ALTER SCHEMA "{db.schema}" RENAME TO "{schema}"'.encode()
        )
