"""
What the union of packs must be, said without SQL: to compare a site index with.

The rules are those that the .sql files of the content state for each kind of
table, applied to all rows at once.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from support.packs import key_length

from cmfd.merge.index import connect_index
from cmfd.merge.layout import open_site
from cmfd.store.connection import connect, sql, statements
from cmfd.store.content import tables
from cmfd.store.postgres.connection import PostgresIndex
from cmfd.store.postgres.store import PostgresStore
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from support.packs import Content, Row, Value

    from cmfd.store.absorbing import Store

_IMPORTABLE = {
    "run", "run_end", "execution", "execution_end", "param", "fact", "event",
    "execution_environment",
}  # fmt: skip
"""Of what an import says, cmfd's own word counts first: see `absorb.sql`."""

_CHUNK_ANY = {9, 10, 11, 13}
"""Columns of a chunk whose type is part of their value: value_min, _max, _sum, last_value."""


def union(contents: Iterable[Content]) -> dict[str, set[Row]]:
    """Return the rows that a site must have after merging packs of these contents."""
    merged: dict[str, dict[Row, Row]] = {}
    for content in contents:
        for table, rows in content.items():
            kept = merged.setdefault(table, {})
            for row in rows:
                key = row[: key_length(table)]
                kept[key] = _winner(table, kept[key], row) if key in kept else row
    _forget_imports(merged)
    return {table: {_plain(row) for row in rows.values()} for table, rows in merged.items() if rows}


def _forget_imports(merged: dict[str, dict[Row, Row]]) -> None:
    """Leave out what was imported of runs and executions that cmfd recorded itself."""
    recorded = {
        kind: {row[0] for row in merged.get(kind, {}).values() if not _is_imported(kind, row)}
        for kind in ("run", "execution")
    }
    recorded["fact"] = recorded["run"] | recorded["execution"]
    for table in _IMPORTABLE - {"run", "execution"}:
        of = recorded["fact" if table == "fact" else "run" if table == "run_end" else "execution"]
        rows = merged.get(table, {})
        for key in [key for key, row in rows.items() if row[0] in of and _is_imported(table, row)]:
            del rows[key]
    # A copy, and the run and series that it makes up, have the id of what it is a copy of.
    for table in ("run", "run_end", "series", "chunk"):
        rows = merged.get(table, {})
        for key in [key for key in rows if key[0] in recorded["execution"]]:
            if table in ("series", "chunk") or _is_imported(table, rows[key]):
                del rows[key]


def _is_imported(table: str, row: Row) -> bool:
    origin = row[key_length(table) + 1]
    assert isinstance(origin, bytes)
    return int.from_bytes(origin[:8], "big") == 0


def rows_of(index: Path | Store) -> dict[str, set[Row]]:
    """Return the content of a site index, by table, as its digest reads it."""
    found: dict[str, set[Row]] = {}
    with closing(connection_to(index)) as db:
        for query in statements(sql("site/digest")):
            for table, *row in db.execute(query):
                found.setdefault(table, set()).add(_plain(row))
    return found


def connection_to(index: Path | Store) -> sqlite3.Connection:
    """Connect to an index for reading: a file, or that of the site that the file would be of."""
    if isinstance(index, SiteStore):
        index = index.path
    if isinstance(index, PostgresStore):
        return cast("sqlite3.Connection", PostgresIndex(index.where, index.db.schema))
    assert isinstance(index, Path)
    if (index.parent / "site.toml").exists():
        return connect_index(open_site(index.parent))
    return connect(index, readonly=True)


def _winner(table: str, one: Row, other: Row) -> Row:
    kind = {"chunk": "grow", "delivery": "last"}.get(table) or tables()[table].kind
    choose = min if kind == "first" else max
    if table in _IMPORTABLE:
        last = kind == "last"
        return choose(one, other, key=lambda r: (_is_imported(table, r) is not last, _order(r)))
    return choose(one, other, key=_growth if table == "chunk" else _order)


def _order(row: Row) -> Any:
    return [_comparable(value) for value in row]


def _growth(row: Row) -> Any:
    """Order chunks by what they hold, then by what is said of it."""
    said = [
        (_type_name(value), value or 0) if column in _CHUNK_ANY else value
        for column, value in enumerate(row[:-1])
    ]
    return row[3], row[-1], said[3:]


def _comparable(value: Value) -> tuple[int, Any]:
    """Return what orders values of any type as SQLite does."""
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, value
    if isinstance(value, str):
        return 2, value.encode()
    return 3, value


def _type_name(value: Value) -> str:
    return {type(None): "null", int: "integer", float: "real"}[type(value)]


def _plain(row: Iterable[Value]) -> Row:
    """Return a row in which 1 and 1.0 differ."""
    return tuple(repr(value) if isinstance(value, float) else value for value in row)
