"""What a node store makes of what processes say: joins, types, owners, and what it refuses."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.journals import EXECUTION, RUN, T0_NS, Journal
from support.nodes import content_of

from cmfd.errors import StoreError
from cmfd.store.node import JournalSlice, NodeStore
from cmfd.wire import journal as form
from cmfd.wire.messages import (
    Environment,
    ExecutionBegin,
    Fact,
    Group,
    Hashed,
    Param,
    Part,
    ProcessBegin,
    ProcessState,
    RunBegin,
    Series,
    Touch,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = (
    RunBegin(at_ns=1, run=RUN, site="/site"),
    ExecutionBegin(at_ns=1, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
    ProcessBegin(at_ns=1, execution=EXECUTION, rank=3, host="node1"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the node store is."""
    return tmp_path / "node.db"


@pytest.fixture
def store(path: Path) -> Iterator[NodeStore]:
    """Return an empty node store."""
    with closing(NodeStore(path)) as made:
        yield made


def commit(store: NodeStore, *journals: Journal) -> None:
    """Commit whole journals."""
    for journal in journals:
        store.append(journal.slices())
    store.commit()


def rows(path: Path, query: str) -> list[Any]:
    """Return what a query of the node store gives."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_nothing_is_seen_or_kept_before_the_commit(store: NodeStore, path: Path) -> None:
    """What is told to be committed is on disk: a client forgets it."""
    journal = Journal().events(*BEGIN)
    store.append(journal.slices())
    assert store.committed(journal.instance) == []
    assert store.open_instances() == []
    store.rollback()
    store.commit()
    assert rows(path, "SELECT * FROM run") == []
    commit(store, journal)
    assert store.committed(journal.instance) == [(1, 0, journal.blocks[0].n_units)]
    assert store.open_instances() == [(journal.instance, 1000, journal.path)]
    assert store.owner(journal.instance) == 1000
    assert store.owner(b"?" * 16) is None
    assert store.runs_of(journal.instance) == [RUN]


def test_the_first_user_of_a_run_owns_it(store: NodeStore, path: Path, caplog: Any) -> None:
    """Another user's records on a run or execution are refused, counted and logged."""
    commit(store, Journal().events(*BEGIN))
    before = content_of(path)
    thief = Journal(instance=b"\x66" * 16, uid=1001).events(
        RunBegin(at_ns=0, run=RUN, name="mine"),
        ExecutionBegin(at_ns=0, execution=EXECUTION, run=b"\x99" * 16, pipeline="x", stage="y"),
        ExecutionBegin(at_ns=0, execution=b"\x98" * 16, run=RUN, pipeline="x", stage="y"),
        ProcessBegin(at_ns=0, execution=EXECUTION),
        Param(at_ns=0, execution=EXECUTION, key="k", type="int", value=1),
        Fact(at_ns=9, subject=RUN, key="tag", type="str", value="mine"),
        Series(at_ns=0, id=1, execution=EXECUTION, name="fake"),
        Touch(at_ns=0, token=1, execution=EXECUTION, direction="input", kind="other", path="p"),
        Hashed(at_ns=0, token=1, digest="md5:00"),
    )
    commit(store, thief)
    assert store.figures.refused == 8
    assert "of user 1001" in caplog.text
    after = content_of(path)
    content = before.keys() - {"committed", "touch", "owner"}
    assert {name: after[name] for name in content} == {name: before[name] for name in content}
    assert store.runs_of(thief.instance) == []


def test_the_administrator_may_write_of_any_run(store: NodeStore, path: Path) -> None:
    """A prolog or epilog adds facts to users' runs."""
    commit(store, Journal().events(*BEGIN))
    root = Journal(instance=b"\x01" * 16, uid=0)
    commit(store, root.events(Fact(at_ns=2, subject=RUN, key="queue", type="str", value="q")))
    assert store.figures.refused == 0
    assert rows(path, "SELECT key, value FROM facts") == [("queue", "q")]


