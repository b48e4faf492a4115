"""Energy in a node store: rows that grow, the ledger of each site, and what may be dropped."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.energy import BUCKET_NS, E_NS, a_node, a_probe, a_row
from support.journals import EXECUTION, RUN, Journal
from support.packs import an_id, small_run, write_pack

from cmfd.errors import PackError
from cmfd.merge.batch import merge_site
from cmfd.query import energy as questions
from cmfd.query.energy import Which
from cmfd.query.index import open_index
from cmfd.slurm.spool import JobNote
from cmfd.store.connection import connect
from cmfd.store.energy import NOBODY, EnergyRow, Measured
from cmfd.store.interpret import SealedPack, seal
from cmfd.store.jobs import JobWord
from cmfd.store.ledger import SealedLedger, seal_ledger
from cmfd.store.node import NodeStore
from cmfd.store.pack import open_pack
from cmfd.store.site import SiteStore
from cmfd.wire.messages import ExecutionBegin, RunBegin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = (
    RunBegin(at_ns=1, run=RUN, site="/site"),
    ExecutionBegin(at_ns=1, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
)
LONG_AFTER_NS = E_NS + 10 * questions.DAY_NS


class Node:
    """A node store, and what is sealed from it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "node" / "node.db"
        self.path.parent.mkdir()
        self.out = folder / "out"
        self.store = NodeStore(self.path)

    def measure(self, *rows: EnergyRow) -> None:
        self.store.add_energy(Measured(rows, (a_probe(),), (a_node(),)))
        self.store.commit()

    def seal(self, *, final: bool = False, apart: int | None = None) -> SealedPack | None:
        pack = seal(
            self.path, RUN, self.out, final=final, now_ns=77, cluster="c", node="n1", apart=apart
        )
        if pack is not None:
            self.store.mark_sealed(RUN, pack.upto, final=final, at_ns=E_NS)
            self.store.commit()
        return pack

    def ledger(self, site: str) -> SealedLedger | None:
        pack = seal_ledger(self.path, self.out, site=site, now_ns=77, cluster="c", node="n1")
        if pack is not None:
            self.store.mark_ledger_sealed(site, pack.upto, E_NS)
            self.store.commit()
        return pack

    def joules(self) -> list[tuple[str, int]]:
        with closing(connect(self.path, readonly=True)) as db:
            return db.execute("SELECT owner, uj FROM energy ORDER BY owner, t0_ns, uj").fetchall()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.store.close()


def mine(**columns: Any) -> EnergyRow:
    """Return a row of the run of these tests."""
    return a_row(**columns)._replace(run=RUN)


def rows_in(pack: SealedPack | SealedLedger | None) -> list[tuple[str, int]]:
    assert pack is not None
    with closing(open_pack(pack.path)) as db:
        return db.execute("SELECT owner, uj FROM energy ORDER BY owner, t0_ns, uj").fetchall()


