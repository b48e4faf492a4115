"""Sealing runs into packs: what is in them, when there is one, and what may be dropped after."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.journals import EXECUTION, RUN, T0_NS, Journal
from support.nodes import chunks_of, content_of

from cmfd.content.slices import slice_digest
from cmfd.errors import NotFoundError, StoreError
from cmfd.store.connection import connect
from cmfd.store.interpret import NOT_HASHED, SealedPack, seal
from cmfd.store.node import NodeStore
from cmfd.store.pack import FORMAT, open_pack
from cmfd.store.site import SiteStore
from cmfd.wire.messages import (
    Environment,
    ExecutionBegin,
    Fact,
    Hashed,
    Link,
    Param,
    ProcessBegin,
    RunBegin,
    RunEnd,
    Series,
    SliceMembers,
    Touch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER_RUN, OTHER_EXECUTION = b"\x88" * 16, b"\x89" * 16
BEGIN = (
    RunBegin(at_ns=1, run=RUN, site="/site"),
    ExecutionBegin(at_ns=1, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
    ProcessBegin(at_ns=1, execution=EXECUTION, rank=3, host="node1"),
    Series(at_ns=1, id=1, execution=EXECUTION, name="loss"),
)


class Node:
    """A node store and what is sealed from it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "node.db"
        self.out = folder / "out"
        self.store = NodeStore(self.path)

    def commit(self, *journals: Journal) -> None:
        for journal in journals:
            self.store.append(journal.slices())
        self.store.commit()

    def seal(
        self, *, final: bool = False, run: bytes = RUN, publish: bool = True
    ) -> SealedPack | None:
        pack = seal(self.path, run, self.out, final=final, now_ns=77, cluster="c1", node="n1")
        if pack is not None and publish:
            self.store.mark_sealed(run, pack.upto, final=final, at_ns=100)
            self.store.commit()
        return pack

    def sealed(
        self, *, final: bool = False, run: bytes = RUN, publish: bool = True
    ) -> sqlite3.Connection:
        pack = self.seal(final=final, run=run, publish=publish)
        assert pack is not None
        return open_pack(pack.path)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return an empty node."""
    made = Node(tmp_path)
    yield made
    made.store.close()


def _points(journal: Journal, first: int, end: int) -> Journal:
    for step in range(first, end):
        journal.point(1, step * 0.5, step=step, at_ns=T0_NS + step)
    return journal


def test_a_pack_has_the_whole_run_and_nothing_of_another(node: Node) -> None:
    """Records, events with their artifacts, environments and values of one run; and its label."""
    mine = Journal().events(
        *BEGIN,
        Param(at_ns=2, execution=EXECUTION, key="lr", type="float", value=0.1),
        Fact(at_ns=2, subject=RUN, key="queue", type="str", value="q"),
        Fact(at_ns=2, subject=EXECUTION, key="note", type="str", value="n"),
        Environment(at_ns=2, execution=EXECUTION, document='{"python": "3.11"}'),
        Touch(at_ns=2, token=1, execution=EXECUTION, direction="input", kind="dataset", path="d"),
        Hashed(at_ns=3, token=1, digest="md5:00"),
        Touch(at_ns=2, token=2, execution=EXECUTION, direction="input", kind="d", path="half"),
        Hashed(at_ns=3, token=2, digest=slice_digest("{}")),
        SliceMembers(at_ns=2, execution=EXECUTION, digest=slice_digest("{}"), document="{}"),
        Link(at_ns=3, execution=EXECUTION, subject="md5:00", relation="contains", object="hdf5:0"),
        RunEnd(at_ns=9, run=RUN, status="completed", exit_code=0),
    )
    other = Journal(instance=b"\x0e" * 16).events(
        RunBegin(at_ns=1, run=OTHER_RUN),
        ExecutionBegin(at_ns=1, execution=OTHER_EXECUTION, run=OTHER_RUN, pipeline="p", stage="s"),
        Series(at_ns=1, id=1, execution=OTHER_EXECUTION, name="loss"),
        Fact(at_ns=2, subject=OTHER_RUN, key="queue", type="str", value="q"),
        Touch(at_ns=2, token=1, execution=OTHER_EXECUTION, direction="input", kind="d", path="d"),
        Hashed(at_ns=3, token=1, digest="md5:11"),
    )
    node.commit(_points(mine, 0, 10), _points(other, 0, 10))
    with closing(node.sealed()) as pack:
        counts = {
            name: pack.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for (name,) in pack.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
        label = pack.execute("SELECT * FROM pack").fetchall()
        digests = {digest for (digest,) in pack.execute("SELECT digest FROM artifact")}
        assert digests == {"md5:00", slice_digest("{}")}
    assert counts.pop("fact") == 2
    assert counts.pop("artifact") == counts.pop("event") == 2
    assert counts.pop("note") == 0, "nodes make none"
    assert [counts.pop(name) for name in ("energy", "energy_probe", "node_hardware")] == [0] * 3
    assert counts.pop("delivery") == 2, "one of the processes' node, one of the store's"
    assert counts.pop("execution_end") == counts.pop("process_state") == 0
    assert set(counts.values()) == {1}
    assert label == [(FORMAT, "cmfd 0.1.0", "c1", "n1", 77, 0, "")]


def _deliveries(pack: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return pack.execute(
        "SELECT node, at_ns, final, n_open, job_over FROM delivery ORDER BY node"
    ).fetchall()


def test_a_pack_that_says_little_is_small(node: Node) -> None:
    """A job of ten thousand nodes has ten thousand of them."""
    node.commit(Journal().events(*BEGIN).point(1, 0.5))
    pack = node.seal(final=True)

    assert pack is not None
    assert pack.path.stat().st_size < 60_000


def test_a_pack_says_whether_more_is_to_come_from_its_node(node: Node) -> None:
    """A checkpoint is not the last word; a pack made when no process is left is."""
    journals = [Journal(instance=bytes([n]) * 16, host="n1").events(*BEGIN) for n in (1, 2)]
    node.commit(*journals)
    with closing(node.sealed()) as pack:
        assert _deliveries(pack) == [("n1", 77, 0, 2, 0)]
    for journal in journals:
        node.store.end_instance(journal.instance, 50)
    node.store.commit()
    with closing(node.sealed(final=True)) as pack:
        assert _deliveries(pack) == [("n1", 77, 1, 0, 0)]


def test_a_process_that_came_late_makes_a_last_pack_none(node: Node) -> None:
    """Whoever asked for the last pack may not have known of it yet."""
    node.commit(Journal(host="n1").events(*BEGIN))
    with closing(node.sealed(final=True)) as pack:
        assert _deliveries(pack) == [("n1", 77, 0, 1, 0)]


def test_journals_of_several_nodes_are_delivered_for_each(node: Node) -> None:
    """A merge may be given the node directories of many; each stands for itself."""
    ended = Journal(instance=b"\1" * 16, host="n1").events(*BEGIN)
    node.commit(ended, Journal(instance=b"\2" * 16, host="n2").events(*BEGIN))
    node.store.end_instance(ended.instance, 50)
    node.store.commit()
    with closing(node.sealed(final=True)) as pack:
        assert _deliveries(pack) == [("n1", 77, 1, 0, 0), ("n2", 77, 0, 1, 0)]


def test_a_part_of_what_a_node_has_delivers_nothing(node: Node) -> None:
    """One journal of many, named by hand, does not make its node complete."""
    node.commit(Journal(host="n1").events(*BEGIN))
    made = seal(
        node.path, RUN, node.out, final=True, now_ns=77, cluster="c", node="n1", whole=False
    )
    assert made is not None
    with closing(open_pack(made.path)) as pack:
        assert _deliveries(pack) == []


def test_a_node_where_nothing_ran_can_say_that_the_job_is_over(node: Node) -> None:
    """The batch system gave it to the job, and a site waits for it."""
    node.commit(Journal(host="").events(RunBegin(at_ns=1, run=RUN)))
    made = seal(
        node.path, RUN, node.out, final=True, now_ns=77, cluster="c", node="n9", job_over=True
    )
    assert made is not None
    with closing(open_pack(made.path)) as pack:
        assert _deliveries(pack) == [("n9", 77, 1, 0, 1)]


def test_a_chunk_says_what_its_values_are(node: Node) -> None:
    """Count, extremes, sum, times, steps and the last value, without decoding."""
    journal = Journal().events(*BEGIN)
    for step, value in enumerate((2.0, float("nan"), -1.0)):
        journal.point(1, value, step=step + 10, at_ns=T0_NS - step)
    node.commit(journal)
    with closing(node.sealed()) as pack:
        (row,) = pack.execute("SELECT * FROM chunk").fetchall()
        values = chunks_of(pack)
    assert row[1:14] == (1, 2, 3, 1, 10, 12, T0_NS - 2, T0_NS, -1.0, 2.0, 1.0, 10, 2.0)
    assert [(time, step) for time, step, _ in values[journal.instance, 1, 2]] == [
        (T0_NS, 10), (T0_NS - 1, 11), (T0_NS - 2, 12),
    ]  # fmt: skip


def test_a_checkpoint_sends_only_blocks_that_got_something_new(node: Node) -> None:
    """Blocks that are published are not repeated; one that grew is sent whole."""
    journal = Journal(block_bytes=64 + 32 * 10).events(*BEGIN)
    node.commit(_points(journal, 0, 25))
    assert node.seal() is not None
    assert node.seal() is None
    assert node.seal() is None
    node.commit(_points(journal, 25, 33))
    with closing(node.sealed()) as pack:
        found = chunks_of(pack)
    by_block = {block: [step for _, step, _ in values] for (_, _, block), values in found.items()}
    assert sorted(map(tuple, by_block.values())) == [tuple(range(20, 30)), tuple(range(30, 33))]


def test_a_pack_that_was_not_published_is_made_again(node: Node) -> None:
    """Only `mark_sealed` makes something old."""
    node.commit(_points(Journal().events(*BEGIN), 0, 5))
    with closing(node.sealed(publish=False)) as pack:
        first = chunks_of(pack)
    with closing(node.sealed()) as pack:
        assert chunks_of(pack) == first


def test_what_comes_while_a_pack_is_published_is_in_the_next(node: Node) -> None:
    """A pack covers what was committed when it was sealed, not when it was published."""
    journal = Journal(block_bytes=64 + 32 * 10).events(*BEGIN)
    node.commit(_points(journal, 0, 5))
    pack = node.seal(publish=False)
    assert pack is not None
    node.commit(_points(journal, 5, 8))
    node.store.mark_sealed(RUN, pack.upto, final=False, at_ns=100)
    node.store.commit()
    assert node.store.unsealed_runs()[0].has_new
    with closing(node.sealed()) as db:
        (values,) = chunks_of(db).values()
    assert [step for _, step, _ in values] == list(range(8))


def test_a_run_is_finished_by_a_final_pack_and_begun_again_by_news(node: Node) -> None:
    """A final pack is made even if the last checkpoint had everything; then nothing is left."""
    journal = Journal().events(*BEGIN)
    node.commit(journal)
    assert node.seal() is not None
    (standing,) = node.store.unsealed_runs()
    assert (standing.run, standing.site, standing.uid) == (RUN, "/site", 1000)
    assert (standing.open_instances, standing.has_new) == (1, False)
    assert node.seal(final=True) is not None
    assert node.store.unsealed_runs() == []
    assert node.seal(final=True) is None
    node.commit(journal.events(Fact(at_ns=5, subject=RUN, key="k", type="int", value=1)))
    assert node.store.unsealed_runs()[0].has_new
    assert node.seal(final=True) is not None


def test_files_that_nobody_read_are_in_the_final_pack_by_their_place(node: Node) -> None:
    """A checkpoint waits for the digest; the end of the run does not."""
    touch = Touch(
        at_ns=2, token=1, execution=EXECUTION, direction="input", kind="dataset", path="d",
        absolute="/w/d", size_bytes=5, mtime_ns=6,
    )  # fmt: skip
    node.commit(Journal().events(*BEGIN, touch))
    query = "SELECT digest, problem, rank, size_bytes FROM event JOIN artifact USING (digest)"
    with closing(node.sealed()) as pack:
        assert pack.execute(query).fetchall() == []
    with closing(node.sealed(final=True)) as pack:
        (row,) = pack.execute(query).fetchall()
    assert row[0].startswith("stat:")
    assert row[1:] == (NOT_HASHED, 3, 5)


def test_a_site_shows_what_was_read_after_the_final_pack_in_place_of_the_place(
    node: Node, tmp_path: Path
) -> None:
    """In either order of the packs; content that nobody ever read stays shown by its place."""
    touches = [
        Touch(at_ns=2 + i, token=i, execution=EXECUTION, direction="input", kind="dataset",
              path="d", absolute="/w/d", size_bytes=i, mtime_ns=6)
        for i in (1, 2)
    ]  # fmt: skip
    journal = Journal().events(*BEGIN, *touches)
    node.commit(journal)
    packs: list[SealedPack] = []
    packs += filter(None, [node.seal(final=True)])
    node.commit(journal.events(Hashed(at_ns=9, token=1, digest="md5:ab", size_bytes=1)))
    packs += filter(None, [node.seal(final=True)])

    for order in (packs, packs[::-1]):
        with closing(SiteStore(tmp_path / f"{order[0].path.stem}.db")) as index:
            for pack in order:
                index.absorb(pack.path, pack.path.stem)
            with closing(connect(index.path, readonly=True)) as db:
                shown = db.execute("SELECT substr(digest, 1, 5), problem FROM events").fetchall()
        assert sorted(shown) == [("md5:a", ""), ("stat:", NOT_HASHED)]


def test_values_that_came_before_their_names_are_sealed_once_named(node: Node) -> None:
    """Also if another pack of the run was published in between."""
    early = _points(Journal(instance=b"\x0f" * 16), 0, 5)
    node.commit(early, Journal().events(*BEGIN))
    with closing(node.sealed()) as pack:
        assert chunks_of(pack) == {}
    node.commit(early.events(*BEGIN))
    with closing(node.sealed()) as pack:
        (values,) = chunks_of(pack).values()
    assert len(values) == 5


def test_values_of_an_execution_whose_run_is_named_late_are_sealed(node: Node) -> None:
    """Another process may be the one that says which run it is."""
    worker = Journal(instance=b"\x0f" * 16).events(BEGIN[3], BEGIN[2])
    node.commit(_points(worker, 0, 5))
    assert node.store.unsealed_runs() == []
    node.commit(Journal().events(*BEGIN[:2]))
    (standing,) = node.store.unsealed_runs()
    assert standing.open_instances == 2
    assert sorted(node.store.runs_of(worker.instance)) == [RUN]
    with closing(node.sealed()) as pack:
        (values,) = chunks_of(pack).values()
    assert len(values) == 5


def test_one_process_may_log_to_two_runs(node: Node) -> None:
    """A notebook that starts a run after another: each pack has its own series only."""
    journal = Journal().events(
        *BEGIN,
        RunBegin(at_ns=1, run=OTHER_RUN),
        ExecutionBegin(at_ns=1, execution=OTHER_EXECUTION, run=OTHER_RUN, pipeline="p", stage="s"),
        Series(at_ns=1, id=2, execution=OTHER_EXECUTION, name="loss"),
    )
    journal.point(1, 1.0).point(2, 2.0).point(2, 3.0)
    node.commit(journal)
    assert node.store.runs_of(journal.instance) == sorted([RUN, OTHER_RUN])
    with closing(node.sealed()) as pack:
        assert [key[1] for key in chunks_of(pack)] == [1]
    node.commit(journal.point(2, 4.0))
    (other,) = [found for found in node.store.unsealed_runs() if found.has_new]
    assert other.run == OTHER_RUN
    assert node.seal() is None
    with closing(node.sealed(run=OTHER_RUN)) as pack:
        ((key, values),) = chunks_of(pack).items()
    assert key[1] == 2
    assert len(values) == 3


def test_an_unknown_run_cannot_be_sealed(node: Node) -> None:
    """Asking for it is an error, and leaves nothing behind."""
    with pytest.raises(NotFoundError, match="knows no run"):
        node.seal(run=b"\0" * 16)
    assert list(node.out.iterdir()) == []


def test_a_pack_that_cannot_be_written_is_an_error_that_says_what_is_safe(node: Node) -> None:
    """The store has all of it, and no half pack is left."""
    node.commit(Journal().events(*BEGIN))
    node.out.write_text("this is no directory")
    with pytest.raises(StoreError, match="node store has all of it"):
        node.seal()
    assert node.store.unsealed_runs()[0].has_new


def test_sealing_does_not_stop_the_daemon_from_writing(node: Node) -> None:
    """The pack is the store at one moment, whatever is committed meanwhile."""
    journal = Journal(block_bytes=64 + 32 * 1000).events(*BEGIN)
    node.commit(_points(journal, 0, 10))
    with closing(sqlite3.connect(node.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM slice").fetchone()
        node.commit(_points(journal, 10, 20))
        assert node.store.figures.values == 20
    pack = node.seal()
    assert pack is not None
    assert [path.name for path in node.out.iterdir()] == [pack.path.name]


# -- purging -------------------------------------------------------------------------------------


def _counts(node: Node) -> dict[str, int]:
    content = content_of(node.path)
    return {name: len(found) for name, found in content.items() if found}


def test_only_published_runs_whose_processes_ended_are_purged(node: Node, tmp_path: Path) -> None:
    """An open process, an unpublished value or a recent pack keeps a run."""
    there = tmp_path / "journal.cmfj"
    there.write_bytes(b"")
    journal = _points(Journal(path=str(there)).events(*BEGIN), 0, 5)
    node.commit(journal)
    assert _purge(node, 10_000) == []
    node.seal(final=True)
    assert _purge(node, 10_000) == []
    node.store.end_instance(journal.instance, 50)
    node.store.commit()
    assert _purge(node, 99) == []
    assert _purge(node, 10_000) == [RUN]
    assert _counts(node) == {"committed": 2}
    there.unlink()
    assert _purge(node, 10_000) == []
    assert _counts(node) == {}


def _purge(node: Node, before_ns: int) -> list[bytes]:
    found = node.store.purge(before_ns)
    node.store.commit()
    return found


def test_a_purged_journal_that_comes_back_changes_nothing(node: Node, tmp_path: Path) -> None:
    """It is known to be committed, so it is neither stored nor published again."""
    there = tmp_path / "journal.cmfj"
    there.write_bytes(b"")
    journal = _points(Journal(path=str(there)).events(*BEGIN), 0, 5)
    node.commit(journal)
    node.seal(final=True)
    node.store.end_instance(journal.instance, 50)
    assert _purge(node, 10_000) == [RUN]
    node.commit(journal)
    assert node.store.unsealed_runs() == []
    assert _counts(node) == {"committed": 2}


def test_what_other_runs_use_is_not_purged(node: Node, tmp_path: Path) -> None:
    """Artifacts, environments and values of a process that serves another run stay."""
    shared: tuple[Any, ...] = (
        Touch(at_ns=2, token=1, execution=EXECUTION, direction="input", kind="d", path="d"),
        Hashed(at_ns=2, token=1, digest="md5:00"),
        Touch(at_ns=2, token=2, execution=OTHER_EXECUTION, direction="input", kind="d", path="d"),
        Hashed(at_ns=2, token=2, digest="md5:00"),
        Environment(at_ns=2, execution=EXECUTION, document="{}"),
        Environment(at_ns=2, execution=OTHER_EXECUTION, document="{}"),
        RunBegin(at_ns=1, run=OTHER_RUN),
        ExecutionBegin(at_ns=1, execution=OTHER_EXECUTION, run=OTHER_RUN, pipeline="p", stage="s"),
        Series(at_ns=1, id=2, execution=OTHER_EXECUTION, name="loss"),
    )
    journal = Journal(path=str(tmp_path / "gone")).events(*BEGIN, *shared)
    journal.point(1, 1.0).point(2, 2.0)
    node.commit(journal)
    node.seal(final=True)
    node.store.end_instance(journal.instance, 50)
    assert _purge(node, 10_000) == [RUN]
    with closing(node.sealed(run=OTHER_RUN, final=True)) as pack:
        assert [key[1] for key in chunks_of(pack)] == [2]
        assert pack.execute("SELECT count(*) FROM artifact, environment").fetchone() == (1,)
    assert _purge(node, 10_000) == [OTHER_RUN]
    assert _counts(node) == {}
