"""The site index: absorbing packs whole, and what its views show."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.oracle import connection_to, rows_of, union
from support.packs import Content, Row, Value, an_id, small_run, write_pack
from support.postgres import new_index

from cmfd.errors import PackError, SchemaTooNewError, SiteBusyError, StoreError
from cmfd.store.connection import connect
from cmfd.store.site import MAX_GROUP, SiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.store.absorbing import Store


EXECUTION, INSTANCE = an_id("exec", 1), an_id("proc", 1000)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Store]:
    with new_index(tmp_path / "index.db") as store:
        yield store


def absorbed(index: Store, pack: Path) -> bool:
    (outcome,) = index.absorb_group([(pack, pack.stem)])
    if isinstance(outcome, PackError):
        raise outcome
    return outcome


def absorb(index: Store, directory: Path, *contents: Content) -> None:
    for content in contents:
        pack = write_pack(directory, content)
        assert absorbed(index, pack)


def select(index: Store, query: str) -> list[dict[str, Any]]:
    with closing(connection_to(index)) as db:
        rows = db.execute(query)
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows]


def test_a_pack_is_absorbed_once(index: Store, tmp_path: Path) -> None:
    """The second time changes nothing, and says so."""
    pack = write_pack(tmp_path, small_run(1))
    assert not index.has(pack.stem)
    assert absorbed(index, pack)
    before = index.digest()
    assert not absorbed(index, pack)
    assert index.digest() == before
    assert index.ledger() == {pack.stem}


def test_a_digest_tells_content_apart(index: Store, tmp_path: Path) -> None:
    """Every pack with something new gives another digest; labels and the ledger do not count."""
    digests = [index.digest()]
    absorb(index, tmp_path, small_run(1))
    digests.append(index.digest())
    again = write_pack(tmp_path, small_run(1), node="other", sealed_ns=99)
    assert absorbed(index, again)
    assert index.digest() == digests[-1]
    absorb(index, tmp_path, small_run(2))
    digests.append(index.digest())
    assert len(set(digests)) == 3


def test_zero_has_one_sign(tmp_path: Path) -> None:
    """SQLite takes 0.0 and -0.0 for equal, so which came first must not show in the digest."""
    digests = set()
    zeros: list[Content] = [
        {"fact": [(an_id("run", 1), "k", 1, an_id("proc", 1), "float", zero)]}
        for zero in (0.0, -0.0)
    ]
    for name, order in (("a", zeros), ("b", zeros[::-1])):
        with new_index(tmp_path / f"{name}.db") as index:
            absorb(index, tmp_path / name, *order)
            digests.add(index.digest())
    assert len(digests) == 1


def test_one_bad_pack_of_a_group_leaves_the_others(index: Store, tmp_path: Path) -> None:
    """A row that slipped through the checks is found at the index, and undoes its pack only."""
    good = [write_pack(tmp_path, small_run(number)) for number in (1, 2)]
    bad = write_pack(tmp_path, small_run(3))
    with closing(sqlite3.connect(bad, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        # The file says that its ranks may be anything: a text is stored where a number must be.
        db.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'rank INTEGER', 'rank ANY')"
            " WHERE name = 'param'"
        )
    with closing(sqlite3.connect(bad, isolation_level=None)) as db:
        db.execute("UPDATE param SET rank = 'first'")
    outcomes = index.absorb_group([(path, path.stem) for path in (good[0], bad, good[1])])
    assert outcomes[::2] == [True, True]
    assert isinstance(outcomes[1], PackError)
    assert "foreign" in str(outcomes[1])
    assert index.ledger() == {path.stem for path in good}
    assert rows_of(index) == union([small_run(1), small_run(2)])


def test_a_pack_whose_pages_are_broken_is_refused_and_the_index_not_blamed(
    index: Store, tmp_path: Path
) -> None:
    """It comes with the right sha256, so that only reading it shows."""
    pack = write_pack(tmp_path, small_run(1))
    with closing(sqlite3.connect(pack)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'").fetchone()
    data = bytearray(pack.read_bytes())
    data[(page - 1) * 4096 + 8 : page * 4096] = b"\xff" * 4088
    pack.write_bytes(data)
    with pytest.raises(PackError, match="foreign: it is no sound SQLite database"):
        absorbed(index, pack)
    assert index.ledger() == set()
    absorb(index, tmp_path, small_run(2))


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("run", (b"short", 1, INSTANCE, 0, "", "", 0, "", "", "", "")),
        ("run_end", (an_id("run", 1), 1, b"", "lost", None, None)),
        ("execution", (EXECUTION, 1, INSTANCE, EXECUTION, b"parent", "", "", "")),
        ("process", (EXECUTION, b"i" * 17, 1, INSTANCE, 0, 1, 0, "", 1, "rank")),
        ("param", (EXECUTION, "a", "int", "1", 1, INSTANCE, 0)),
        ("param", (EXECUTION, "a", "float", 1, 1, INSTANCE, 0)),
        ("param", (EXECUTION, "a", "bool", 2, 1, INSTANCE, 0)),
        ("param", (EXECUTION, "a", "str", b"x", 1, INSTANCE, 0)),
        ("param", (EXECUTION, "a", "null", "", 1, INSTANCE, 0)),
        ("param", (b"exec", "a", "int", 1, 1, INSTANCE, 0)),
        ("fact", (EXECUTION, "a", 1, INSTANCE, "complex", 1)),
        ("artifact", ("no-algorithm", "", 1, 1)),
        ("event", (EXECUTION, "sideways", "md5:1", "", 1, INSTANCE, "", "", "", 0, "", "")),
        ("event", (EXECUTION, "input", "unknown", "", 1, INSTANCE, "", "", "", 0, "", "")),
        ("series", (INSTANCE, 1, EXECUTION, "loss", "text")),
        ("chunk", (INSTANCE, 1, 1, 0, 0, 0, 0, 0, 0, None, None, None, 0, None, b"")),
        ("chunk", (INSTANCE, 1, 1, 1, 2, 0, 0, 0, 0, None, None, None, 0, None, b"")),
        ("chunk", (INSTANCE, 1, 1, 1, 0, 0, 0, 0, 0, "low", None, None, 0, None, b"")),
        ("chunk", (INSTANCE, 1, 1, 1, 0, 0, 0, 0, 0, None, None, None, 0, b"last", b"")),
        ("chunk", (b"instance", 1, 1, 1, 0, 0, 0, 0, 0, None, None, None, 0, None, b"")),
    ],
)
def test_rows_that_readers_could_not_use_are_refused_with_their_pack(
    index: Store, tmp_path: Path, table: str, row: Row
) -> None:
    """Ids of other lengths, values that are not of their type, directions unheard of."""
    good = write_pack(tmp_path, small_run(2))
    pack = write_pack(tmp_path, small_run(1) | {table: [row]})
    refusal, is_taken = index.absorb_group([(pack, pack.stem), (good, good.stem)])
    assert is_taken is True
    assert isinstance(refusal, PackError)
    assert str(refusal).startswith("foreign: a row")
    assert rows_of(index) == union([small_run(2)])


def test_a_group_is_as_large_as_sqlite_allows(index: Store, tmp_path: Path) -> None:
    """All of it in one transaction."""
    packs = [write_pack(tmp_path, small_run(number)) for number in range(MAX_GROUP)]
    assert index.absorb_group([(pack, pack.stem) for pack in packs]) == [True] * MAX_GROUP
    assert index.absorb_group([(pack, pack.stem) for pack in packs]) == [False] * MAX_GROUP


@pytest.mark.sqlite
def test_a_reader_that_does_not_end_is_reported_and_nothing_is_taken(
    index: SiteStore, tmp_path: Path
) -> None:
    """The packs are still where they were, for the next merge."""
    pack = write_pack(tmp_path, small_run(1))
    index._db.execute("PRAGMA busy_timeout = 1")
    with closing(connect(index.path, readonly=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM run").fetchone()
        with pytest.raises(SiteBusyError, match="packs stay in the inbox"):
            absorbed(index, pack)
    assert absorbed(index, pack)


@pytest.mark.sqlite
def test_a_reader_sees_all_of_a_pack_or_nothing(index: SiteStore, tmp_path: Path) -> None:
    """And waits for nobody between commits."""
    absorb(index, tmp_path, small_run(1))
    with closing(connect(index.path, readonly=True)) as reader:
        index._db.execute("BEGIN IMMEDIATE")
        index._db.execute("DELETE FROM param")
        assert reader.execute("SELECT count(*) FROM params").fetchone() == (3,)
        index._db.execute("ROLLBACK")


@pytest.mark.sqlite
def test_an_index_of_a_later_cmfd_is_left_alone(index: SiteStore) -> None:
    """Whoever wrote it can read it."""
    index._db.execute("PRAGMA user_version = 99")
    for readonly in (False, True):
        with pytest.raises(SchemaTooNewError):
            SiteStore(index.path, readonly=readonly)


@pytest.mark.parametrize("content", [b"nothing of the kind" * 99])
def test_what_is_no_index_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """The error names the file."""
    path = tmp_path / "index.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"index\.db"):
        SiteStore(path)
    assert path.read_bytes() == content


@pytest.mark.sqlite
def test_a_damaged_index_says_how_to_rebuild_it(index: SiteStore, tmp_path: Path) -> None:
    """The packs are the truth, so nothing is lost."""
    absorb(index, tmp_path, small_run(1))
    (row,) = select(index, "SELECT rootpage FROM sqlite_schema WHERE name = 'process'")
    page = row["rootpage"]
    index.close()
    data = bytearray(index.path.read_bytes())
    data[(page - 1) * 4096 + 8 : page * 4096] = b"\xff" * 4088
    index.path.write_bytes(data)
    with closing(SiteStore(index.path, readonly=True)) as damaged:
        assert damaged.damage()
        with pytest.raises(StoreError, match="cmfd site reindex"):
            damaged.digest()


def test_views_show_a_run_as_people_ask_for_it(index: Store, tmp_path: Path) -> None:
    """One row, with plain names, ids as text and times in seconds."""
    absorb(index, tmp_path, small_run(7))
    (run,) = select(index, "SELECT * FROM runs")
    assert run["run"] == an_id("run", 7).hex()
    assert run["short"] == run["run"][:12]
    assert (run["status"], run["exit_code"], run["wall_s"]) == ("completed", 0, 9.0)
    assert run["began"] == "2023-11-14T22:13:27Z"
    assert (run["n_executions"], run["n_processes"], run["cpu_s"]) == (1, 2, 2.0)
    (execution,) = select(index, f"SELECT * FROM executions WHERE run = '{run['run']}'")
    assert (execution["pipeline"], execution["stage"]) == ("digits", "train")
    assert (execution["status"], execution["n_ranks"], execution["wall_s"]) == ("completed", 2, 8.0)
    metrics = select(index, "SELECT * FROM metrics ORDER BY rank")
    assert [row["rank"] for row in metrics] == [0, 1]
    assert {key: metrics[0][key] for key in ("name", "n_values", "min", "max", "mean", "last")} == {
        "name": "loss", "n_values": 200, "min": 0.0, "max": 1.0, "mean": 0.5, "last": 0.5,
    }  # fmt: skip
    assert [row["step"] for row in select(index, "SELECT * FROM metrics_last")] == [199, 199]
    (event,) = select(index, "SELECT * FROM events")
    (artifact,) = select(index, "SELECT * FROM artifacts")
    assert event["path"] == artifact["path"] == "model.bin"
    assert (artifact["n_producers"], artifact["n_consumers"]) == (1, 0)
    assert [row["key"] for row in select(index, "SELECT * FROM params ORDER BY key")] == [
        "p0", "p1", "p2",
    ]  # fmt: skip
    assert len(select(index, "SELECT * FROM processes")) == 2
    assert len(select(index, "SELECT * FROM packs")) == 1


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["completed", "completed"], "completed"),
        (["completed", "failed"], "failed"),
        (["lost", "completed"], "lost"),
        (["lost", "failed"], "failed"),
        (["cancelled", "completed"], "cancelled"),
        (["completed", "running"], "running"),
        (["completed"], "running"),
        ([], "running"),
    ],
)
def test_without_an_end_a_run_stands_as_its_worst_process(
    index: Store, tmp_path: Path, states: list[str], expected: str
) -> None:
    """A process that never said how it stands is running."""
    content = small_run(1)
    del content["run_end"]
    content["process_state"] = [
        (*state[:4], status, *state[5:])
        for state, status in zip(content["process_state"], states, strict=False)
    ]
    absorb(index, tmp_path, content)
    (run,) = select(index, "SELECT * FROM runs")
    (execution,) = select(index, "SELECT * FROM executions")
    assert (run["status"], execution["status"]) == (expected, expected)
    ended = len(states) == 2 and "running" not in states
    assert (run["wall_s"] is not None) == (execution["wall_s"] is not None) == ended


@pytest.mark.parametrize(
    ("wrappers", "expected"),
    [
        (["cancelled", "cancelled"], "cancelled"),
        (["completed", "completed"], "completed"),
        (["completed", "failed"], "failed"),
        (["cancelled", "lost"], "lost"),
        (["cancelled"], "lost"),
        (["completed", "running"], "running"),
    ],
)
def test_where_each_rank_has_a_wrapper_those_say_how_it_ended(
    index: Store, tmp_path: Path, wrappers: list[str], expected: str
) -> None:
    """A program that a signal ends says nothing itself."""
    content = small_run(1)
    del content["run_end"]
    ranks = content["process_state"]
    content["process_state"] = [(*state[:4], "lost", *state[5:]) for state in ranks]
    for rank, (process, state) in enumerate(zip(content["process"], ranks, strict=True)):
        if rank < len(wrappers):
            instance = an_id("wrap", rank)
            wrapper = (process[0], instance, *process[2:-1], "wrapper")
            content["process"] = [*content["process"], wrapper]
            said = (state[0], instance, *state[2:4], wrappers[rank], *state[5:])
            content["process_state"] = [*content["process_state"], said]
    absorb(index, tmp_path, content)
    (execution,) = select(index, "SELECT status FROM executions")
    (run,) = select(index, "SELECT status FROM runs")
    assert (execution["status"], run["status"]) == (expected, expected)


def test_an_end_says_more_than_the_processes(index: Store, tmp_path: Path) -> None:
    """A wrapper knows that the job was cancelled, whatever its ranks said last."""
    content = small_run(1)
    content["execution_end"] = [(an_id("exec", 1), 1, an_id("proc", 1000), "cancelled", None, 15)]
    absorb(index, tmp_path, content)
    (execution,) = select(index, "SELECT status, signal FROM executions")
    assert execution == {"status": "cancelled", "signal": 15}


def test_ranks_that_disagree_on_a_parameter_are_both_shown(index: Store, tmp_path: Path) -> None:
    """Conflicts are kept and visible; 1, 1.0, true and '1' are four values."""
    values: list[tuple[str, Value]] = [("int", 1), ("float", 1.0), ("bool", 1), ("str", "1")]
    content: Content = {
        "param": [
            (an_id("exec", 1), "lr", kind, value, rank, an_id("proc", rank), rank)
            for rank, (kind, value) in enumerate(values)
        ]
    }
    absorb(index, tmp_path, small_run(1), content)
    rows = select(index, "SELECT * FROM params WHERE key = 'lr' ORDER BY rank")
    assert [(row["value_type"], row["value"], row["n_distinct"]) for row in rows] == [
        (kind, value, 4) for kind, value in values
    ]
    assert [type(row["value"]) for row in rows] == [int, float, int, str]


def test_a_wrapper_that_waited_for_the_ranks_does_not_count_their_time_again(
    index: Store, tmp_path: Path
) -> None:
    """The greater of the two readings stands for the run."""
    content = small_run(1)
    wrapper, execution = an_id("proc", 5), an_id("exec", 1)
    content["process"].append((execution, wrapper, 1, wrapper, 0, 1, 0, "n1", 5, "wrapper"))
    content["process_state"].append(
        (execution, wrapper, 1, wrapper, "completed", 0, None, 2_500_000_000, 0, 10**6, 0)
    )
    absorb(index, tmp_path, content)
    (run,) = select(index, "SELECT cpu_s FROM runs")
    (row,) = select(index, "SELECT cpu_s, n_ranks, n_processes FROM executions")
    assert run["cpu_s"] == row["cpu_s"] == 2.5
    assert (row["n_ranks"], row["n_processes"]) == (2, 3)


def test_infinite_and_missing_values_are_no_mean(index: Store, tmp_path: Path) -> None:
    """`min` and `max` say what there was; the mean of an infinity would say nothing."""
    content = small_run(1, n_ranks=1, n_chunks=1)
    chunk = content["chunk"][0]
    infinite = (*chunk[:10], float("inf"), *chunk[11:])
    absorb(index, tmp_path, content | {"chunk": [infinite]})
    (row,) = select(index, "SELECT min, max, mean FROM metrics")
    assert row == {"min": 0.0, "max": float("inf"), "mean": None}


def test_rows_that_were_only_named_stay_out_of_the_content(index: Store, tmp_path: Path) -> None:
    """They appear when their own pack comes, in whatever order."""
    content = small_run(1)
    children: Content = {
        table: rows
        for table, rows in content.items()
        if table not in ("run", "execution", "artifact", "series")
    }
    absorb(index, tmp_path, children)
    assert set(rows_of(index)) == set(children)
    assert select(index, "SELECT began_ns, status FROM runs") == [
        {"began_ns": None, "status": "completed"}
    ]
    assert select(index, "SELECT * FROM metrics") == []
    absorb(index, tmp_path, content)
    assert rows_of(index) == union([content])
    assert len(select(index, "SELECT * FROM metrics")) == 2
