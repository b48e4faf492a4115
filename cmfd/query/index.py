"""
Opening a site's index to read it, and turning rows into results.

Queries stand on the views of *this* release, made anew as temporary ones at each opening: those in
the file are of whoever merged last. The file itself is never written.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cmfd.errors import StoreError
from cmfd.merge.index import connect_index
from cmfd.merge.layout import open_site
from cmfd.model import ValueType
from cmfd.store.connection import sql, statements
from cmfd.store.grants import Grant, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cmfd.query.results import Result
    from cmfd.store.postgres.connection import PostgresIndex

    R = TypeVar("R", bound=Result)


_PRAGMAS = ("PRAGMA cache_size = -65536", "PRAGMA temp_store = MEMORY")
"""64 MiB of cache: questions about lineage come to the same pages again and again."""


@contextmanager
def open_index(site: Path) -> Iterator[sqlite3.Connection]:
    """
    Open the index of a site for queries.

    Parameters
    ----------
    site : Path
        The site's directory.

    Yields
    ------
    sqlite3.Connection
        Read-only, with the views of this release.

    Raises
    ------
    NotFoundError
        There is no site, or nothing was ever merged into it.
    StoreError
        The index is damaged, or of another schema than this release's.
    """
    there = open_site(site)
    with explained(there.index), closing(connect_index(there, current=True)) as db:
        if there.database:
            _prepare_postgres(db)
        else:
            _prepare(db)
        yield db


def _prepare(db: sqlite3.Connection) -> None:
    db.text_factory = _legible
    db.create_function("id_of", 1, _id_of, deterministic=True)
    for pragma in _PRAGMAS:
        db.execute(pragma)
    for statement in statements(sql("site/views")):
        db.execute(statement.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))


def _prepare_postgres(db: sqlite3.Connection) -> None:
    from cmfd.store.postgres import schema  # noqa: PLC0415 - an extra, and 0.1 s

    index = cast("PostgresIndex", db)
    if not schema.is_current(index):
        schema.make_views(index, temporary=True)


def restriction(db: sqlite3.Connection) -> str:
    """
    Return in words what of an index its user may see; nothing where that is all of it.

    Parameters
    ----------
    db : sqlite3.Connection
        From `open_index`.
    """
    if isinstance(db, sqlite3.Connection) or not cast("PostgresIndex", db).is_restricted:
        return ""
    found = db.execute("SELECT kind, value FROM granted ORDER BY kind, value")
    seen = [Grant("", *row) for row in found]
    return f"You may see {told(seen)}; what others made or used is not shown, nor counted."


def _id_of(text: str) -> bytes | None:
    """Return the id that is written in hexadecimal, as in notes; None for a digest."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _legible(text: bytes) -> str:
    """Decode a text: a pack from elsewhere may have any bytes, and must not hide other runs."""
    return text.decode(errors="replace")


def all_rows(
    db: sqlite3.Connection, statement: str, parameters: Mapping[str, object] | tuple[()] = ()
) -> list[tuple[Any, ...]]:
    """
    Return the rows of a query of very many texts: in a third of the time, if all are texts.

    Parameters
    ----------
    db : sqlite3.Connection
        From `open_index`.
    statement : str
        In SQL.
    parameters : mapping of str to object, optional
        Its named parameters.
    """
    if not isinstance(db, sqlite3.Connection):  # of another engine, which has only texts
        return db.execute(statement, parameters).fetchall()
    legible = db.text_factory
    db.text_factory = str
    try:
        return db.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError:  # not UTF-8, if it is not something that will be told again
        db.text_factory = legible
        return db.execute(statement, parameters).fetchall()
    finally:
        db.text_factory = legible


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say what to do about a database that cannot be read."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} cannot be read: {error}; it was left unchanged. If a merge was killed, "
            "`cmfd merge` puts it right; `cmfd site reindex` makes it anew from the packs."
        ) from error


def run_query(db: sqlite3.Connection, query: str, /, **parameters: object) -> sqlite3.Cursor:
    """
    Run a query of `cmfd/store/sql/query`.

    Parameters
    ----------
    db : sqlite3.Connection
        From `open_index`.
    query : str
        The query's file, without ``.sql``.
    **parameters
        Its named parameters.
    """
    return db.execute(sql(f"query/{query}"), bindable(parameters))


def bindable(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return parameters that SQLite takes: a file's name need not be UTF-8, what is stored is."""
    return {
        name: value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if isinstance(value, str)
        else value
        for name, value in parameters.items()
    }


def fetch(db: sqlite3.Connection, query: str, /, **parameters: object) -> list[dict[str, Any]]:
    """Run a query and return its rows by column name."""
    cursor = run_query(db, query, **parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def results(db: sqlite3.Connection, query: str, kind: type[R], /, **parameters: object) -> list[R]:
    """Run a query whose columns are the fields of `kind`."""
    return [kind(**row) for row in fetch(db, query, **parameters)]


def value_of(value_type: str, stored: Any) -> Any:
    """
    Return a parameter's or fact's value as it was logged.

    Parameters
    ----------
    value_type : str
        Of `cmfd.model.ValueType`.
    stored : int, float, str or None
        How the index keeps it: see there.
    """
    if value_type == ValueType.NULL:
        return None
    if value_type == ValueType.BOOL:
        return bool(stored)
    if value_type == ValueType.FLOAT:
        return float(stored)
    if value_type == ValueType.JSON:
        return _parsed(stored)
    return stored


def _parsed(text: str) -> Any:
    """Parse JSON; a text that is none, from somebody's own pack, is returned as it is."""
    import json  # noqa: PLC0415 - hardly any value is

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def object_of(text: str) -> dict[str, Any]:
    """Parse a JSON object; anything else is an empty one."""
    found = _parsed(text)
    return found if isinstance(found, dict) else {}
