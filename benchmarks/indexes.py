"""An index in PostgreSQL with the rows of one in SQLite, as they are: for what has no packs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.types.string import StrDumper

from cmfd.store.postgres.values import any_held, numeric_held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.store.postgres.store import PostgresStore


def copy(index: Path, there: PostgresStore) -> None:
    """Put the rows of an index in a file into an empty one."""
    raw = there.db.raw
    with closing(sqlite3.connect(index)) as source:
        for table in _tables(there):
            columns = {
                name: kind for _, name, kind, *_ in source.execute(f"PRAGMA table_info({table})")
            }
            if not columns:
                continue
            types = dict(
                raw.execute(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = %s AND table_name = %s",
                    (there.db.schema, table),
                ).fetchall()
            )
            names = [name for name in columns if name in types]
            holds = [_holding(columns[name], types[name]) for name in names]
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(there.db.schema, table),
                sql.SQL(", ").join(map(sql.Identifier, names)),
            )
            quoted = ", ".join(f'"{name}"' for name in names)
            cursor = raw.cursor()
            cursor.adapters.register_dumper(str, StrDumper)  # texts are as they are to be held
            with cursor.copy(statement) as copied:
                for row in source.execute(f"SELECT {quoted} FROM {table}"):
                    copied.write_row([hold(value) for hold, value in zip(holds, row, strict=True)])
    raw.execute("ANALYZE")


def _tables(there: PostgresStore) -> list[str]:
    query = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = %s"
    made = {table for (table,) in there.db.raw.execute(query, (there.db.schema,)).fetchall()}
    return sorted(made - {"cmfd_index", "cmfd_reader"})


def _holding(kind: str, type_there: str) -> Callable[[Any], Any]:
    if type_there == "numeric":
        return numeric_held
    return any_held if kind == "ANY" else lambda value: value
