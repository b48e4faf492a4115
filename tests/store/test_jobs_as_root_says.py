"""Whose the run of a job is: root's word, in a node store."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from support.journals import T0_NS, Journal

from cmfd.identity import execution_id, run_of_job
from cmfd.slurm.spool import JobNote
from cmfd.slurm.tasks import Task
from cmfd.store.connection import connect
from cmfd.store.interpret import seal
from cmfd.store.jobs import JobWord
from cmfd.store.node import NodeStore
from cmfd.wire.messages import ExecutionBegin, Param, ProcessBegin, RunBegin, Series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALICE, BOB = 2001, 2002
RUN, HIS = run_of_job("c", "7", 0), run_of_job("c", "8", 0)
EXECUTION = execution_id(RUN, "slurm:0", "p", "s", 0)
NOTE = JobNote(
    cluster="c", job="7", restart=0, uid=ALICE, user="alice", account="chem", nodes="n[1-2]",
    node="n1", time_us=T0_NS // 1000 - 5_000_000,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NodeStore]:
    """Open a node store."""
    with closing(NodeStore(tmp_path / "node.db")) as opened:
        yield opened


def says(
    uid: int, run: bytes = RUN, value: str = "", execution: bytes = EXECUTION, at_ns: int = T0_NS
) -> Journal:
    """Return the journal of a process of a user, in a run and an execution."""
    journal = Journal(uid.to_bytes(16, "big"), uid=uid)
    journal.events(
        RunBegin(at_ns=at_ns, run=run, user=f"u{uid}", name="mine"),
        ExecutionBegin(at_ns=T0_NS, execution=execution, run=run, pipeline="p", stage="s"),
        ProcessBegin(at_ns=T0_NS, execution=execution, host="n1"),
        Series(at_ns=T0_NS, id=1, execution=execution, name="loss"),
        Param(at_ns=T0_NS, execution=execution, key="by", type="str", value=value or str(uid)),
    )
    return journal.point(1, 0.5)


def take(store: NodeStore, journal: Journal) -> None:
    """Commit a journal."""
    store.append(journal.slices())
    store.commit()


def tell(
    store: NodeStore, note: JobNote = NOTE, *, ended: bool = False, always: bool = True
) -> None:
    """Take root's word."""
    run = run_of_job(note.cluster, note.job, note.restart)
    store.announce(JobWord(run, note, ended, always))
    store.commit()