def test_a_journal_stays_its_first_users(store: NodeStore) -> None:
    """Nobody adds to another user's journal by knowing its number."""
    journal = Journal().events(*BEGIN)
    commit(store, journal)
    thief = Journal(uid=1001).events(*BEGIN, *BEGIN)
    commit(store, thief)
    assert store.figures.refused == 1
    assert store.committed(journal.instance) == [(1, 0, journal.blocks[0].n_units)]


def test_malformed_records_are_counted_and_the_rest_goes_on(
    store: NodeStore, path: Path, caplog: Any
) -> None:
    """Nothing that a process writes can stop the store or what others write."""
    deep = b"\x81\xa1t" + b"\x91" * 50_000
    bad = [
        b"\xc1garbage",
        deep,
        encode({"t": "run", "at_ns": 1, "run": b"short"}),
        encode({"t": "run", "at_ns": 1}),
        encode({"t": "nobody-knows", "at_ns": 1}),
        encode({"t": "run", "at_ns": 1 << 63, "run": RUN}),
        encode(Param(at_ns=1, execution=EXECUTION, key="k", type="int", value="no")),
        encode(Param(at_ns=1, execution=EXECUTION, key="k", type="complex", value=1.0)),
        encode(Param(at_ns=1, execution=EXECUTION, key="k", type="int", value=1 << 63)),
        encode(Series(at_ns=1, id=0, execution=EXECUTION, name="void")),
        encode(Series(at_ns=1, id=1, execution=EXECUTION, name="k", kind="complex")),
        encode(Group(at_ns=1, id=1, series=[-1])),
        encode(Touch(at_ns=1, token=1, execution=EXECUTION, direction="up", kind="", path="")),
        encode(Hashed(at_ns=1, token=1, digest="no digest")),
        encode(Hashed(at_ns=1, token=1, digest="")),
        encode(Part(at_ns=1, token=1, index=2, total=2, data=b"")),
        encode(Part(at_ns=1, token=2, index=0, total=1, data=b"\xc1")),
        encode(Part(at_ns=1, token=3, index=0, total=1, data=encode(BEGIN[0])[:-1])),
        encode(
            Part(
                at_ns=1, token=4, index=0, total=1,
                data=encode(Part(at_ns=1, token=5, index=0, total=1, data=b"")),
            )
        ),
    ]  # fmt: skip
    commit(store, Journal().payloads(*bad).events(*BEGIN))
    assert store.figures.malformed == len(bad)
    assert store.figures.records == len(BEGIN)
    assert "malformed record" in caplog.text
    assert rows(path, "SELECT count(*) FROM run") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 9},
        {"record_bytes": 40},
        {"end": 99},
        {"first": -1},
        {"first": 1, "end": 1, "payload": b""},
        {"block": 1 << 40},
        {"instance": b"short"},
        {"kind": form.ROWS, "record_bytes": 24},
        {"kind": form.ROWS, "record_bytes": 33},
    ],
)
def test_a_slice_that_is_none_is_dropped(store: NodeStore, change: dict[str, Any]) -> None:
    """Its units do not count as committed, and nothing else suffers."""
    good = Journal().point(1, 0.5).point(1, 0.25)
    store.append([replace(good.slices()[0], **change)])
    store.append(good.slices())
    store.commit()
    assert store.figures.malformed == 1
    assert store.figures.values == 2


def test_values_keep_their_types_in_parameters(store: NodeStore, path: Path) -> None:
    """Nothing is turned to text or rounded, but for what SQLite cannot say."""
    values: list[tuple[str, Any, Any]] = [
        ("int", -(1 << 63), -(1 << 63)),
        ("int", (1 << 63) - 1, (1 << 63) - 1),
        ("float", 0.1, 0.1),
        ("float", 1.0, 1.0),
        ("float", math.inf, math.inf),
        ("float", math.nan, "NaN"),
        ("bool", True, 1),
        ("null", None, "null"),
        ("str", "null", "null"),
        ("json", '{"a": [1, 2]}', '{"a": [1, 2]}'),
    ]
    said = [
        Param(at_ns=1, execution=EXECUTION, key="k", type=kind, value=value)
        for kind, value, _ in values
    ]
    commit(store, Journal().events(*BEGIN, *said))
    found = rows(path, "SELECT value_type, value FROM param")
    expected = [(kind, stored) for kind, _, stored in values]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert {type(value) for kind, value in found if kind == "float"} == {float, str}


