"""A site whose index is in PostgreSQL: moved there and back, a server that fails, odd content."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.mergers import digest_of
from support.packs import Content, an_id, random_content, small_run, write_pack
from support.postgres import Server
from support.summed import busy_content

from cmfd.cli.main import cli
from cmfd.errors import StoreError
from cmfd.merge import index
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site, open_site
from cmfd.query.index import open_index
from cmfd.store.content import layout
from cmfd.store.postgres.dialect import translated
from cmfd.store.postgres.store import PostgresStore
from cmfd.store.postgres.values import any_held, held, numeric_held, numeric_told, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORDS = frozenset(
    ("component", "direction", "grade", "kind", "owner", "relation", "role", "status", "value_type")
)
"""Columns that have one of a few words."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.remove()


def cmfd(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def packs_of(directory: Path, *numbers: int) -> list[Path]:
    return [write_pack(directory, small_run(number), sealed_ns=number + 1) for number in numbers]


@pytest.mark.slow
def test_an_index_moves_to_postgresql_and_back(tmp_path: Path, server: Server) -> None:
    """The same content and answers wherever it is; the old index is gone, the packs stay."""
    site = tmp_path / "site"
    init_site(site, "")
    merge_site(site, packs_of(tmp_path / "packs", 1, 2, 3))
    before = digest_of(site)
    shown = cmfd("show", "last", "--json", "--site", site).stdout
    cmfd("site", "reindex", "--to", server.url, "--site", site, "--quiet")
    assert not (site / "index.db").exists()
    assert digest_of(site) == before
    for name in ("last", an_id("exec", 3).hex()):
        assert cmfd("show", name, "--json", "--site", site).stdout == shown
    cmfd("site", "verify", "--deep", "--site", site, "--quiet")
    merge_site(site, packs_of(tmp_path / "more", 4))
    cmfd("site", "reindex", "--site", site, "--quiet")
    after = digest_of(site)
    cmfd("site", "reindex", "--to", "sqlite", "--site", site, "--quiet")
    assert digest_of(site) == after != before
    assert open_site(site).database == ""


def test_a_new_site_may_have_its_index_there(tmp_path: Path, server: Server) -> None:
    """It is made at once, so that what is wrong with the address shows now."""
    made = cmfd("site", "init", "--index", server.url, tmp_path / "one", "--json")
    assert json.loads(made.stdout)["site"] == str(tmp_path / "one")
    assert index.has_index(open_site(tmp_path / "one"))
    refused = cmfd("site", "init", "--index", "postgresql:///none?host=/nowhere", tmp_path, code=8)
    assert "cannot be reached" in refused.output
    assert not (tmp_path / "site.toml").exists()


def test_no_password_is_kept(tmp_path: Path) -> None:
    """`site.toml` is for all who read the site; libpq finds passwords in files of their own."""
    address = "postgresql://ada:secret@db.example.org/cmfd"
    refused = cmfd("site", "init", "--index", address, tmp_path / "site", code=3)
    assert "pgpass" in refused.output
    assert "secret" not in refused.output
    assert not (tmp_path / "site").exists()


@pytest.mark.slow
def test_a_server_that_fails_loses_nothing(tmp_path: Path) -> None:
    """Packs stay where they are, the error says so, and the next merge goes on."""
    server = Server()
    site = tmp_path / "site"
    init_site(site, server.url)
    merge_site(site, packs_of(tmp_path / "first", 1))
    with closing(index.open_store(open_site(site))) as store:
        packs = packs_of(tmp_path / "second", 2)
        server.stop()
        with pytest.raises(StoreError, match="packs stay in the inbox"):
            store.absorb_group([(pack, pack.stem) for pack in packs])
    cmfd("merge", tmp_path / "second", "--site", site, code=8)
    assert [path.name for path in (site / "inbox").iterdir()] == [packs[0].name]
    server.start()
    cmfd("merge", "--site", site, "--quiet")
    with open_index(site) as db:
        assert db.execute("SELECT count(*) FROM run").fetchone() == (2,)
    cmfd("site", "verify", "--deep", "--site", site, "--quiet")
    server.remove()


@pytest.mark.slow
def test_texts_that_postgresql_cannot_hold_are_the_same(tmp_path: Path, server: Server) -> None:
    """No null characters, nothing but UTF-8: what a pack says is kept all the same."""
    content = small_run(1)
    execution, origin = an_id("exec", 1), an_id("proc", 1000)
    for number, text in enumerate(("a\0b", "\1", "\1#", "é \U0010ffff", "50%", "it's", "\\x")):
        content["param"].append((execution, f"odd{number}", "str", text, 1, origin, 0))
    pack = write_pack(tmp_path / "packs", content)
    digests, values = set(), []
    for name, database in (("file", ""), ("server", server.url)):
        init_site(tmp_path / name, database)
        merge_site(tmp_path / name, [pack])
        digests.add(digest_of(tmp_path / name))
        with open_index(tmp_path / name) as db:
            query = "SELECT key, value FROM params WHERE key LIKE 'odd%' ORDER BY value"
            values.append(db.execute(query).fetchall())
            found = db.execute("SELECT key FROM param WHERE value = ?", ("a\0b",)).fetchall()
            assert found == [("odd0",)]
    assert len(digests) == 1
    assert values[0] == values[1]


def lengthened(content: Content, by: str) -> Content:
    """Return content whose texts are longer, wherever a pack may have any text."""
    made = {}
    for table, rows in content.items():
        free = [column.name not in WORDS for column in layout()[table]]
        made[table] = [
            tuple(
                f"{value}{by}" if is_free and isinstance(value, str) else value
                for value, is_free in zip(row, free, strict=True)
            )
            for row in rows
            # What is no text for its type stays as it is.
            if table not in ("param", "fact") or "str" in row
        ]
    return made


def test_texts_may_be_of_any_length(tmp_path: Path, server: Server) -> None:
    """In every column, key or not; those that differ only at their end are different ones."""
    rng = random.Random(2)
    noise = [rng.randbytes(size // 2).hex() for size in (3000, 3000, 1_000_000)]  # nothing shortens
    packs = [
        write_pack(tmp_path / "packs", lengthened(content, by), sealed_ns=number)
        for number, (content, by) in enumerate(
            [(random_content(rng, 150), noise[0] + end) for end in ("a", "b")]
            + [(busy_content(rng, 150), noise[1] + end) for end in ("a", "b")]
            + [(lengthened(small_run(1), noise[2]), end) for end in ("a", "b")]
        )
    ]
    found = []
    for name, database in (("file", ""), ("server", server.url)):
        site = init_site(tmp_path / name, database).path
        report = merge_site(site, packs)
        assert (report.absorbed, report.quarantined) == (len(packs), [])
        with open_index(site) as db:
            asked = "SELECT max(length(value)), count(*) FROM param WHERE key = ?"
            answers = [db.execute(asked, (f"p0{noise[2]}a",)).fetchall()]
            for table, column in (("execution_host", "host"), ("energy_hour", "node")):
                summed = f"SELECT count(*), max(length({column})) FROM {table}"
                answers.append(db.execute(summed).fetchall())
            found.append((digest_of(site), answers))
    assert found[0] == found[1]


def test_nothing_is_found_by_a_text_that_may_be_too_long(tmp_path: Path, server: Server) -> None:
    """Of texts of any length no tree has more than their beginning: that is refused."""
    query = """
        SELECT c.relname, a.attname FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = ?
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE a.atttypid = 'text'::regtype"""
    site = init_site(tmp_path / "site", server.url)
    index.open_store(site).close()
    with closing(index.open_database(site)) as db:
        found = db.execute(query, (site.schema,)).fetchall()
    # Grants are the owner's own words, of a command line.
    assert {column for tree, column in found if tree != "cmfd_reader_pkey"} <= WORDS
    assert found


def test_both_zeros_are_one_value() -> None:
    """As in SQLite: else what two ranks said would be two here, and the digest another."""
    assert any_held(-0.0) == any_held(0.0)


@pytest.mark.parametrize("number", [0, -5, 2**63 - 1, -(2**63), 0.5, 1e300, 5e-324, -1e-7, 1e22])
def test_numbers_come_back_as_they_were(number: float) -> None:
    """Integers as integers, floats as floats, to the last bit."""
    for back in (told(any_held(number) or ""), numeric_told(numeric_held(number) or "")):
        assert (back, type(back)) == (number, type(number))


def test_numbers_among_texts_are_in_order() -> None:
    """As SQLite has them: by value, and before every text."""
    numbers = [-(2**63), -1e18, -1, -0.5, 0, 5e-324, 1, 1.5, 2**53, 2**53 + 1, 2**63 - 1, 1e300]
    texts = [any_held(number) or "" for number in numbers] + [held(text) for text in ("", "a")][1:]
    assert sorted(texts) == texts


@pytest.mark.slow
def test_reports_are_the_same_while_a_merge_is_on_its_way(tmp_path: Path, server: Server) -> None:
    """A merger that was killed has made no sums of reports: who reads makes them."""
    packs = [(pack, pack.stem) for pack in packs_of(tmp_path / "packs", 1, 2)]
    answers: list[Any] = []
    for name, database in (("file", ""), ("server", server.url)):
        with closing(index.open_store(init_site(tmp_path / name, database))) as store:
            assert store.absorb_group(packs) == [True, True]
        for about in ("runtime", "energy"):
            said = cmfd("report", about, "--by", "user", "--json", "--site", tmp_path / name)
            report = json.loads(said.stdout)
            answers.append({key: report[key] for key in report if key not in ("site", "made_ns")})
    assert answers[:2] == answers[2:]


def test_what_no_run_was_given_on_parts_of_days_is_the_same(tmp_path: Path, server: Server) -> None:
    """Of days of which only a part is asked for, rows are read in place of sums."""
    pack = write_pack(tmp_path / "packs", busy_content(random.Random(3), 300))
    found = []
    for name, database in (("file", ""), ("server", server.url)):
        init_site(tmp_path / name, database)
        merge_site(tmp_path / name, [pack])
        bounds = ("--since", "2022-01-07T12:00:00Z", "--until", "2022-01-08T12:00:00Z")
        said = cmfd("report", "energy", *bounds, "--json", "--site", tmp_path / name)
        found.append(json.loads(said.stdout)["idle"]["components"])
    assert found[0] == found[1] != []


@pytest.mark.slow
def test_several_mergers_that_begin_at_once_make_one_index(tmp_path: Path, server: Server) -> None:
    """On several machines the first merges of a new site may begin together."""
    site = init_site(tmp_path / "site", server.url)

    def begin(_: int) -> None:
        index.open_store(site).close()

    with ThreadPoolExecutor(4) as mergers:
        assert list(mergers.map(begin, range(4))) == [None] * 4
    assert index.has_index(site)


def test_each_user_of_a_lock_waits_for_the_other(tmp_path: Path, server: Server) -> None:
    """Two mergers with copies of one site write one after the other, and both are done."""
    init_site(tmp_path / "site", server.url)
    packs = packs_of(tmp_path / "packs", 1, 2)
    site = open_site(tmp_path / "site")
    with closing(index.open_store(site)) as one, closing(index.open_store(site)) as other:
        group = [(pack, pack.stem) for pack in packs]
        assert one.absorb_group(group) == [True, True]
        assert other.absorb_group(list(reversed(group))) == [False, False]


@pytest.mark.slow
def test_what_a_merge_reads_does_not_grow_with_the_index(tmp_path: Path, server: Server) -> None:
    """It finds what a pack speaks of by indexes, however many others there are."""
    site = init_site(tmp_path / "site", server.url)
    first, second = packs_of(tmp_path / "packs", 1, 2)
    with closing(PostgresStore(server.url, site.schema)) as store:
        assert store.absorb_group([(first, first.stem)]) == [True]
        store.db.raw.execute(
            b"INSERT INTO execution (execution, at_ns, origin, run_id, pipeline)"
            b" SELECT substr(sha256(n::text::bytea), 1, 16), n, repeat('a', 16)::bytea, 1, 'p'"
            b" FROM generate_series(1, 20000) AS n"
        )
        store.db.raw.execute(b"ANALYZE execution")
        before = read_whole(store)
        assert store.absorb_group([(second, second.stem)]) == [True]
        assert read_whole(store) - before < 20000


def read_whole(store: PostgresStore) -> int:
    """Return how many executions were read so far without an index."""
    store.db.raw.execute(b"SELECT pg_stat_force_next_flush()")
    query = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relid = 'execution'::regclass"
    return int(store.db.one(query)[0])


def test_a_statement_is_said_in_the_other_dialect() -> None:
    """Parameters, nulls in order, joins with conditions, and what is text stays as it is."""
    said = translated(
        "SELECT e.user, ':x ? %' FROM run AS e CROSS JOIN fact AS f ON f.value IS e.job"
        " WHERE e.at_ns = :at_ns ORDER BY e.at_ns DESC, e.job LIMIT :limit;"
    )
    assert said == (
        "SELECT e.user, ':x ? %%' FROM run AS e JOIN fact AS f"
        " ON f.value IS NOT DISTINCT FROM e.job WHERE e.at_ns = %(at_ns)s"
        " ORDER BY e.at_ns DESC NULLS LAST, e.job NULLS FIRST "
        "LIMIT nullif(%(limit)s, -1)"
    )


def test_a_view_is_asked_for_each_thing_in_a_list() -> None:
    """A table is not, nor a view that is joined by something else; texts are compared as in C."""
    said = translated(
        "SELECT x.status FROM json_each(:ids) AS j CROSS JOIN executions AS x ON x.run_id = j.value"
        " CROSS JOIN event AS v ON v.execution_id = j.value WHERE v.path LIKE :path ESCAPE '\\'"
    )
    assert said == (
        "SELECT x.status FROM integer_each(%(ids)s) AS j CROSS JOIN LATERAL"
        " (SELECT * FROM executions AS x WHERE x.run_id = j.value OFFSET 0) AS x"
        " JOIN event AS v ON v.execution_id = j.value"
        """ WHERE lower(v.path) LIKE lower(%(path)s COLLATE "C") ESCAPE '\\'"""
    )
