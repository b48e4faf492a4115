"""
The content tables and the rule by which rows of each are merged.

What the tables are is said once, in `sql/content/*.sql`: this module reads it
there, so that a store, a pack and a merge cannot disagree.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from itertools import chain
from typing import NamedTuple

from cmfd.store.connection import sql, statements
from cmfd.store.migrations import SCHEMAS

FILES = ("content/0001", "content/0002", "content/0003")
"""The .sql files of the tables that a node store and a pack have in common."""

_KIND = re.compile(r"^-- kind: (\w+)[^\n]*\n(?:--[^\n]*\n)*CREATE TABLE (\w+)", re.MULTILINE)

_TABLE = re.compile(
    r"CREATE TABLE (\w+) \((.*?)\n\)|ALTER TABLE (\w+) ADD COLUMN (.*?);", re.DOTALL
)
_COLUMN = re.compile(r"^ *(\w+) (INTEGER|REAL|TEXT|BLOB|ANY)\b(.*)", re.MULTILINE)
_KEY = re.compile(r"^ *PRIMARY KEY \(([\w, ]+)\)", re.MULTILINE)

_WINS = {"first": "<", "last": ">", "set": ">", "most": ">"}
"""How the rest of a new row must compare with that of the row in place to replace it."""


class Table(NamedTuple):
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


class Column(NamedTuple):
    """A column of a pack's table."""

    name: str
    type: str
    in_key: bool


@cache
def layout(version: int = len(SCHEMAS["pack"])) -> dict[str, tuple[Column, ...]]:
    """
    Return the tables of a pack of a format, those that are no content too, with their columns.

    Read in the text: to make tables and look at them takes longer than merging a pack.
    """
    found: dict[str, tuple[Column, ...]] = {}
    for file in chain.from_iterable(SCHEMAS["pack"][:version]):
        text = re.sub(r"--[^\n]*", "", sql(file))
        for made, body, changed, column in _TABLE.findall(text):
            found[made or changed] = (*found.get(changed, ()), *_columns(body or column))
    return found


def _columns(body: str) -> list[Column]:
    key = {name.strip() for names in _KEY.findall(body) for name in names.split(",")}
    return [
        Column(name, kind, name in key or "PRIMARY KEY" in more)
        for name, kind, more in _COLUMN.findall(body)
    ]