def test_different_values_of_a_parameter_are_all_kept(store: NodeStore, path: Path) -> None:
    """Ranks that disagree are visible; those that agree are one row, of the earliest."""
    for rank, value in enumerate((1, 2, 1)):
        journal = Journal(instance=bytes([rank + 1]) * 16)
        said = Param(at_ns=9 - rank, execution=EXECUTION, key="k", type="int", value=value)
        process = ProcessBegin(at_ns=1, execution=EXECUTION, rank=rank)
        commit(store, journal.events(said, *BEGIN[:2], process))
    found = rows(path, "SELECT value, rank FROM param ORDER BY value")
    assert found == [(1, 2), (2, 1)]


def test_a_touch_becomes_an_event_when_its_content_is_known(store: NodeStore, path: Path) -> None:
    """The digest comes later than the touch, or the store hears of it first."""
    touches = [
        Touch(
            at_ns=5, token=token, execution=EXECUTION, direction="output", kind="model",
            path=f"m{token}", absolute=f"/w/m{token}",
        )
        for token in (1, 2, 3)
    ]  # fmt: skip
    hashed = [
        Hashed(at_ns=6, token=1, digest="md5:aa", strong="sha256:bb", size_bytes=7),
        Hashed(at_ns=6, token=2, digest="md5:aa.dir", size_bytes=9, n_files=3),
    ]
    commit(store, Journal().events(*BEGIN, touches[0], hashed[1]))
    assert rows(path, "SELECT * FROM event") == []
    commit(store, Journal().events(*BEGIN, touches[0], hashed[1], hashed[0], *touches[1:]))
    query = (
        "SELECT path, digest, strong, size_bytes, n_files, rank, problem FROM events ORDER BY path"
    )
    assert rows(path, query) == [
        ("m1", "md5:aa", "sha256:bb", 7, 1, 3, ""),
        ("m2", "md5:aa.dir", "", 9, 3, 3, ""),
    ]
    assert rows(path, "SELECT token FROM touch") == [(3,)]


def test_content_that_could_not_be_read_is_known_by_its_place(store: NodeStore, path: Path) -> None:
    """The event says why, and the digest depends on host, path, size and time only."""
    touch = Touch(
        at_ns=5, token=1, execution=EXECUTION, direction="input", kind="dataset", path="gone",
        absolute="/w/gone", size_bytes=5, mtime_ns=7,
    )  # fmt: skip
    problem = Hashed(at_ns=6, token=1, digest="", problem="it is gone")
    commit(store, Journal().events(*BEGIN, touch, problem))
    other = Journal(instance=b"\x08" * 16).events(*BEGIN, touch, problem)
    commit(store, other)
    found = rows(path, "SELECT digest, problem, size_bytes FROM events")
    assert len(found) == 1
    assert found[0][0].startswith("stat:")
    assert found[0][1:] == ("it is gone", 5)


def test_a_record_in_parts_counts_once_it_is_whole(store: NodeStore, path: Path) -> None:
    """A document larger than a journal record travels in pieces, over any number of commits."""
    document = '{"packages": "' + "x" * 200_000 + '"}'
    whole = encode(Environment(at_ns=1, execution=EXECUTION, document=document))
    pieces = [whole[i : i + 50_000] for i in range(0, len(whole), 50_000)]
    parts = [
        Part(at_ns=1, token=9, index=i, total=len(pieces), data=piece)
        for i, piece in enumerate(pieces)
    ]
    journal = Journal().events(*BEGIN, *parts[:-1])
    commit(store, journal)
    assert rows(path, "SELECT * FROM environment") == []
    commit(store, journal.events(parts[-1]))
    assert rows(path, "SELECT document FROM environments") == [(document,)]
    assert rows(path, "SELECT count(*) FROM part") == [(0,)]


