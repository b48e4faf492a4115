"""When the state has energy read, and who waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bench import OWN_UID, Bench, instance, of_type

from cmfd.daemon.effects import (
    Effect,
    Exit,
    FindJournals,
    LedgerMark,
    ReadEnergy,
    SealLedgers,
    StoreEnergy,
)
from cmfd.daemon.stimuli import (
    EnergyFailed,
    EnergyRead,
    EnergyStored,
    JobSeen,
    JobsFound,
    LedgersSealed,
    RunsSeen,
    StopAsked,
)
from cmfd.identity import run_of_job
from cmfd.slurm.spool import JobNote
from cmfd.store.energy import HardwareRow, Measured

if TYPE_CHECKING:
    from collections.abc import Callable

HARDWARE = HardwareRow(bytes(16), "n", 1, bytes(16), "", "", 1, 1, 1, 1, "[]")
SOMETHING = Measured(hardware=(HARDWARE,))
NOTE = JobNote(cluster="c", job="7", restart=0, uid=OWN_UID, node="node1", time_us=1)
RUN = run_of_job("c", "7", 0)


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    """Give a state of a service that has energy read."""
    return benches(energy=True, system=True, told_of_jobs=True)


def begin(bench: Bench) -> ReadEnergy:
    """Let a job begin; returns what is asked for."""
    (asked,) = of_type(bench.give(JobsFound((JobSeen("c_7_0", NOTE, ended=False),))), ReadEnergy)
    return asked


def end(bench: Bench) -> ReadEnergy:
    """Let it leave the node."""
    (asked,) = of_type(bench.give(JobsFound((JobSeen("c_7_0", NOTE, ended=True),))), ReadEnergy)
    return asked


def seen_whole(bench: Bench) -> list[Effect]:
    """Answer all looks at the runs: there is nothing to seal."""
    effects: list[Effect] = []
    while bench.state.runs._looking:
        effects += bench.give(RunsSeen(()))
    return effects


def test_it_is_looked_who_is_here_whenever_somebody_comes_or_goes(bench: Bench) -> None:
    """A job that begins, a process that says hello, a job that ends: each is a boundary."""
    asked = begin(bench)
    assert [(job.run, job.number) for job in asked.jobs] == [(RUN, "7")]
    assert asked.number == 0
    (asked,) = of_type(bench.hello(1), ReadEnergy)
    assert asked.processes == {instance(1): 4242}
    assert end(bench).jobs == ()


def test_a_run_is_sealed_when_its_energy_is_stored(bench: Bench) -> None:
    """Else its last pack would lack what it took at last."""
    begin(bench)
    asked = end(bench)
    assert asked.number == 1
    assert not of_type(bench.store(), FindJournals)
    (store,) = of_type(bench.give(EnergyRead(1, SOMETHING, b"m")), StoreEnergy)
    assert [reading.memory for reading in store.readings] == [b"m"]
    assert of_type(bench.give(EnergyStored(1)), FindJournals)


def test_a_counter_that_hangs_holds_up_nobody(bench: Bench) -> None:
    """After a while the run is sealed without it."""
    begin(bench)
    end(bench)
    bench.store()
    bench.until(FindJournals)


def test_what_cannot_be_stored_is_kept_and_tried_again(bench: Bench) -> None:
    """Nobody waits for it meanwhile."""
    begin(bench)
    end(bench)
    bench.store()
    bench.give(EnergyRead(1, SOMETHING, b"1"))
    assert of_type(bench.give(EnergyFailed(1, "no space")), FindJournals)
    (store,) = of_type(bench.give(EnergyRead(0, SOMETHING, b"2")), StoreEnergy)
    assert [reading.memory for reading in store.readings] == [b"1", b"2"]
    bench.give(EnergyStored(0))
    (store,) = of_type(bench.give(EnergyRead(0, SOMETHING, b"3")), StoreEnergy)
    assert [reading.memory for reading in store.readings] == [b"3"]


def test_without_energy_nothing_is_asked_for(benches: Callable[..., Bench]) -> None:
    """The setting `energy` is off."""
    bench = benches()
    assert not of_type(bench.hello(1), ReadEnergy)
    bench.give(StopAsked("test"))
    bench.until(Exit)


def test_a_daemon_that_ends_stores_and_publishes_what_it_counted(bench: Bench) -> None:
    """Sites that get the node's ledger get the rest of it; then it is over."""
    bench.give(EnergyRead(0, SOMETHING, b"m"))
    bench.give(EnergyStored(0))
    (asked,) = of_type(bench.give(StopAsked("test")), ReadEnergy)
    bench.give(EnergyRead(asked.number, SOMETHING, b"m"))
    bench.give(EnergyStored(asked.number))
    assert SealLedgers() in seen_whole(bench)
    bench.give(LedgersSealed((LedgerMark("/site", 3),)))
    commit = bench.commit()
    assert commit.ledgers == (LedgerMark("/site", 3),)
    ended = of_type([*bench.committed(commit), *seen_whole(bench)], Exit)
    assert [effect.reason for effect in ended] == ["stopped"]
