"""Users of a database see of a site's index what was granted to them, whatever they ask."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg.sql
import pytest
from click.testing import CliRunner, Result
from support.energy import Metered
from support.jobs import a_job
from support.packs import an_id
from support.postgres import Server
from support.sites import ASite

from cmfd.cli.main import cli
from cmfd.errors import NotFoundError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.packs import Content

pytestmark = pytest.mark.slow
STORE, NOT_FOUND = StoreError.exit_code, NotFoundError.exit_code
ROLES = ("operator", "ann", "bob", "eve", "physics")
TABLES = (
    "run", "execution", "event", "artifact", "param", "fact", "note", "energy", "energy_day",
    "energy_hour", "run_sum", "run_energy", "execution_sum", "chunk", "series", "pack", "meter",
)  # fmt: skip


def with_secret(content: Content, number: int, word: str) -> Content:
    """Name what a run says so that it can be looked for."""
    origin = an_id("proc", number * 1000)
    content["param"].append(
        (an_id("exec", number), f"{word}-key", "str", f"{word}-value", 1, origin, 0)
    )
    return content


class Shared:
    """A site of two users' runs, its index on a server that knows who asks by his name."""

    def __init__(self, site: ASite, server: Server, patch: pytest.MonkeyPatch) -> None:
        self.site = site
        self.server = server
        self._patch = patch

    def as_user(self, user: str, *words: str, code: int = 0) -> Result:
        """Ask as a user of the database."""
        self._patch.setenv("PGUSER", user)
        done = CliRunner().invoke(
            cli, [*words, "--site", str(self.site.path)], catch_exceptions=False
        )
        assert done.exit_code == code, done.output
        return done

    def shown(self, user: str, *words: str) -> Any:
        """Return what a user is told, as JSON."""
        return json.loads(self.as_user(user, *words, "--json").stdout)

    def count(self, user: str, table: str) -> int:
        """Return how many rows a user sees who asks the server itself."""
        url = f"postgresql:///shared?host={self.server.directory}&user={user}"
        with closing(psycopg.connect(url, autocommit=True)) as db:
            (schema,) = db.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cmfd%'"
            ).fetchone()  # type: ignore[misc]
            db.execute(f'SET search_path TO "{schema}"'.encode())
            row = db.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            assert row is not None
            return int(row[0])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Make it: run 1 is ann's, 2 and 3 bob's; the operator's is the index."""
    server = Server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGUSER", "cmfd")
        with closing(psycopg.connect(server.url, autocommit=True)) as db:
            for role in ROLES[:-1]:
                db.execute(f"CREATE ROLE {role} LOGIN".encode())
            db.execute(b"CREATE ROLE physics")
            db.execute(b"CREATE DATABASE shared OWNER operator")
        metered = Metered().spend(0, {1: 6_000_000, 2: 3_000_000, "idle": 1_000_000}, n_buckets=9)
        site = ASite(tmp_path_factory.mktemp("shared") / "site").take(
            *metered.contents(
                with_secret(a_job(1), 1, "annsecret"),
                with_secret(a_job(2, "bob", 1001), 2, "bobsecret"),
                a_job(3, "bob", 1001),
            )
        )
        made = Shared(site, server, patch)
        url = f"postgresql:///shared?host={server.directory}"
        made.as_user("operator", "site", "reindex", "--to", url, "--quiet")
        yield made
    server.remove()


@pytest.fixture
def granted(shared: Shared) -> Iterator[Shared]:
    """Let ann and bob see their own."""
    for user in ("ann", "bob"):
        shared.as_user("operator", "site", "grant", user, "--own")
    yield shared
    for user in {one["role"] for one in shared.shown("operator", "site", "grants")}:
        shared.as_user("operator", "site", "revoke", user)


def test_who_was_granted_nothing_is_told(shared: Shared) -> None:
    """And whom to ask, by which command."""
    assert "cmfd site grant eve --own" in shared.as_user("eve", "runs", code=STORE).output


def test_each_sees_his_own_runs(granted: Shared) -> None:
    """As lists, sums and searches; the operator sees all."""
    assert len(granted.shown("operator", "runs")) == 3
    assert [one["user"] for one in granted.shown("ann", "runs")] == ["ann"]
    assert [one["user"] for one in granted.shown("bob", "runs")] == ["bob", "bob"]
    bob = an_id("run", 2).hex()
    assert granted.shown("bob", "show", bob)["run"]["run"] == bob
    granted.as_user("ann", "show", bob, code=NOT_FOUND)