def test_integers_beyond_a_double_are_exact_in_the_statistics(store: NodeStore, path: Path) -> None:
    """Also when it turns out only after the values that they are integers."""
    late = Journal(instance=b"\x0a" * 16)
    early = Journal(instance=b"\x0b" * 16)
    series = Series(at_ns=1, id=1, execution=EXECUTION, name="n", kind="int")
    low, high = (1 << 62) + 1, (1 << 62) + 3
    for journal in (late, early):
        journal.point(1, high, step=1, at_ns=T0_NS).point(1, low, step=2, at_ns=T0_NS + 1)
    commit(store, late)
    commit(store, late.events(*BEGIN, series), early.events(*BEGIN, series))
    query = "SELECT value, min, max, n_values, step FROM metrics_last"
    assert rows(path, query) == [(low, low, high, 2, 2)] * 2


def test_statistics_leave_out_nan_and_survive_overflow(store: NodeStore, path: Path) -> None:
    """Infinities are extremes; the mean is over finite values; too large a sum is none."""
    journal = Journal().events(*BEGIN)
    for number, name in enumerate(("plain", "nan", "inf", "huge"), 1):
        journal.events(Series(at_ns=1, id=number, execution=EXECUTION, name=name))
    values = {
        1: [1.0, math.nan, 3.0],
        2: [math.nan, math.nan],
        3: [1.0, -math.inf, 2.0],
        4: [1e308, 1e308, 1e308],
    }
    for number, logged in values.items():
        for step, value in enumerate(logged):
            journal.point(number, value, step=step, at_ns=T0_NS + step)
    commit(store, journal)
    for value in (-1e308,) * 3:
        journal.point(4, value, step=9, at_ns=T0_NS + 9)
    commit(store, journal)
    query = "SELECT name, n_values, n_nan, min, max, mean, value FROM metrics_last ORDER BY name"
    assert rows(path, query) == [
        ("huge", 6, 0, -1e308, 1e308, None, -1e308),
        ("inf", 3, 0, -math.inf, 2.0, None, 2.0),
        ("nan", 2, 2, None, None, None, "NaN"),
        ("plain", 3, 1, 1.0, 3.0, 2.0, 3.0),
    ]


def test_the_last_value_is_the_one_with_the_greatest_time(store: NodeStore, path: Path) -> None:
    """Not the one that arrived last, or stands last in its block: clocks are set back."""
    journal = Journal().events(*BEGIN, Series(at_ns=1, id=1, execution=EXECUTION, name="m"))
    for step, at_ns in enumerate((5, 9, 9, 2)):
        journal.point(1, step + 0.5, step=step, at_ns=T0_NS + at_ns)
    commit(store, journal)
    journal.point(1, 7.5, step=7, at_ns=T0_NS + 3)
    commit(store, journal)
    assert rows(path, "SELECT step, value, n_values FROM metrics_last") == [(2, 2.5, 5)]


def test_rows_count_when_their_group_is_named(store: NodeStore, path: Path) -> None:
    """Before, during or after the commit that brings them; void rows and columns never."""
    journal = Journal()
    for step in range(3):
        journal.row(7, [step * 1.0, 5.0, step * 2.0], step=step, at_ns=T0_NS + step)
    journal.row(7, [9.0, 9.0, 9.0], valid=0)
    commit(store, journal)
    assert rows(path, "SELECT * FROM metrics_last") == []
    named = [
        Series(at_ns=1, id=1, execution=EXECUTION, name="a"),
        Series(at_ns=1, id=2, execution=EXECUTION, name="b"),
    ]
    commit(store, journal.events(*BEGIN, Group(at_ns=1, id=7, series=[1, 0, 2]), *named))
    journal.row(7, [4.0, 5.0, 8.0], step=4, at_ns=T0_NS + 4)
    commit(store, journal)
    found = rows(path, "SELECT name, n_values, max, value FROM metrics_last ORDER BY name")
    assert found == [("a", 4, 4.0, 4.0), ("b", 4, 8.0, 8.0)]


def test_rows_of_another_width_than_their_group_are_nobodys(store: NodeStore, path: Path) -> None:
    """A writer that contradicts itself harms nobody."""
    journal = Journal().events(*BEGIN, Series(at_ns=1, id=1, execution=EXECUTION, name="a"))
    journal.events(Group(at_ns=1, id=7, series=[1])).row(7, [1.0, 2.0]).row(7, [3.0])
    commit(store, journal)
    assert rows(path, "SELECT name, n_values FROM metrics_last") == [("a", 1)]


