"""The databases' tables and views, from the .sql files and SQLite's own word on them."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import NamedTuple

from cmfd.store import migrations
from cmfd.store.connection import sql, statements
from cmfd.store.content import FILES
from docs.generators.markdown import code, table
from docs.generators.wire import MEANINGS

_RULER = re.compile(r"^-- ?", re.MULTILINE)
_COLUMN = re.compile(r"^\s+(\w+) [^\n]*?--\s*(.+)$", re.MULTILINE)
_CREATED = re.compile(r"CREATE (TABLE|VIEW) (\w+)")
_ITEM = re.compile(r"^ {2}(\w+) +")
_END_OF_LIST = re.compile(r"^((?:- | {3}).*\n)(?=[^- ])", re.MULTILINE)
_KIND = re.compile(r"\bkind: (\w+)\.?\s*")

USUAL = {
    "boot": "which boot of the node: what the kernel calls it (boot_id)",
    "component": "cpu, dram, gpu, other, which add up; node: role check only",
    "domain": "a GPU's UUID, or empty",
    "end_ns": "when it ended, in UTC nanoseconds",
    "grade": "how good: A (the node's own meter) to E (a constant), M (missing)",
    "memory_bytes": "of main memory",
    "role": "count; check: of another source, to compare with",
    "source": "what was read: rapl, nvml, ...",
    "n_nan": "how many of them are NaN",
    "n_values": "how many values",
    "node": "name of the node",
    "origin": "the journal instance that said it",
    "seq": "number of the commit that it came with",
    "value_type": "how to read `value`",
}
"""What a column's name means wherever it stands, beside those that the wire knows as well."""


class Said(NamedTuple):
    """What a .sql file says of a table or view."""

    name: str
    comment: str
    columns: dict[str, str]


def content() -> str:
    """Return the tables that a node store and a pack have in common."""
    return _all_tables("pack", *FILES)


def pack() -> str:
    """Return what only a pack has."""
    return _all_tables("pack", "content/0001_pack", "content/0002_pack")


def node() -> str:
    """Return what only a node store has."""
    return _all_tables("node", "node/0001", "node/0002")


def site() -> str:
    """Return the tables of the site index."""
    return _all_tables("site", "site/0001", "site/0002", "site/0003", "site/0004", "site/0005")


def views() -> str:
    """Return the views of the site index and their columns."""
    name = "site/views"
    with closing(_database("site")) as db:
        for statement in statements(sql(name)):
            db.execute(statement)
        parts = [_introduction(sql(name))]
        for view in _said(name):
            columns = ", ".join(code(row[1]) for row in _columns(db, view.name))
            parts += [f"### `{view.name}`", view.comment, columns]
    return "\n\n".join(part for part in parts if part)


def versions() -> str:
    """Return which schema has which version now."""
    rows = [
        (name, str(len(steps)), f"`0x{migrations.APPLICATION_IDS[name]:08x}`")
        for name, steps in migrations.SCHEMAS.items()
    ]
    return table(("Schema", "`user_version`", "`application_id`"), rows)


def _all_tables(schema: str, *names: str) -> str:
    """Return the tables that several steps of a schema make."""
    return "\n\n".join(_tables(schema, name) for name in names)


def _tables(schema: str, name: str) -> str:
    parts = [_introduction(sql(name))]
    with closing(_database(schema)) as db:
        for said in _said(name):
            parts += [f"### `{said.name}`", _comment(said.comment), _table(db, said)]
    return "\n\n".join(part for part in parts if part)


def _comment(text: str) -> str:
    """Return a table's comment, its kind (the rule of its merge) before the rest."""
    kind = _KIND.search(text)
    merged = f"Merged as *{kind[1]}*. " if kind else ""
    return (merged + _KIND.sub("", text)).strip()


def _table(db: sqlite3.Connection, said: Said) -> str:
    known = {**said.columns, **_meanings_of_content().get(said.name, {})}
    rows = [
        (code(column), kind, _constraint(kind, not_null, key), known.get(column) or _usual(column))
        for _, column, kind, not_null, _, key in _columns(db, said.name)
    ]
    return table(("Column", "Type", "", "Meaning"), rows)


def _usual(column: str) -> str:
    """Return what a name means wherever it stands, as it does on the wire."""
    if column == "id":
        return "local number"
    if column.endswith("_id"):
        return f"local number of the {column.removesuffix('_id')}"
    said = USUAL.get(column) or MEANINGS.get(column, "").removesuffix(".")
    return said[:1].lower() + said[1:] if said[1:2].islower() else said


def _constraint(kind: str, not_null: int, key: int) -> str:
    if key:
        return "key"
    return "" if not_null or kind == "ANY" else "may be null"


@cache
def _meanings_of_content() -> dict[str, dict[str, str]]:
    """Return what the content tables' columns mean, for the index's tables of the same names."""
    files = (*FILES, "content/0001_pack", "content/0002_pack")
    return {said.name: said.columns for name in files for said in _said(name)}


def _database(schema: str) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(db, schema)
    return db


def _columns(db: sqlite3.Connection, name: str) -> list[tuple[int, str, str, int, str, int]]:
    return db.execute(f"PRAGMA table_info({name})").fetchall()


def _introduction(text: str) -> str:
    """Return a file's first comment, up to a blank line."""
    head = text.split("\n\n", 1)[0]
    if _CREATED.search(head):
        return ""
    lines = _RULER.sub("", head).splitlines()
    # A line that is indented by two begins an item, one indented by more goes on with it.
    items = "\n".join(_ITEM.sub(r"- *\1*: ", line) for line in lines)
    return _END_OF_LIST.sub(r"\1\n", items)


def _said(name: str) -> list[Said]:
    """Return what a .sql file says of each table or view it makes, in its order."""
    found = []
    for statement in statements(sql(name)):
        created = _CREATED.search(statement)
        if created is None:
            continue
        above, body = statement[: created.start()], statement[created.end() :]
        block = "" if above.endswith("\n\n") else above.strip().rpartition("\n\n")[2]
        columns = dict(_COLUMN.findall(body)) if created[1] == "TABLE" else {}
        found.append(Said(created[2], " ".join(_RULER.sub("", block).split()), columns))
    return found


SECTIONS = {
    "content": content,
    "pack": pack,
    "node": node,
    "site": site,
    "views": views,
    "versions": versions,
}