def test_of_two_rows_with_one_key_the_one_that_covers_more_stays(node: Node) -> None:
    """In whatever order they come, and however often."""
    short, longer = mine(uj=5, dur_ns=BUCKET_NS // 2), mine(uj=9)
    node.measure(short)
    node.measure(longer, longer)
    node.measure(short)
    assert node.joules() == [("run", 9)]


def test_a_checkpoint_has_what_is_new_and_all_together_have_everything(
    node: Node, tmp_path: Path
) -> None:
    """A row that has grown since is in the next pack as well, and counts once."""
    node.store.append(Journal().events(*BEGIN).slices())
    node.measure(mine(uj=4), mine(uj=1, bucket=1, dur_ns=1))
    first = node.seal()
    assert rows_in(first) == [("run", 4), ("run", 1)]
    assert node.seal() is None
    node.measure(mine(uj=4), mine(uj=8, bucket=1), a_row(owner="idle", uj=3))
    second = node.seal(final=True)
    assert rows_in(second) == [("run", 8)]
    assert first is not None
    assert second is not None
    merge_site(tmp_path / "site", [second.path, first.path])
    with open_index(tmp_path / "site") as db:
        assert [row.uj for row in questions.rows(db)] == [4, 8]


def test_a_row_that_says_nothing_new_makes_no_run_new(node: Node) -> None:
    """A daemon that begins again writes some rows again."""
    node.store.append(Journal().events(*BEGIN).slices())
    node.measure(mine(uj=4))
    assert node.seal(final=True) is not None
    node.measure(mine(uj=4))
    assert [standing.has_new for standing in node.store.unsealed_runs()] == []
    node.measure(mine(uj=2, bucket=1))
    assert [standing.run for standing in node.store.unsealed_runs()] == [RUN]


def test_a_run_of_which_only_its_energy_is_known_is_sealed(node: Node) -> None:
    """A job may say nothing."""
    node.measure(mine(uj=4))
    assert rows_in(node.seal(final=True)) == [("run", 4)]


def test_each_site_gets_the_ledger_once(node: Node, tmp_path: Path) -> None:
    """With what is new for it, probes and hardware; no energy of runs."""
    node.measure(a_row(owner="idle", uj=3), a_row(owner="counter", uj=7), mine(uj=4))
    assert rows_in(node.ledger("/a")) == [("counter", 7), ("idle", 3)]
    assert node.ledger("/a") is None
    node.measure(a_row(owner="idle", uj=5, bucket=1))
    assert rows_in(node.ledger("/a")) == [("idle", 5)]
    node.store.mark_ledger_sealed("/a", 0, E_NS + 1)
    whole = node.ledger("/b")
    assert rows_in(whole) == [("counter", 7), ("idle", 3), ("idle", 5)]
    assert node.store.ledger_sites() == ["/a", "/b"]
    assert node.store.ledger_sites(E_NS + 1) == ["/a"]
    assert whole is not None
    merge_site(tmp_path / "site", [whole.path])
    with open_index(tmp_path / "site") as db:
        assert [probe.source for probe in questions.probes(db)] == ["rapl"]
        assert [known.node for known in questions.hardware(db)] == ["n1"]


def test_energy_goes_when_it_is_where_it_belongs(node: Node) -> None:
    """A run's with the run; the ledger's once every site that gets it has it."""
    node.store.append(Journal().events(*BEGIN).slices())
    node.store.end_instance(Journal().instance, 50)
    node.measure(a_row(owner="idle", uj=3), mine(uj=4))
    node.seal(final=True)
    node.ledger("/a")
    node.ledger("/b")
    node.measure(a_row(owner="system", uj=6))
    node.ledger("/a")
    node.store.purge(LONG_AFTER_NS)
    node.store.commit()
    assert node.joules() == [("system", 6)]
    node.store.purge(LONG_AFTER_NS + 40 * questions.DAY_NS)
    node.store.commit()
    assert node.joules() == [], "a site that is gone for a month keeps nothing"


def test_others_words_of_a_job_are_dropped_and_its_energy_is_kept(node: Node) -> None:
    """Nobody can make a counter's joules go away by speaking of a run first."""
    node.store.append(Journal().events(*BEGIN).slices())
    node.measure(mine(uj=4))
    note = JobNote(
        cluster="c", job="1", restart=0, user="ada", uid=4242, account="", partition="",
        nodes="n1", node="n1", time_us=1, component="", boot="",
    )  # fmt: skip
    node.store.announce(JobWord(RUN, note, ended=False, always=True))
    node.store.commit()
    assert node.joules() == [("run", 4)]


def test_a_user_without_a_right_to_a_run_has_its_energy_apart_too(node: Node) -> None:
    """What is of no execution stays of none."""
    node.store.append(Journal().events(*BEGIN).slices())
    node.measure(mine(uj=4))
    pack = node.seal(final=True, apart=7)
    assert pack is not None
    with closing(open_pack(pack.path)) as db:
        ((run, execution),) = db.execute("SELECT run, execution FROM energy").fetchall()
        assert db.execute("SELECT run FROM run").fetchall() == [(run,)]
    assert run != RUN
    assert execution == NOBODY


RUN_1 = an_id("run", 1)
IMPOSSIBLE: tuple[dict[str, Any], ...] = (
    {"owner": "idle"},
    {"owner": "system", "run": NOBODY, "execution": RUN_1},
    {"owner": "nobody", "run": NOBODY},
    {"run": NOBODY},
    {"component": "node"},
    {"component": "fan"},
    {"role": "guess"},
    {"grade": "F"},
    {"boot": b"1"},
    {"origin": b""},
    {"uj": -1, "static_uj": -1},
    {"uj": 10**16},
    {"static_uj": 10**10},
    {"covered_ns": 2 * BUCKET_NS},
    {"dur_ns": 2 * 10**18},
    {"cpu_ns": -1},
    {"t0_ns": -1},
)


@pytest.mark.parametrize("columns", IMPOSSIBLE, ids=str)
def test_what_a_site_would_refuse_is_not_stored(
    node: Node, tmp_path: Path, columns: dict[str, Any]
) -> None:
    """Both know the same: else a pack would be refused with all that a run logged."""
    row = a_row()._replace(**columns)
    node.measure(row, a_row(owner="idle", uj=1, static_uj=0))
    assert node.joules() == [("idle", 1)]
    pack = write_pack(tmp_path, small_run(1) | {"energy": [tuple(row)]})
    with closing(SiteStore(tmp_path / "index.db")) as index:
        with pytest.raises(PackError, match="foreign"):
            index.absorb(pack, pack.stem)
        assert index.ledger() == set()


def test_a_merge_takes_the_ledger_of_a_daemon_that_is_gone(node: Node, tmp_path: Path) -> None:
    """Also what it had published elsewhere; a second merge of it adds nothing."""
    node.store.append(Journal().events(*BEGIN).slices())
    node.measure(a_row(owner="idle", uj=3), a_row(owner="counter", uj=7), mine(uj=4))
    node.seal(final=True)
    node.ledger("/elsewhere")
    site = tmp_path / "site"
    assert merge_site(site, [node.path.parent]).absorbed == 2
    assert merge_site(site, [node.path.parent]).absorbed == 0
    with open_index(site) as db:
        (balance,) = questions.balances(db)
        assert (balance.counter_uj, balance.runs_uj, balance.idle_uj) == (7, 4, 3)
        assert list(questions.rows(db, Which(nodes=["n2"]))) == []


def test_who_reads_energy_remembers_with_what_it_stored(node: Node) -> None:
    """In one transaction: neither without the other."""
    assert node.store.energy_memory() == b""
    node.store.add_energy(Measured((mine(),)), b"there")
    node.store.rollback()
    assert (node.store.energy_memory(), node.joules()) == (b"", [])
    node.store.add_energy(Measured((mine(uj=1),)), b"here")
    node.store.commit()
    assert (node.store.energy_memory(), node.joules()) == (b"here", [("run", 1)])


def test_a_person_reads_energy_with_plain_names(node: Node) -> None:
    """In the node store itself: joules, seconds, ids in hexadecimal, and what is not sent yet."""
    node.measure(mine(uj=4_500_000), a_row(owner="idle", uj=2_000_000))
    node.ledger("/a")
    with closing(connect(node.path, readonly=True)) as db:
        rows = db.execute(
            "SELECT owner, run, energy_j, dur_s, has_unpublished FROM energy_rows ORDER BY owner"
        ).fetchall()
        assert rows == [("idle", None, 2.0, 60.0, 0), ("run", RUN.hex(), 4.5, 60.0, 1)]
        assert db.execute("SELECT source, status FROM energy_probes").fetchall() == [
            ("rapl", "available")
        ]


def test_energy_counts_for_whose_run_it_is(node: Node) -> None:
    """A user who has the daemon keep very much of it is full, as with metrics."""
    journal = Journal().events(*BEGIN)
    node.store.append(journal.slices())
    node.measure(*(mine(bucket=minute) for minute in range(100)), a_row(owner="idle"))
    assert set(node.store.bytes_by_uid()) == {journal.uid}
    assert node.store.bytes_by_uid()[journal.uid] >= 100 * 100


@pytest.mark.parametrize(
    "column",
    [
        "dur_ns",
        "at_ns",
        "uj",
        "static_uj",
        "cpu_ns",
        "covered_ns",
        "grade",
        "method",
        "flags",
        "origin",
    ],
)
def test_rows_that_differ_in_anything_have_one_winner(tmp_path: Path, column: str) -> None:
    """Whichever comes first: at a site, and in a node store."""
    one = mine(uj=100, static_uj=5, covered_ns=7)
    value = getattr(one, column)
    greater: dict[str, Any] = {"grade": "C", "method": "z", "origin": b"\xff" * 16}
    other = one._replace(**{column: greater.get(column) or value + 1})
    digests, kept = set(), set()
    packs = [
        write_pack(tmp_path, {"energy": [tuple(row)]}, sealed_ns=number)
        for number, row in enumerate((one, other))
    ]
    for number, order in enumerate(([0, 1], [1, 0])):
        with (
            closing(SiteStore(tmp_path / f"{number}.db")) as index,
            closing(NodeStore(tmp_path / f"node{number}.db")) as store,
        ):
            for which in order:
                index.absorb(packs[which], packs[which].stem)
                store.add_energy(Measured(((one, other)[which],)))
            store.commit()
            digests.add(index.digest())
        with closing(connect(tmp_path / f"node{number}.db")) as db:
            kept.add(db.execute(f"SELECT {column} FROM energy").fetchall()[0])
    assert len(digests) == 1
    assert kept == {(getattr(other, column),)}