def test_void_points_are_committed_and_not_stored(store: NodeStore) -> None:
    """A slot that stands for nothing need not be sent again."""
    journal = Journal().point(0, 1.0).point(0, 2.0)
    commit(store, journal)
    assert store.figures.values == 0
    assert store.committed(journal.instance) == [(1, 0, 2)]


def test_a_process_that_vanished_is_lost_unless_it_said_how_it_ended(
    store: NodeStore, path: Path
) -> None:
    """Its last reading is kept, and a clock that was set back does not hide the loss."""
    other = b"\x77" * 16
    journal = Journal().events(
        *BEGIN,
        ExecutionBegin(at_ns=1, execution=other, run=RUN, pipeline="p", stage="t"),
        ProcessBegin(at_ns=1, execution=other),
        ProcessState(at_ns=50, execution=EXECUTION, status="running", max_rss_bytes=5),
        ProcessState(at_ns=40, execution=other, status="completed", exit_code=0),
    )
    commit(store, journal)
    store.mark_lost(journal.instance, 20)
    store.end_instance(journal.instance, 21)
    store.commit()
    found = rows(path, "SELECT status, max_rss_bytes FROM processes ORDER BY status")
    assert found == [("completed", 0), ("lost", 5)]
    assert store.open_instances() == []
    assert store.unsealed_runs()[0].open_instances == 0


def test_a_full_disk_is_an_error_that_loses_nothing(tmp_path: Path) -> None:
    """The transaction is taken back whole; once there is room, the same slices are taken."""
    store = NodeStore(tmp_path / "node.db")
    try:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 4}")
        journal = Journal().events(*BEGIN, Series(at_ns=1, id=1, execution=EXECUTION, name="m"))
        for step in range(20_000):
            journal.point(1, math.sin(step) * 1e-7, step=step, at_ns=T0_NS + step * step)
        with pytest.raises(StoreError, match="acknowledged"):
            commit(store, journal)
        assert store.figures.values == 0
        assert store.committed(journal.instance) == []
        store._db.execute("PRAGMA max_page_count = 1000000")
        commit(store, journal)
        assert store.figures.values == 20_000
    finally:
        store.close()


def test_a_journal_path_that_is_no_text_is_taken(store: NodeStore) -> None:
    """File names are bytes; what such a journal holds is not lost for it."""
    journal = Journal(path="/tmp/\udcff.cmfj").events(*BEGIN)
    commit(store, journal)
    assert store.open_instances()[0][2] == "/tmp/\\udcff.cmfj"


def test_small_and_large_slices_hold_the_same(store: NodeStore, path: Path) -> None:
    """A few values are stored another way than many; reading them is the same."""
    one, many = Journal(instance=b"\x0c" * 16), Journal(instance=b"\x0d" * 16)
    for journal in (one, many):
        for step in range(100):
            journal.point(1 + step % 3, step * 0.5, step=step, at_ns=T0_NS + step)
            journal.row(1, [step * 0.25, -step * 1.0], step=step, at_ns=T0_NS + step)
    commit(store, many)
    for block in one.blocks:
        for first in range(0, block.n_units, 7):
            end = min(first + 7, block.n_units)
            store.append([one.slice(block, first, end)])
    store.commit()
    commit(store, *(x.events(Group(at_ns=1, id=1, series=[4, 5])) for x in (one, many)))
    found: dict[bytes, Any] = {one.instance: {}, many.instance: {}}
    for (instance, series, block_number), values in content_of(path)["values"]:
        found[instance][series, block_number] = values
    assert found[one.instance] == found[many.instance]
    assert len(found[one.instance]) == 5


def test_a_slice_is_a_plain_value() -> None:
    """The daemon makes them of messages, and compares them in its tests."""
    piece = JournalSlice(b"i" * 16, 1, "/j", "h", 1, form.POINTS, 32, 0, 0, 1, bytes(32))
    assert piece == replace(piece)
    assert hash(piece) == hash(replace(piece))