def asked(tmp_path: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the store."""
    with closing(connect(tmp_path / "node.db", readonly=True)) as db:
        return db.execute(query).fetchall()


def test_when_tasks_ran_is_a_fact_of_the_run_by_node(store: NodeStore, tmp_path: Path) -> None:
    """Nodes do not replace each other's."""
    for node in ("n1", "n2"):
        note = structs.replace(NOTE, node=node)
        store.announce(JobWord(RUN, note, ended=True, always=True, tasks=(Task("0", 3, 1, 2),)))
        store.commit()

    found = asked(tmp_path, "SELECT key, value FROM fact WHERE key LIKE 'slurm.tasks.%'")
    value = '[{"step":"0","task":3,"began_ns":1,"ended_ns":2}]'
    assert sorted(found) == [(f"slurm.tasks.{node}", value) for node in ("n1", "n2")]


def test_what_another_said_before_root_did_is_dropped(store: NodeStore, tmp_path: Path) -> None:
    """He can work out the run's id, and its execution's; nothing of the owner's suffers for it."""
    take(store, says(BOB))
    tell(store)
    take(store, says(ALICE))

    assert asked(tmp_path, "SELECT uid, name FROM run") == [(ALICE, "mine")]
    assert asked(tmp_path, "SELECT value FROM param") == [(str(ALICE),)]
    assert asked(tmp_path, "SELECT count(*) FROM series") == [(1,)]


def test_what_another_says_afterwards_is_refused(store: NodeStore, tmp_path: Path) -> None:
    """And counted."""
    tell(store)
    take(store, says(ALICE))
    take(store, says(BOB))

    assert asked(tmp_path, "SELECT value FROM param") == [(str(ALICE),)]
    assert store.figures.refused > 0


def test_an_execution_of_a_job_is_taken_from_who_has_no_job_for_it(
    store: NodeStore, tmp_path: Path
) -> None:
    """He said that it was of a run of his own."""
    take(store, says(BOB, run=b"\x07" * 16))
    tell(store)
    take(store, says(ALICE))

    assert asked(tmp_path, "SELECT value FROM param") == [(str(ALICE),)]
    assert asked(tmp_path, "SELECT run FROM execution") == [(RUN,)]


def test_who_has_a_job_takes_nothing_from_another_who_has_one(
    store: NodeStore, tmp_path: Path
) -> None:
    """Both are root's word; who was first stays."""
    tell(store)
    tell(store, structs.replace(NOTE, job="8", uid=BOB))
    take(store, says(ALICE))
    take(store, says(BOB, run=HIS))

    assert asked(tmp_path, "SELECT value FROM param") == [(str(ALICE),)]


def test_what_root_said_first_for_a_user_becomes_his(store: NodeStore, tmp_path: Path) -> None:
    """Root may speak for everybody, and owns nothing by it."""
    take(store, says(0, value="root"))
    tell(store)
    take(store, says(ALICE, value="alice"))

    assert {value for (value,) in asked(tmp_path, "SELECT value FROM param")} == {"root", "alice"}


def test_root_s_word_said_again_changes_nothing(store: NodeStore, tmp_path: Path) -> None:
    """It is, at each start of the daemon; nothing is published again for it."""
    tell(store)
    tell(store, ended=True)
    packs = tmp_path / "packs"
    sealed = seal(
        tmp_path / "node.db",
        RUN,
        packs,
        final=True,
        now_ns=1,
        cluster="c",
        node="n1",
        job_over=True,
    )
    assert sealed is not None
    store.mark_sealed(RUN, sealed.upto, final=True, at_ns=1)
    store.commit()
    tell(store)
    tell(store, ended=True)

    assert store.unsealed_runs() == []


def test_what_processes_say_of_their_run_counts_more_than_what_root_does(
    store: NodeStore, tmp_path: Path
) -> None:
    """Root knows neither its name nor its command."""
    tell(store)
    take(store, says(ALICE, at_ns=T0_NS + 900_000))
    tell(store, structs.replace(NOTE, time_us=T0_NS // 1000 + 901), ended=True)

    assert asked(tmp_path, "SELECT name, user FROM run") == [("mine", f"u{ALICE}")]
    facts = asked(tmp_path, "SELECT key, value FROM fact ORDER BY key")
    assert facts == [("slurm.account", "chem"), ("slurm.node_list", "n[1-2]")]


@pytest.mark.parametrize("logs", [True, False])
def test_a_job_that_says_nothing_may_be_left_out(
    store: NodeStore, tmp_path: Path, *, logs: bool
) -> None:
    """One that does say something is known with what root says of it."""
    tell(store, always=False)
    if logs:
        take(store, says(ALICE))
    tell(store, always=False, ended=True)

    assert len(store.unsealed_runs()) == logs
    assert bool(asked(tmp_path, "SELECT 1 FROM fact")) == logs


def test_only_what_is_published_goes_of_who_has_no_room(store: NodeStore) -> None:
    """Others' stays as long as it is meant to."""
    for note, uid in ((NOTE, ALICE), (structs.replace(NOTE, job="8", uid=BOB), BOB)):
        tell(store, note)
        run = run_of_job("c", note.job, 0)
        execution = execution_id(run, "", "p", "s", 0)
        take(store, says(uid, run, execution=execution))
        store.end_instance(uid.to_bytes(16, "big"), T0_NS)
        store.mark_sealed(run, 1 << 40, final=True, at_ns=T0_NS)
    store.commit()
    assert set(store.bytes_by_uid()) == {ALICE, BOB}

    assert store.purge(0, [ALICE]) == [RUN]
    store.commit()
    assert set(store.bytes_by_uid()) == {BOB}
