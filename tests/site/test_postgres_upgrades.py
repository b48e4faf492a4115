"""Indices in PostgreSQL that earlier releases made: they go on, or say what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg.types.string import StrDumper
from support.mergers import digest_of
from support.packs import small_run, write_pack
from support.postgres import Server

from cmfd.errors import StoreError
from cmfd.merge.batch import merge_site
from cmfd.merge.index import open_database
from cmfd.merge.layout import init_site, open_site
from cmfd.merge.reindex import reindex
from cmfd.query.index import open_index
from cmfd.query.runs import recent
from cmfd.store.migrations import SCHEMAS
from cmfd.store.postgres import schema
from cmfd.store.postgres.values import any_held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.merge.layout import Site
    from cmfd.store.postgres.connection import PostgresIndex

FIXTURES = Path(__file__).parents[1] / "store" / "fixtures"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.remove()


def packs_of(directory: Path, *numbers: int) -> list[Path]:
    return [write_pack(directory, small_run(number), sealed_ns=number) for number in numbers]


def fill(db: PostgresIndex, version: int) -> None:
    """Give an index the rows that a release had in a file."""
    cursor = db.raw.cursor()
    cursor.adapters.register_dumper(str, StrDumper)  # texts are as they are to be held
    with closing(sqlite3.connect(":memory:")) as old:
        old.executescript((FIXTURES / f"site-{version}.sql").read_text("utf-8"))
        tables = old.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = old.execute(f"PRAGMA table_info({table})").fetchall()
            values = {number for number, name, *_ in columns if name == "value"}
            marks = ", ".join("%s" for _ in columns)
            for row in old.execute(f"SELECT * FROM {table}").fetchall():
                held = [any_held(one) if at in values else one for at, one in enumerate(row)]
                cursor.execute(f"INSERT INTO {table} VALUES ({marks})".encode(), held)


@pytest.mark.parametrize("version", range(1, len(SCHEMAS["site"])))
def test_an_index_of_every_past_schema_goes_on_in_postgresql(
    tmp_path: Path, server: Server, version: int
) -> None:
    """Readers are told what to do; the next merge brings it up to date with all it held."""
    site = past_site(tmp_path, server, version)
    with pytest.raises(StoreError, match="cmfd merge"), open_index(site.path):
        pass
    assert merge_site(site.path, packs_of(tmp_path / "packs", 1)).absorbed == 1
    with open_index(site.path) as db:
        assert {run.job for run in recent(db)} == {"4711", "1"}


def past_site(tmp_path: Path, server: Server, version: int) -> Site:
    made = init_site(tmp_path / "site", server.url)
    with pytest.MonkeyPatch.context() as patch, closing(open_database(made)) as db:
        patch.setitem(SCHEMAS, "site", SCHEMAS["site"][:version])
        patch.setattr(schema, "_derive", lambda _: None)
        schema.set_up(db)
        fill(db, version)
    return open_site(made.path)


def test_functions_follow_the_release(tmp_path: Path, server: Server) -> None:
    """Those of an older one, which did something else, are replaced by the next merge."""
    site = init_site(tmp_path / "site", server.url)
    merge_site(site.path, packs_of(tmp_path / "packs", 1))
    with closing(open_database(site)) as db:
        db.raw.execute(
            b"CREATE OR REPLACE FUNCTION as_text(text) RETURNS text LANGUAGE sql IMMUTABLE"
            b" AS $$ SELECT 'older' $$; UPDATE cmfd_index SET derived = 'of an older release'"
        )
        assert not schema.is_current(db)
    merge_site(site.path, packs_of(tmp_path / "more", 2))
    with closing(open_database(site)) as db:
        assert schema.is_current(db)
        assert db.one("SELECT as_text('newer')") == ("newer",)
    with open_index(site.path) as db:
        assert {run.job for run in recent(db)} == {"1", "2"}


def test_an_index_with_older_keys_says_that_it_is_to_be_made_anew(
    tmp_path: Path, server: Server
) -> None:
    """It was not changed, what is new waits in the inbox, and one command makes all of it anew."""
    site = init_site(tmp_path / "site", server.url)
    merge_site(site.path, packs_of(tmp_path / "packs", 1))
    with closing(open_database(site)) as db:
        db.raw.execute(
            b"DROP INDEX param_key; UPDATE cmfd_index SET derived = 'of an older release';"
            b" ALTER TABLE param ADD PRIMARY KEY (execution_id, key, value_type, value)"
        )
    with pytest.raises(StoreError, match=r"packs stay in the inbox.*cmfd site reindex"):
        merge_site(site.path, packs_of(tmp_path / "more", 2))
    with open_index(site.path) as db:
        assert [run.job for run in recent(db)] == ["1"]
    reindex(site.path)
    merge_site(site.path)
    alone = init_site(tmp_path / "alone")
    merge_site(alone.path, packs_of(tmp_path / "both", 1, 2))
    assert digest_of(site.path) == digest_of(alone.path)
