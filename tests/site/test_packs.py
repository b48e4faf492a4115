"""Packs: how they are finished and published, and what is not accepted as one."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.packs import random_content, small_run, write_pack

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.store.connection import connect
from cmfd.store.content import layout
from cmfd.store.migrations import SCHEMAS, migrate
from cmfd.store.pack import (
    FORMAT,
    SCHEMA_DIGESTS,
    expected_schema,
    finish,
    is_pack_name,
    open_pack,
    publish,
    schema_digest,
    sha256_of,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "packs", small_run(1))


def renamed(path: Path) -> Path:
    """Give a file the name that its content has now."""
    return path.rename(path.with_name(f"{sha256_of(path)}.db"))


def altered(pack: Path, *statements: str) -> Path:
    """Return a pack, whole by its name, after somebody wrote to it."""
    with closing(sqlite3.connect(pack, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
    return renamed(pack)


def test_a_finished_pack_opens_and_is_named_by_its_content(pack: Path) -> None:
    """Its name is its sha256, and every check passes."""
    assert pack.stem == hashlib.sha256(pack.read_bytes()).hexdigest()
    assert is_pack_name(pack.name)
    with closing(open_pack(pack)) as db:
        assert db.execute("SELECT count(*) FROM process").fetchone() == (2,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM process")


def test_packs_of_any_content_open(tmp_path: Path) -> None:
    """Every type of value in every table passes the checks."""
    for seed in range(10):
        open_pack(write_pack(tmp_path, random_content(random.Random(seed), 80))).close()


def test_finish_takes_in_a_write_ahead_log(tmp_path: Path) -> None:
    """The one file has all that was committed, and there is no other."""
    path = tmp_path / "new.db"
    writer = connect(path, wal=True)
    writer.execute("CREATE TABLE t (x)")
    writer.execute("INSERT INTO t VALUES (7)")
    writer.close()
    named = finish(path)
    assert [found.name for found in tmp_path.iterdir()] == [named.name]
    assert named.read_bytes()[18:20] == b"\1\1"
    with closing(connect(named, readonly=True)) as db:
        assert db.execute("SELECT x FROM t").fetchone() == (7,)


def test_publishing_twice_is_publishing_once(pack: Path, tmp_path: Path) -> None:
    """The inbox has the one pack, byte for byte, and the source is still there."""
    site = tmp_path / "site"
    there = publish(pack, site)
    assert publish(pack, site) == there
    assert [path.name for path in (site / "inbox").iterdir()] == [pack.name]
    assert there.read_bytes() == pack.read_bytes()


def test_a_damaged_pack_is_not_published(pack: Path, tmp_path: Path) -> None:
    """Who publishes still has what it was made from, and can make it anew."""
    pack.write_bytes(pack.read_bytes()[:-1] + b"\1")
    with pytest.raises(PackError, match="corrupt"):
        publish(pack, tmp_path / "site")
    assert list((tmp_path / "site" / "inbox").iterdir()) == []


def test_a_site_that_cannot_be_written_leaves_the_pack(pack: Path, tmp_path: Path) -> None:
    """The error says what to do, and nothing is left half-written."""
    (tmp_path / "site").write_text("this is a file")
    with pytest.raises(StoreError, match="the pack is kept where it is"):
        publish(pack, tmp_path / "site")
    assert pack.exists()


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_anywhere_makes_a_pack_corrupt(pack: Path, seed: int) -> None:
    """One of a hundred thousand bytes is enough."""
    data = bytearray(pack.read_bytes())
    position = random.Random(seed).randrange(len(data) * 8)
    data[position // 8] ^= 1 << position % 8
    pack.write_bytes(data)
    with pytest.raises(PackError, match=r"corrupt|truncated"):
        open_pack(pack)


def test_a_pack_cut_at_any_page_is_truncated(pack: Path) -> None:
    """And so it is within its header, or when it is empty."""
    data = pack.read_bytes()
    for end in (0, 1, 99, 100, *range(4096, len(data), 4096), len(data) - 1):
        pack.write_bytes(data[:end])
        with pytest.raises(PackError, match="truncated"):
            open_pack(pack)


@pytest.mark.parametrize("content", [b"", b"no database" * 100, b"SQLite format 3\0"])
def test_what_is_no_database_is_foreign(tmp_path: Path, content: bytes) -> None:
    """Even if its name is its sha256."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(PackError, match="foreign"):
        open_pack(renamed(path))


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA application_id = 0",
        "PRAGMA application_id = 0x636d6673",
        "PRAGMA user_version = 0",
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE more (x)",
        "CREATE VIEW runs AS SELECT * FROM run",
        "CREATE INDEX by_stage ON execution (stage)",
        "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END",
        "DROP TABLE fact",
        "ALTER TABLE fact ADD COLUMN more TEXT",
        "DELETE FROM pack",
        "INSERT INTO pack SELECT * FROM pack",
        "UPDATE pack SET format = 7",
        "ANALYZE",
    ],
)
def test_a_database_that_is_not_exactly_a_pack_is_foreign(pack: Path, statement: str) -> None:
    """Whatever it has more or less, or calls itself."""
    with pytest.raises(PackError, match="foreign"):
        open_pack(altered(pack, statement))


def test_a_pack_of_a_later_format_is_too_new(pack: Path) -> None:
    """Its reader is told so before anything else in it is looked at."""
    later = altered(pack, "CREATE TABLE later (x)", "PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNewError, match="too new"):
        open_pack(later)


def test_a_pack_is_no_way_to_run_code(pack: Path) -> None:
    """A schema that calls functions is refused before any row is read."""
    with closing(sqlite3.connect(pack, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_schema SET type = 'view', rootpage = 0,"
            " sql = 'CREATE VIEW pack AS SELECT load_extension(''x'') AS format'"
            " WHERE name = 'pack'"
        )
    with pytest.raises(PackError, match="foreign"):
        open_pack(renamed(pack))


def test_opening_a_pack_imports_nothing_slow() -> None:
    """`cmfd run` merges at its end: it must not pay for libraries that this does not need."""
    program = (
        "import sys, cmfd.merge.batch\n"
        "print({'numpy', 'sqlite_utils', 'rich', 'zstandard', 'zmq', 'click'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_each_formats_schema_is_known_by_its_digest(version: int) -> None:
    """A new format needs one: without it, each pack is compared with tables made for that."""
    assert schema_digest(expected_schema(version)) == SCHEMA_DIGESTS[version]


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_what_is_copied_of_a_pack_is_all_that_its_format_has(version: int) -> None:
    """A column that was overlooked in the text of a schema would be lost in every merge."""
    query = """
        SELECT s.name, c.name, c.type, c.pk FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
        WHERE s.type = 'table' ORDER BY s.rowid, c.cid"""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, "pack", steps=SCHEMAS["pack"][:version])
        there = db.execute(query).fetchall()
    assert [(table, name, kind, pk > 0) for table, name, kind, pk in there] == [
        (table, *column) for table, columns in layout(version).items() for column in columns
    ]
