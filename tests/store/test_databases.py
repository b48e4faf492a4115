"""Opening databases, transactions, and schemas from version to version."""

from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cmfd.errors import SchemaTooNewError, StoreError
from cmfd.store import connection, migrations
from cmfd.store.connection import atomic, connect, named, statements
from cmfd.store.migrations import SCHEMAS, migrate, refresh_views, version_of

if TYPE_CHECKING:
    from pathlib import Path


def _contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_a_path_of_odd_characters_is_opened_as_it_is_written(tmp_path: Path) -> None:
    """Nothing in a path is taken for part of the URI it is opened by."""
    path = tmp_path / "what? 100% of#it.db"
    with closing(connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    assert path.exists()
    with closing(connect(path, readonly=True)) as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_readonly_connection_writes_and_makes_nothing(tmp_path: Path) -> None:
    """Packs and foreign stores are opened so that they cannot be changed."""
    path = tmp_path / "a.db"
    with pytest.raises(StoreError, match="left unchanged"):
        connect(path, readonly=True)
    assert not path.exists()
    connect(path).execute("CREATE TABLE t (x)").connection.close()
    with closing(connect(path, readonly=True)) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("INSERT INTO t VALUES (1)")


def test_a_file_that_is_no_database_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    """Somebody else's file is not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("these are no pages of SQLite\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"notes\.txt"):
        connect(path)
    assert path.read_bytes() == before


def test_a_node_database_syncs_its_log_at_each_commit(tmp_path: Path) -> None:
    """What was acknowledged survives a power cut."""
    with closing(connect(tmp_path / "a.db", wal=True)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA trusted_schema").fetchone() == (0,)


def test_an_error_in_a_transaction_takes_all_of_it_back(tmp_path: Path) -> None:
    """A transaction is kept whole or not at all."""
    with closing(connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError), atomic(db):
            db.execute("INSERT INTO t VALUES (1)").connection.execute("SELECT * FROM nowhere")
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with atomic(db):
            db.execute("INSERT INTO t VALUES (2)")
        assert db.execute("SELECT x FROM t").fetchall() == [(2,)]


def test_a_script_is_split_at_its_statements_only() -> None:
    """A semicolon in a comment or a text ends nothing."""
    script = "CREATE TABLE a (x); -- one; two\n-- three;\nINSERT INTO a\nVALUES (';');\n"
    first, second = statements(script)
    assert first.startswith("CREATE TABLE a")
    assert second.endswith("VALUES (';');")


def test_every_query_of_the_node_store_fits_its_schema(tmp_path: Path) -> None:
    """No statement names a table or column that is not there."""
    with closing(connect(tmp_path / "node.db")) as db, closing(connect(tmp_path / "p.db")) as pack:
        migrate(db, "node")
        refresh_views(db, "node/views")
        migrate(pack, "pack")
        pack.execute("ATTACH ? AS node", (str(tmp_path / "node.db"),))
        for name, on in (("node/queries", db), ("node/purge", db), ("node/seal", pack)):
            for query in named(name).values():
                numbered = [None] * query.count("?")
                by_name = dict.fromkeys(re.findall(r":(\w+)", query))
                on.execute(f"EXPLAIN {query}", numbered or by_name)


def test_a_query_without_a_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of queries is checked where it is read, not where one is missing."""
    monkeypatch.setattr(connection, "sql", lambda _: "SELECT 1;")
    with pytest.raises(StoreError, match="name"):
        named.__wrapped__("some/file")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_new_database_gets_the_newest_schema_once(tmp_path: Path, schema: str) -> None:
    """Migrating again, or a file of that schema, changes nothing."""
    path = tmp_path / "a.db"
    with closing(connect(path)) as db:
        assert migrate(db, schema) == 0
        before = _contents(path)
        assert migrate(db, schema) == version_of(db) == len(SCHEMAS[schema])
    assert _contents(path) == before


def test_a_newer_database_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    """An older cmfd does not touch what it does not know."""
    path = tmp_path / "a.db"
    with closing(connect(path)) as db:
        migrate(db, "node")
        db.execute("PRAGMA user_version = 99")
    before = _contents(path)
    with closing(connect(path)) as db, pytest.raises(SchemaTooNewError, match="newer cmfd"):
        migrate(db, "node")
    assert _contents(path) == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """Neither tables of another program nor another schema of cmfd are migrated."""
    with closing(connect(tmp_path / "theirs.db")) as db:
        db.execute("CREATE TABLE cats (name)")
        with pytest.raises(StoreError, match="no node database"):
            migrate(db, "node")
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("cats",)]
    with closing(connect(tmp_path / "pack.db")) as db:
        migrate(db, "pack")
        with pytest.raises(StoreError, match="no node database"):
            migrate(db, "node")


NEWEST = len(SCHEMAS["node"])
STEPS_ON = (*SCHEMAS["node"], ("next",))


def test_a_migration_goes_forward_and_keeps_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version's step is applied to a database of this one."""
    with closing(connect(tmp_path / "a.db")) as db:
        migrate(db, "node")
        db.execute("INSERT INTO environment VALUES ('sha256:00', '{}')")
        original = connection.sql
        monkeypatch.setattr(
            migrations,
            "sql",
            lambda name: "CREATE TABLE extra (x);" if name == "next" else original(name),
        )
        assert migrate(db, "node", steps=STEPS_ON) == NEWEST
        assert version_of(db) == NEWEST + 1
        assert db.execute("SELECT count(*) FROM environment, extra").fetchone() == (0,)
        assert db.execute("SELECT digest FROM environment").fetchall() == [("sha256:00",)]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not half a step is kept, and the version is the old one."""
    path = tmp_path / "a.db"
    with closing(connect(path)) as db:
        migrate(db, "node")
    before = _contents(path)
    monkeypatch.setattr(
        migrations, "sql", lambda _: "CREATE TABLE extra (x);\nDROP TABLE nowhere;\n"
    )
    with closing(connect(path)) as db:
        with pytest.raises(StoreError, match=f"still has schema {NEWEST}"):
            migrate(db, "node", steps=STEPS_ON)
        assert version_of(db) == NEWEST
    assert _contents(path) == before


def test_many_processes_may_migrate_one_new_database(tmp_path: Path) -> None:
    """Whoever comes second finds the step done."""
    path = tmp_path / "a.db"
    problems: list[BaseException] = []

    def open_it() -> None:
        try:
            with closing(connect(path)) as db:
                migrate(db, "site")
        except StoreError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with closing(connect(path)) as db:
        assert version_of(db) == len(SCHEMAS["site"])


def test_views_are_replaced_when_they_changed_and_else_left_alone(
    tmp_path: Path,
) -> None:
    """Derived things need no migration, and opening a store writes nothing."""
    path = tmp_path / "a.db"
    with closing(connect(path)) as db:
        migrate(db, "node")
        db.execute("CREATE VIEW yesterday AS SELECT 1")
        refresh_views(db, "node/views")
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
        assert "yesterday" not in names
        assert {"runs", "executions", "metrics_last"} <= names
        schema_version = db.execute("PRAGMA schema_version").fetchone()
        refresh_views(db, "node/views")
        assert db.execute("PRAGMA schema_version").fetchone() == schema_version
