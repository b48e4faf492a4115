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
from support.packs import an_id, small_run, write_pack
from support.postgres import Server
from support.summed import busy_content

from cmfd.cli.main import cli
from cmfd.errors import StoreError
from cmfd.merge import index
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site, open_site
from cmfd.query.index import open_index
from cmfd.store.postgres.dialect import translated
from cmfd.store.postgres.values import any_held, held, numeric_held, numeric_told, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    assert cmfd("show", "last", "--json", "--site", site).stdout == shown
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


def test_what_is_too_long_for_it_stops_no_merge(tmp_path: Path, server: Server) -> None:
    """Such a pack is refused with the reason, and others of its group are taken."""
    long, host, good = small_run(1), small_run(2), small_run(3)
    noise = random.Random(1).randbytes(5000).hex()  # which nothing makes short
    long["param"].append((an_id("exec", 1), "p", "str", noise, 1, an_id("proc", 1000), 0))
    host["process"] = [(*row[:7], noise, *row[8:]) for row in host["process"]]
    packs = [write_pack(tmp_path, content) for content in (long, host, good)]
    with closing(index.open_store(init_site(tmp_path / "site", server.url))) as store:
        refused, strange, taken = store.absorb_group([(pack, pack.stem) for pack in packs])
        store.sum_up()
    assert "too long for an index in PostgreSQL" in str(refused)
    assert "a host has more than 255 characters" in str(strange)
    assert taken is True


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
