"""
The content tables and the rule by which rows of each are merged.

What the tables are is said once, in `sql/content/*.sql`: this module reads it
there, so that a store, a pack and a merge cannot disagree.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache

from cmfd.store.connection import sql, statements

FILES = ("content/0001", "content/0002", "content/0003")
"""The .sql files of the tables that a node store and a pack have in common."""

_KIND = re.compile(r"^-- kind: (\w+)[^\n]*\n(?:--[^\n]*\n)*CREATE TABLE (\w+)", re.MULTILINE)

_WINS = {"first": "<", "last": ">", "set": ">", "most": ">"}
"""How the rest of a new row must compare with that of the row in place to replace it."""


@dataclass(frozen=True)
class Table:
    """
    A content table.

    Attributes
    ----------
    name, kind : str
        Kinds are ``set``, ``first``, ``last`` and ``most``: see the .sql file.
    key : tuple of str
        Columns of the primary key.
    rest : tuple of str
        The other columns, in order: what two rows with one key are compared by.
    nullable : frozenset of str
        Columns that may be null; a null compares as the least value.
    """

    name: str
    kind: str
    key: tuple[str, ...]
    rest: tuple[str, ...]
    nullable: frozenset[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the table's order."""
        return self.key + self.rest


@cache
def tables() -> dict[str, Table]:
    """Return the content tables by name, in the order of the .sql files."""
    text = "\n".join(map(sql, FILES))
    kinds = {name: kind for kind, name in _KIND.findall(text)}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for statement in statements(text):
            db.execute(statement)
        return {name: _table(db, name, kind) for name, kind in kinds.items()}


def _table(db: sqlite3.Connection, name: str, kind: str) -> Table:
    info = db.execute(
        'SELECT name, "notnull", pk FROM pragma_table_info(?) ORDER BY cid', (name,)
    ).fetchall()
    key = tuple(column for column, _, pk in info if pk)
    rest = tuple(column for column, _, pk in info if not pk)
    return Table(
        name, kind, key, rest, frozenset(column for column, notnull, _ in info if not notnull)
    )


@cache
def upsert(name: str) -> str:
    """
    Return the statement that merges one row into a content table.

    Its parameters are `Table.columns`. Rows give the same table in any order
    and any number of times.
    """
    table = tables()[name]
    columns = ", ".join(table.columns)
    marks = ", ".join("?" * len(table.columns))
    # The key too: 1 and 1.0, or 0.0 and -0.0, are one key and two values.
    values = ", ".join(f"{column} = excluded.{column}" for column in table.columns)
    return (
        f"INSERT INTO {name} ({columns}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {values}"  # noqa: S608 - names from our own .sql file
        f" WHERE ({_order(table, 'excluded')}) {_WINS[table.kind]} ({_order(table, name)})"
    )


def _order(table: Table, row: str) -> str:
    """Return the terms by which rows with one key are compared; none of them is null."""
    terms = []
    for column in table.rest:
        if column in table.nullable:
            terms += [f"{row}.{column} IS NOT NULL", f"ifnull({row}.{column}, 0)"]
        else:
            terms.append(f"{row}.{column}")
    return ", ".join(terms)
