"""
Packs on their way into an index in PostgreSQL: copied into temporary tables, then taken from there.

Each table of a pack has one, with the number of the pack in its group beside each row, so that the
statements of `sql/site/absorb*.sql` find under ``incoming.x`` what they find in SQLite.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

from psycopg.types.string import StrDumper

from cmfd.errors import PackError
from cmfd.store.content import layout, tables
from cmfd.store.migrations import version_of
from cmfd.store.pack import damage, open_untrusted
from cmfd.store.postgres.dialect import definition
from cmfd.store.postgres.values import any_held, decoded, held, not_of_its_type, numeric_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cmfd.store.content import Column
    from cmfd.store.postgres.connection import PostgresIndex

    Row = tuple[Any, ...]

_AT_ONCE = 2000
"""Rows that are looked at together."""

_INCOMING = re.compile(r"\bincoming\.(\w+)\b(?! AS\b)|\bincoming\.(\w+)\b")
_ALLOWED: dict[str, set[type]] = {"INTEGER": {int}, "REAL": {float}, "TEXT": {str}, "BLOB": {bytes}}
_NUMERIC = frozenset(("value_min", "value_max", "last_value"))
_UNHOLDABLE = re.compile("[\x00\x01\udc80-\udcff]")
_IMPORTABLE = frozenset((
    "run", "run_end", "execution", "execution_end", "param", "fact", "event",
    "execution_environment",
))  # fmt: skip


def make(db: PostgresIndex, names: Iterable[str]) -> None:
    """
    Make some of the temporary tables of a connection; each transaction begins with empty ones.

    Only those that are needed: of all of them, that takes longer than to merge a small pack.
    """
    new = set(names) - db.staged
    if new:
        db.raw.execute(";".join(map(_making, sorted(new))).encode())
        db.staged |= new


@cache
def _making(table: str) -> str:
    types = ", ".join(f"{column.name} {column.type}" for column in layout()[table])
    made = definition(f"CREATE TEMP TABLE incoming_{table} (pack_no INTEGER, {types})")
    return f"{_quoted(made)} ON COMMIT DELETE ROWS"


def _quoted(text: str) -> str:
    return re.sub(r"\buser\b", '"user"', text)


def copy(db: PostgresIndex, number: int, pack: Path) -> dict[str, int]:
    """
    Copy the rows of a pack, and return how many it has in which table.

    Raises
    ------
    PackError
        It cannot be read, or has values that are not of their columns' types.
    """
    with closing(open_untrusted(pack)) as source:
        source.text_factory = decoded
        try:
            there = layout(version_of(source))
            return {table: _copy_table(db, source, number, table) for table in there}
        except sqlite3.DatabaseError as error:
            found = damage(source) or str(error)
            raise PackError(f"foreign: it is no sound SQLite database: {found}") from error


def _copy_table(db: PostgresIndex, source: sqlite3.Connection, number: int, table: str) -> int:
    columns = layout(version_of(source))[table]
    names = [column.name for column in columns]
    rows = source.execute(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 - names of our own schema
    first = rows.fetchmany(_AT_ONCE)
    if not first:
        return 0
    make(db, {table})
    target = _quoted(f"COPY incoming_{table} (pack_no, {', '.join(names)}) FROM STDIN")
    n_rows = 0
    cursor = db.raw.cursor()
    cursor.adapters.register_dumper(str, StrDumper)
    with cursor.copy(target.encode()) as out:
        while first:
            n_rows += len(first)
            for row in _holdable(columns, first):
                out.write_row((number, *row))
            first = rows.fetchmany(_AT_ONCE)
    return n_rows


def _holdable(columns: Sequence[Column], rows: list[Row]) -> Iterable[Row]:
    """Return rows as PostgreSQL can hold them; by columns, since there is rarely anything to do."""
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for at, column in enumerate(columns):
        values = by_column[at]
        if column.type == "ANY":
            hold = numeric_held if column.name in _NUMERIC else any_held
            by_column[at] = [hold(value) for value in values]
            continue
        strange = {*map(type, values)} - _ALLOWED[column.type] - {type(None)}
        if strange:
            raise not_of_its_type(next(value for value in values if type(value) in strange))
        if column.type == "TEXT" and _UNHOLDABLE.search("".join(filter(None, values))):
            by_column[at] = [None if value is None else held(value) for value in values]
    return zip(*by_column, strict=True)


def analyze(db: PostgresIndex, tables: Iterable[str]) -> None:
    """
    Have the server see how much was copied into some tables: mostly little.

    Of a table that it has not looked at it supposes that it is large, and would join it with all
    that the index has in place of looking up what is new.
    """
    names = ", ".join(f"incoming_{table}" for table in sorted(tables))
    if names:
        db.raw.execute(f"ANALYZE {names}".encode())


@cache
def of_group(statement: str) -> str:
    """Return a statement about the rows of all packs of a group, of each key the one that wins."""
    return _INCOMING.sub(lambda table: _aliased(table, _winners(table[1] or table[2])), statement)


@cache
def of_every(statement: str) -> str:
    """Return a statement about all rows of a group, those of one key too."""
    return _INCOMING.sub(lambda table: f"incoming_{table[1] or table[2]}", statement)


def _aliased(table: re.Match[str], rows: str) -> str:
    """Give a table a name where the statement gives it none."""
    return f"{rows} AS {table[1]}_rows" if table[1] else rows


def _winners(table: str) -> str:
    columns = layout().get(table, ())  # a comment names what is none
    names = [column.name for column in columns]
    key = ", ".join(column.name for column in columns if column.in_key)
    if not key:
        return f"incoming_{table}"
    way = "" if table in tables() and tables()[table].kind == "first" else " DESC"
    order = ", ".join((key, *(f"{term}{way}" for term in _compared(table))))
    return f"(SELECT DISTINCT ON ({key}) {', '.join(names)} FROM incoming_{table} ORDER BY {order})"  # noqa: S608 - as above


def _compared(table: str) -> Iterator[str]:
    """Yield what rows of one key are compared by: see `sql/content` and `absorb_chunks.sql`."""
    names = [column.name for column in layout()[table] if not column.in_key]
    if table in _IMPORTABLE:
        # As in absorb.sql: what is imported counts after the rest.
        yield f"origin {'<' if tables()[table].kind == 'first' else '>='} x'0000000000000001'"
    if table == "chunk":
        names = ["n_values", "data", *(name for name in names if name not in ("n_values", "data"))]
    for name in names:
        if name in _NUMERIC or name == "value_sum":
            yield f"typeof({name})"
        yield name
