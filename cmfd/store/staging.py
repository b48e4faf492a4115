"""
Packs on their way into a site's index in SQLite: copied into memory, then taken from there.

Each table of packs has one there, without keys, with the number of the pack in its group beside
each row. They are in a database of their own, attached as ``incoming``, so that the statements of
`sql/site/absorb*.sql` find there what they speak of. Chunks, which are nearly all bytes of most
packs, are taken from where they are. So is all of packs that are larger than memory may be.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cmfd.store.absorbing import INCOMING
from cmfd.store.connection import named
from cmfd.store.content import layout

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    Packs = tuple[tuple[str, int], ...]

MOST_BYTES = 64 << 20
"""Of packs that have more bytes together, nothing is copied."""


def make(db: sqlite3.Connection) -> None:
    """Make the tables of a connection."""
    db.execute("ATTACH ':memory:' AS incoming")
    for table, columns in layout().items():
        # Without types: values stay what they are, and the index says what it takes.
        names = ", ".join(column.name for column in columns)
        db.execute(f"CREATE TABLE incoming.{table} (pack_no, {names})")


def copy(db: sqlite3.Connection, packs: Packs) -> set[str]:
    """
    Copy the rows of packs, but for chunks.

    Parameters
    ----------
    db : sqlite3.Connection
        Of the index, in a transaction.
    packs : tuple of (str, int)
        What each is attached as, and its format.

    Returns
    -------
    set of str
        The tables of which there was something.
    """
    return {table for table, statement in _copying(packs) if db.execute(statement).rowcount}


@cache
def _copying(packs: Packs) -> list[tuple[str, str]]:
    copied = []
    for table, columns in layout().items():
        names = ", ".join(("pack_no", *(column.name for column in columns)))
        copied.append((table, f"INSERT INTO incoming.{table} ({names}) {_all_rows(table, packs)}"))
    return [(table, statement) for table, statement in copied if table != "chunk"]


def in_place(db: sqlite3.Connection, packs: Packs) -> set[str]:
    """Return what `copy` does, of packs whose rows are taken from where they are."""
    return {
        table
        for table in layout()
        if db.execute(f"SELECT EXISTS ({_all_rows(table, packs)})").fetchone()[0]
    }


@cache
def of_packs(packs: Packs, statement: str) -> str:
    """Return a statement about ``incoming.x`` as one about such rows where they are."""
    return INCOMING.sub(
        # a comment names what is no table
        lambda found: f"({_all_rows(found[1], packs)})" if found[1] in layout() else found[0],
        statement,
    )


@cache
def of_chunks(schema: str) -> dict[str, str]:
    """Return the statements of absorb_chunks.sql, by name, for a pack attached as `schema`."""
    return {
        name: INCOMING.sub(rf"{schema}.\1", statement)
        for name, statement in named("site/absorb_chunks").items()
    }


def _all_rows(table: str, packs: Packs) -> str:
    return " UNION ALL ".join(_rows(table, number, *pack) for number, pack in enumerate(packs))


def _rows(table: str, number: int, schema: str, version: int) -> str:
    """Return a query for the rows of a pack: nulls where its format has no such column or table."""
    there = layout(version).get(table, ())
    names = [
        column.name if column in there else f"NULL AS {column.name}" for column in layout()[table]
    ]
    source = f"FROM {schema}.{table}" if there else "WHERE false"
    return f"SELECT {', '.join((f'{number} AS pack_no', *names))} {source}"


def clear(db: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Remove what was copied into some tables."""
    for table in tables:
        db.execute(f"DELETE FROM incoming.{table}")  # noqa: S608 - names of our own schema