def test_no_word_of_others_is_seen(granted: Shared) -> None:
    """Whatever is asked, of cmfd or of the server."""
    questions = (
        ("runs",), ("search", "bobsecret"), ("search", '"bobsecret-value"'), ("report", "energy"),
        ("report", "runtime", "--by", "user"), ("report", "waste"), ("artifacts", "list"),
        ("report", "energy", "--by", "node"),
    )  # fmt: skip
    for words in questions:
        text = granted.as_user("ann", *words, "--json").output
        assert "bobsecret-" not in text, words
        assert '"bob"' not in text, words
    whole = {table: granted.count("operator", table) for table in TABLES}
    assert all(granted.count("ann", table) <= whole[table] for table in TABLES)
    assert granted.count("ann", "run") == 1
    assert granted.count("ann", "param") < whole["param"]
    assert granted.count("ann", "energy") == 9
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        granted.count("ann", "cmfd_reader")


def test_energy_is_that_of_what_may_be_seen(granted: Shared) -> None:
    """Idle time is nobody's whom it was not granted."""
    found = granted.shown("ann", "report", "energy")
    assert found["total"]["energy"]["energy_j"] == pytest.approx(54)
    assert granted.shown("operator", "report", "energy")["total"]["energy"][
        "energy_j"
    ] == pytest.approx(81)


def test_walks_end_at_what_may_not_be_seen_and_say_so(granted: Shared) -> None:
    """Content that both read is seen by both; what others made of it is not."""
    digest = granted.shown("ann", "artifacts", "list")[0]["digest"]
    asked = granted.as_user("ann", "lineage", "down", digest)
    assert "You may see runs of user ann" in asked.stderr
    assert "You may see" not in granted.as_user("operator", "lineage", "down", digest).stderr


def test_nothing_is_seen_of_tables_that_somebody_made_beside_them(granted: Shared) -> None:
    """Parts of one say, or copies: whoever is granted something later reads none of their rows."""
    url = f"postgresql:///shared?host={granted.server.directory}&user=operator"
    with closing(psycopg.connect(url, autocommit=True)) as db:
        query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cmfd%'"
        (schema,) = db.execute(query).fetchone()  # type: ignore[misc]
        copy = psycopg.sql.Identifier(schema, "beside")
        run = psycopg.sql.Identifier(schema, "run")
        db.execute(psycopg.sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(copy, run))
        granted.as_user("operator", "site", "grant", "eve", "--own")
        try:
            assert granted.count("operator", "beside") == 3
            assert granted.count("eve", "beside") == 0
        finally:
            db.execute(psycopg.sql.SQL("DROP TABLE {}").format(copy))


def test_a_group_sees_a_pipeline_or_project(granted: Shared) -> None:
    """Whoever is in it, from then on; a right that is taken back is gone."""
    with closing(psycopg.connect(granted.server.url, autocommit=True)) as db:
        db.execute(b"GRANT physics TO eve")
    granted.as_user("operator", "site", "grant", "physics", "--pipeline", "digits", "--quiet")
    assert len(granted.shown("eve", "runs")) == 3
    granted.as_user("operator", "site", "revoke", "physics")
    granted.as_user("eve", "runs", code=STORE)


def test_all_is_all(granted: Shared) -> None:
    """Also sums, and what no run was given."""
    granted.as_user("operator", "site", "grant", "eve", "--all")
    for table in TABLES:
        assert granted.count("eve", table) == granted.count("operator", table), table


def test_an_index_that_is_made_anew_grants_the_same(granted: Shared) -> None:
    """Nobody sees more or less afterwards."""
    before = granted.shown("operator", "site", "grants")
    granted.as_user("operator", "site", "reindex", "--quiet")
    assert granted.shown("operator", "site", "grants") == before
    assert [one["user"] for one in granted.shown("ann", "runs")] == ["ann"]


def test_readers_change_nothing(granted: Shared) -> None:
    """Neither grants nor runs; and the digest is of all, which they do not see."""
    granted.as_user("ann", "site", "grant", "ann", "--all", code=STORE)
    assert "only a part" in granted.as_user("ann", "site", "digest", code=STORE).output
    assert granted.shown("operator", "site", "grants") == [
        {"role": user, "kind": "user", "value": user} for user in ("ann", "bob")
    ]


def test_who_is_not_known_is_not_granted(shared: Shared) -> None:
    """The error says how to make a user."""
    words = ("site", "grant", "nobody-here", "--own")
    assert "createuser nobody-here" in shared.as_user("operator", *words, code=NOT_FOUND).output
