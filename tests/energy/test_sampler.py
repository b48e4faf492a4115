"""The sampler: whatever happens on a node, its energy is given away exactly once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.samples import EVENTS, NOON_NS, RANGE_UJ, SECOND_NS, Counter, FakeNode, Runner, happen

from cmfd.energy.idle import IdlePower, Known
from cmfd.energy.lives import Life, Window, parts_of
from cmfd.energy.presence import NOBODY, Allocation
from cmfd.energy.readings import Flag

if TYPE_CHECKING:
    from typing import Any

A, B = b"a" * 16, b"b" * 16
TRAIN, TEST = b"1" * 16, b"2" * 16


def tick(node: FakeNode, seconds: float = 5, watts: int = 100, *, looks: bool = True) -> None:
    """Let time pass at a power of all counters, and sample."""
    node.pass_time(round(seconds * SECOND_NS))
    for counter in node.counters:
        counter.move(round(watts * seconds * 1_000_000))
    node.sample(looks=looks)


def package() -> Counter:
    return Counter("rapl", "package-0", "cpu")


def test_two_jobs_share_by_what_they_had_and_used() -> None:
    """Static energy by cores, dynamic by processor time; the rest is idle and the system's."""
    node = FakeNode(package(), idle_uw={"cpu": 40_000_000})
    a = node.join(Runner(A, Allocation(cpus=2)))
    b = node.join(Runner(B, Allocation(cpus=4)))
    node.sample()
    a.use(3 * SECOND_NS)
    b.use(2 * SECOND_NS)
    node.busy_ns += 6 * SECOND_NS
    tick(node)
    node.store()

    assert node.uj("run", "cpu", A) == 50_000_000 + 150_000_000
    assert node.uj("run", "cpu", B) == 100_000_000 + 100_000_000
    assert node.uj("idle", "cpu") == 50_000_000
    assert node.uj("system", "cpu") == 50_000_000
    assert {row.method for row in node.rows if row.owner == "run"} == {"shared_static_dynamic"}
    assert {row.cpu_ns for row in node.rows if row.run == A} == {3 * SECOND_NS}
    node.check()


def test_the_power_when_idle_is_learned_while_nobody_is_there() -> None:
    """Until then nothing is called static, and rows say that it was not known."""
    node = FakeNode(package())
    node.join(Runner(A, Allocation(cpus=4)))
    node.sample()
    node.busy_ns += SECOND_NS
    tick(node)
    node.leave(A)
    node.store()
    for watts in (30, 30, 30, 32):
        tick(node, watts=watts)
    for watts in (25, 90):  # somebody whom nobody knows
        node.busy_ns += SECOND_NS
        tick(node, watts=watts)
    assert node.sampler.idle == {("cpu", ""): Known(30_000_000, 0, 3)}
    node.join(Runner(B, Allocation(cpus=4)))
    node.sample()
    tick(node, seconds=60)
    node.store()

    flags = {row.run: row.flags for row in node.rows if row.owner == "run"}
    assert flags == {A: Flag.IDLE_UNKNOWN, B: 0}
    (known,) = (row for row in node.rows if row.run == B)
    assert known.static_uj == 30 * 60 * 1_000_000 // 2
    node.check()


def test_a_power_when_idle_is_neither_an_outlier_nor_what_is_usual() -> None:
    """How far the usual is from it says how far it may be wrong; two readings say nothing."""
    idle = IdlePower()
    for watts in (1, 60):
        idle.see(watts * 5_000_000, 5 * SECOND_NS)
    assert idle.energy_uj(SECOND_NS) is None
    for watts in (40, 41, 42, 43, 44, 45, 46, 47, 48):
        idle.see(watts * 5_000_000, 5 * SECOND_NS)
    assert idle.known == Known(40_000_000, 4_000_000, 11)
    assert IdlePower(7, idle.seen_uw).known == Known(7)


def test_what_the_node_draws_beside_its_parts_is_other() -> None:
    """A node's counter includes what its parts count: nothing is added twice."""
    node = FakeNode(
        Counter("pm_counters", "node", "node", grade="A"), package(),
        Counter("rapl", "package-0/dram", "dram"),
    )  # fmt: skip
    node.sample()
    for counter, watts in zip(node.counters, (300, 120, 30), strict=True):
        counter.move(watts * 5_000_000)
    node.pass_time(5 * SECOND_NS)
    node.sample()
    node.store()
    counted = {name: node.uj("counter", name) for name in ("cpu", "dram", "other")}
    assert counted == {"cpu": 600_000_000, "dram": 150_000_000, "other": 750_000_000}
    assert {row.source for row in node.rows if row.component == "other"} == {"pm_counters"}


def test_parts_that_say_more_than_their_node_leave_no_other() -> None:
    """It is flagged, and made up for: in all, the node's counter is right."""
    node = FakeNode(Counter("bmc", "node", "node"), package())
    node.sample()
    for watts in ((90, 100), (150, 100)):
        node.pass_time(5 * SECOND_NS)
        for counter, each in zip(node.counters, watts, strict=True):
            counter.move(each * 5_000_000)
        node.sample()
    node.store()
    assert node.uj("counter", "other") == 200_000_000
    (other,) = (row for row in node.rows if (row.owner, row.component) == ("counter", "other"))
    assert other.flags & Flag.NEGATIVE_OTHER
    node.check()


def test_a_gpu_is_who_it_was_given_to() -> None:
    """Whole, whatever it was used for; of one that nobody has, the energy is idle."""
    node = FakeNode(*(Counter("nvml", f"GPU-{n}", "gpu") for n in range(3)))
    node.join(Runner(A, Allocation(cpus=1, gpus=(("GPU-0", 1000),))))
    node.join(Runner(B, Allocation(cpus=1, gpus=(("GPU-2", 1000),))))
    node.sample()
    tick(node)
    node.store()
    given = {(row.run, row.domain) for row in node.rows if row.owner == "run"}
    assert given == {(A, "GPU-0"), (B, "GPU-2")}
    assert {row.domain for row in node.rows if row.owner == "idle"} == {"GPU-1"}
    node.check()


def test_two_jobs_on_parts_of_one_gpu_share_it() -> None:
    """As with MIG: by how much of it each was given."""
    node = FakeNode(Counter("nvml", "GPU-0", "gpu"))
    node.join(Runner(A, Allocation(gpus=(("GPU-0", 571),))))
    node.join(Runner(B, Allocation(gpus=(("GPU-0", 143),))))
    node.sample()
    tick(node)
    node.store()
    assert node.uj("run", "gpu", A) == 285_500_000
    assert node.uj("run", "gpu", B) == 71_500_000
    node.check()


def test_memory_is_shared_by_bytes() -> None:
    """By what was allocated, and by what was used."""
    node = FakeNode(Counter("rapl", "dram", "dram"), idle_uw={"dram": 20_000_000})
    a = node.join(Runner(A, Allocation(memory_bytes=2 << 30), memory_bytes=1 << 30))
    assert a.memory_bytes
    node.used_bytes = 4 << 30
    node.sample()
    tick(node)
    node.store()
    assert node.uj("run", "dram", A) == 25_000_000 + 100_000_000
    node.check()


def test_executions_have_parts_of_their_run() -> None:
    """By processor time, never on top of the run; what was none's stays with the run."""
    node = FakeNode(package(), idle_uw={"cpu": 40_000_000})
    a = node.join(Runner(A, Allocation(cpus=8), executions={TRAIN: 0, TEST: 0}))
    node.sample()
    a.use(4 * SECOND_NS, TRAIN)
    a.use(1 * SECOND_NS, TEST)
    a.use(1 * SECOND_NS)
    node.busy_ns += 6 * SECOND_NS
    tick(node)
    node.store()
    parts = {
        row.execution: (row.static_uj, row.uj, row.method) for row in node.rows if row.run == A
    }
    assert parts == {
        TRAIN: (100_000_000, 300_000_000, "rank_pids"),
        TEST: (100_000_000, 150_000_000, "rank_pids"),
        NOBODY: (0, 50_000_000, "shared_static_dynamic"),
    }
    node.check()


def life(
    execution: bytes, began_s: float, ended_s: float | None, cpu_s: float | None, *,
    instance: bytes = b"p" * 16, outer: bytes = NOBODY, wraps: bool = False,
) -> Life:  # fmt: skip
    """Say when an execution of A ran, from noon on."""
    began_ns, ended_ns = (
        None if at_s is None else NOON_NS + round(at_s * SECOND_NS) for at_s in (began_s, ended_s)
    )
    assert began_ns is not None
    cpu_ns = None if cpu_s is None else round(cpu_s * SECOND_NS)
    return Life(instance, A, execution, outer, began_ns, ended_ns, cpu_ns, wraps)


def joules_of(node: FakeNode) -> dict[bytes, float]:
    """Return the joules of A's executions, and of A beside them."""
    joules: dict[bytes, float] = {}
    for row in node.rows:
        if row.owner == "run" and row.run == A:
            joules[row.execution] = joules.get(row.execution, 0) + row.uj / 1e6
    return joules


def test_executions_between_two_readings_have_their_part() -> None:
    """A loop of ten of 0.2 s: each has what its processor time is worth, the rest is the run's."""
    node = FakeNode(package(), idle_uw={"cpu": 40_000_000})
    a = node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    each = [bytes([n]) * 16 for n in range(1, 11)]
    a.lives = [life(e, 0.5 + n / 4, 0.7 + n / 4, 0.1) for n, e in enumerate(each)]
    a.use(4 * SECOND_NS)
    node.busy_ns += 4 * SECOND_NS
    tick(node)
    node.store()
    # static: 200 J for 5 s, of which 0.2 s each; dynamic: 300 J for 4 s of processor time
    assert joules_of(node) == {**dict.fromkeys(each, 8 + 7.5), NOBODY: 120 + 225}
    assert {row.cpu_ns for row in node.rows if row.execution in each} == {SECOND_NS // 10}
    node.check()


def test_an_execution_that_goes_on_has_one_row_of_a_bucket() -> None:
    """Of all its time there, whether it was divided at once or reading by reading."""
    node = FakeNode(package(), idle_uw={"cpu": 40_000_000})
    a = node.join(Runner(A, Allocation(cpus=8, exclusive=True), executions={TRAIN: 0}))
    node.sample()
    for _ in range(4):
        a.use(3 * SECOND_NS, TRAIN)
        a.use(1 * SECOND_NS)
        node.busy_ns += 4 * SECOND_NS
        tick(node)
    node.store()
    assert joules_of(node) == {TRAIN: 4 * (200 + 225), NOBODY: 4 * 75}
    (row,) = (row for row in node.rows if row.execution == TRAIN)
    assert (row.dur_ns, row.covered_ns, row.cpu_ns) == tuple(s * SECOND_NS for s in (20, 20, 12))
    node.check()


def steady(every: int) -> dict[bytes, tuple[int, int]]:
    """Return what executions have that went on for two minutes and a half, and how long."""
    node = FakeNode(package(), Counter("rapl", "package-0/dram", "dram"), idle_uw={"cpu": 10**7})
    node.pass_time(60 * SECOND_NS - NOON_NS % (60 * SECOND_NS))  # a bucket begins
    a = node.join(Runner(A, Allocation(cpus=2), executions={TRAIN: 0, TEST: 0}))
    node.join(Runner(B, Allocation(cpus=4), executions={b"3" * 16: 0}))
    node.sample()
    for number in range(1, 31):
        a.use(number * SECOND_NS // 9, TRAIN)
        a.use(SECOND_NS // 7, TEST)
        node.busy_ns += number * SECOND_NS // 3
        tick(node, watts=70 + number, looks=number % every == 0)
        if number % 12 == 0:
            node.store()
    node.store()
    node.check()
    return {
        key: (sum(row.uj for row in rows), sum(row.cpu_ns for row in rows))
        for key in (TRAIN, TEST, NOBODY)
        if (rows := [row for row in node.rows if row.run == A and row.execution == key])
    }


def test_processes_need_not_be_looked_at_each_time() -> None:
    """What executions are given is the same, while nobody comes or goes."""
    assert steady(1) == steady(3)


def test_what_is_divided_before_the_end_of_an_execution_is_told_is_divided_anew() -> None:
    """It was stored as of one that goes on; two seconds later it has said that it ended."""
    node = FakeNode(package())
    a = node.join(Runner(A, Allocation(cpus=4), executions={TRAIN: 0, TEST: 0}))
    node.sample()
    for _ in range(4):
        a.use(SECOND_NS, TRAIN)
        a.use(SECOND_NS, TEST)
        node.busy_ns += 2 * SECOND_NS
        tick(node)
    node.store()
    assert had(node, TEST) == 1_000_000_000
    used_ns = a.executions.pop(TEST)
    ended_ns = node.utc_ns - SECOND_NS
    a.lives.append(Life(TEST, A, TEST, NOBODY, 0, ended_ns, used_ns))
    node.sample()
    node.store()
    assert 0 < had(node, TEST) != 1_000_000_000
    node.check()


def had(node: FakeNode, execution: bytes) -> int:
    return sum(row.uj for row in node.rows if row.execution == execution)


def test_what_an_execution_says_late_is_moved_to_it() -> None:
    """Its records come after its energy was stored: rows of the run change, not their sum."""
    node = FakeNode(package())
    a = node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    a.use(4 * SECOND_NS)
    node.busy_ns += 4 * SECOND_NS
    tick(node)
    node.store()
    assert joules_of(node) == {NOBODY: 500}
    a.lives = [life(TRAIN, 1, 2, 1)]
    node.store()
    assert joules_of(node) == {TRAIN: 125, NOBODY: 375}
    assert not node.store()
    tick(node, seconds=60)
    node.store()
    a.lives = [life(TRAIN, 1, 2, 3)]
    assert not node.store()  # too late by far
    node.check()


def test_of_an_execution_around_another_is_what_is_beside_it() -> None:
    """In one process, the one that began last runs; nothing counts for both."""
    node = FakeNode(package(), idle_uw={"cpu": 0})
    a = node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    a.lives = [life(TRAIN, 0, 5, 4), life(TEST, 1, 2, 3, outer=TRAIN)]
    a.use(5 * SECOND_NS)
    node.busy_ns += 5 * SECOND_NS
    tick(node)
    node.store()
    assert joules_of(node) == {TRAIN: 100, TEST: 300, NOBODY: 100}


def test_what_waits_beside_a_program_takes_nothing_of_it() -> None:
    """`cmfd run` says the time of the program that it ran, which says it too."""
    node = FakeNode(package())
    a = node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    a.lives = [
        life(TRAIN, 0, 4, 4, instance=b"w" * 16, wraps=True),
        life(TEST, 1, 3, 3, outer=TRAIN),
    ]
    a.use(4 * SECOND_NS)
    node.busy_ns += 4 * SECOND_NS
    tick(node)
    node.store()
    assert joules_of(node) == {TRAIN: 125, TEST: 375}


@pytest.mark.slow
def test_dividing_among_many_programs_takes_no_more_for_each() -> None:
    """Thousands of short programs between two readings cost the node little."""
    keys = [n.to_bytes(16, "big") for n in range(1, 10_001)]
    lives = [
        life(key, 0, 1, 1, instance=key + who, wraps=who == b"w")
        for key in keys
        for who in (b"w", b"p")
    ]
    began_s = time.process_time()
    found = parts_of((Window(NOON_NS, NOON_NS + SECOND_NS, {}),), lives, 10**4 * SECOND_NS)
    assert time.process_time() - began_s < 5
    assert set(map(found.uses.__getitem__, keys)) == {SECOND_NS}


def test_processes_cannot_say_more_than_their_run_used() -> None:
    """A program may write what it likes in its journal: it is divided within its run only."""
    node = FakeNode(package())
    a = node.join(Runner(A, Allocation(cpus=4)))
    node.sample()
    a.lives = [life(TRAIN, 0, 5, 1e9), life(TEST, -1e9, 5, 1e9, instance=b"q" * 16)]
    a.use(2 * SECOND_NS)
    node.busy_ns += 4 * SECOND_NS
    tick(node)
    node.store()
    assert sum(joules_of(node).values()) == 250
    assert sum(row.cpu_ns for row in node.rows if row.run == A) == 2 * SECOND_NS
    node.check()


def test_a_job_that_comes_and_goes_within_a_bucket() -> None:
    """It is given what was drawn while it was there."""
    node = FakeNode(package())
    node.sample()
    tick(node, 10)
    a = node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    a.use(SECOND_NS)
    tick(node, 20)
    node.leave(A)
    node.sample()
    tick(node, 10)
    node.store()
    assert node.uj("run", "cpu", A) == 2_000_000_000
    assert node.uj("idle", "cpu") == 2_000_000_000
    (row,) = (row for row in node.rows if row.run == A)
    assert (row.t0_ns, row.dur_ns, row.method) == (
        NOON_NS + 10 * SECOND_NS, 20 * SECOND_NS, "exclusive"
    )  # fmt: skip


def test_a_counter_that_stands_still_is_split_by_who_was_there_meanwhile() -> None:
    """Some are renewed rarely: a job that was there for half of the time has half."""
    node = FakeNode(package())
    node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    (counter,) = node.counters
    counter.status = "stale"
    node.pass_time(5 * SECOND_NS)
    node.busy_ns += 1000
    node.leave(A)
    node.sample()
    node.pass_time(5 * SECOND_NS)
    node.busy_ns += 1000
    counter.status = "ok"
    counter.move(600)
    node.sample()
    node.store()
    assert (node.uj("run", "cpu", A), node.uj("idle", "cpu")) == (300, 300)


def test_a_row_grows_while_its_bucket_lasts() -> None:
    """It is stored whole each time: stored twice, it counts once."""
    node = FakeNode(package(), bucket_s=60)
    node.sample()
    first = []
    for _ in range(3):
        tick(node)
        first.append(node.store())
    assert [[row.dur_ns // SECOND_NS for row in rows if row.owner == "idle"] for rows in first] == [
        [5], [10], [15],
    ]  # fmt: skip
    for _ in range(20):
        tick(node)
        node.store()
    starts = sorted(row.t0_ns for row in node.rows if row.owner == "idle")
    assert starts[0] == NOON_NS
    assert len(starts) == 1 + (NOON_NS + 115 * SECOND_NS) // (60 * SECOND_NS) - NOON_NS // (
        60 * SECOND_NS
    )
    node.check()


def test_no_bucket_is_of_two_days() -> None:
    """However long it is: on each day, shares add up to what the counter moved."""
    node = FakeNode(package(), bucket_s=7)
    day_ns = 86_400 * SECOND_NS
    node.pass_time(day_ns - node.utc_ns % day_ns - 2 * SECOND_NS)
    node.sample()
    tick(node, seconds=2)
    node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    tick(node, seconds=2)
    node.store()
    days = {owner: {row.t0_ns // day_ns for row in node.rows if row.owner == owner}
            for owner in ("counter", "idle", "run")}  # fmt: skip
    first, second = sorted(days["counter"])
    assert days == {"counter": {first, second}, "idle": {first}, "run": {second}}
    node.check()


def test_a_daemon_that_begins_anew_goes_on_from_the_counters() -> None:
    """What they moved meanwhile is of who is there, by what they use from then on."""
    node = FakeNode(package())
    a = node.join(Runner(A, Allocation(cpus=4)))
    b = node.join(Runner(B, Allocation(cpus=4)))
    node.sample()
    tick(node)
    node.store()
    tick(node)  # this one is not stored
    node.restart()
    tick(node)
    a.use(3 * SECOND_NS)
    b.use(1 * SECOND_NS)
    node.busy_ns += 4 * SECOND_NS
    tick(node)
    node.store()
    assert node.uj("counter", "cpu") == node.counters[0].moved == 2_000_000_000
    runs = [node.uj("run", "cpu", run) for run in (A, B)]
    assert runs == [250_000_000 + 1_125_000_000, 250_000_000 + 375_000_000]
    node.check()


def test_what_counters_moved_in_a_long_gap_is_missing_not_guessed() -> None:
    """Nobody knows who was there."""
    node = FakeNode(package())
    node.sample()
    tick(node)
    node.store()
    node.pass_time(3600 * SECOND_NS)
    node.counters[0].move(10**12)
    node.restart()
    node.sample()
    tick(node)
    node.store()
    assert node.uj("counter", "cpu") == 1_000_000_000
    (gap,) = (row for row in node.rows if row.grade == "M")
    assert (gap.dur_ns, gap.covered_ns, gap.uj) == (3600 * SECOND_NS, 0, 0)


def test_a_counter_that_is_read_late_after_a_restart_begins_anew() -> None:
    """A controller answers some seconds later; nobody could be given what it moved until then."""
    node = FakeNode(package())
    node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    tick(node)
    node.store()
    (late,) = node.counters
    node.counters = []
    node.restart()
    tick(node)
    node.counters = [late]
    tick(node)
    tick(node)
    node.store()
    assert node.uj("counter", "cpu") == node.uj("run", "cpu", A) == 1_000_000_000
    node.check()


def test_a_counter_that_was_gone_says_nothing_of_who_was_there_then() -> None:
    """That time is missing, and what it moves afterwards is of those who are there."""
    node = FakeNode(package())
    node.join(Runner(A, Allocation(cpus=8, exclusive=True)))
    node.sample()
    tick(node)
    node.counters[0].status = "gone"
    tick(node, 40)
    node.leave(A)
    node.join(Runner(B, Allocation(cpus=8, exclusive=True)))
    node.sample()
    node.counters[0].status = "ok"
    tick(node)
    tick(node)
    node.store()
    assert [node.uj("run", "cpu", run) for run in (A, B)] == [500_000_000, 500_000_000]
    (gap,) = (row for row in node.rows if row.grade == "M")
    assert (gap.dur_ns, gap.covered_ns, gap.uj) == (45 * SECOND_NS, 0, 0)
    node.check()


def test_parts_of_a_time_without_the_node_s_counter_are_no_debt() -> None:
    """Only what the node's counter saw is in it."""
    node = FakeNode(Counter("bmc", "node", "node"), package())
    for status in ("ok", "gone", "gone", "ok", "ok", "reset", "ok"):
        node.counters[0].status = status
        node.pass_time(5 * SECOND_NS)
        for counter, watts in zip(node.counters, (300, 100), strict=True):
            counter.move(watts * 5_000_000)
        node.sample()
    node.store()
    assert node.uj("counter", "other") == 2 * 1_000_000_000
    assert not any(row.flags & Flag.NEGATIVE_OTHER for row in node.rows)
    node.check()


def test_checks_are_added_to_nothing() -> None:
    """Another source's figures stand beside, to compare with."""
    node = FakeNode(package(), Counter("pm_counters", "node", "node", role="check"))
    node.sample()
    tick(node)
    node.store()
    (check,) = (row for row in node.rows if row.role == "check")
    assert (check.owner, check.component, check.uj) == ("counter", "node", 500_000_000)
    assert {row.component for row in node.rows if row.role == "count"} == {"cpu"}


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(st.lists(EVENTS, max_size=60), st.none() | st.just({"cpu": 20_000_000}))
def test_whatever_happens_energy_is_given_away_exactly_once(
    events: list[tuple[str, Any, Any]], idle_uw: dict[str, int] | None
) -> None:
    """
    Law: per component, runs, idle time and the system add up to the counter.

    And without resets and silences, the counter's rows are what it moved.
    """
    node = FakeNode(
        Counter("pm_counters", "node", "node", grade="A"),
        Counter("rapl", "package-0", "cpu", value=RANGE_UJ - 10**7, range_uj=RANGE_UJ),
        Counter("nvml", "GPU-0", "gpu"),
        idle_uw=idle_uw,
    )  # fmt: skip
    node.sample()
    node.store()
    disturbed = False
    for what, first, second in events:
        disturbed |= what == "reset" or second == "denied"
        happen(node, what, first, second)
    for counter in node.counters:
        counter.status = "ok"
    for _ in range(2):
        node.pass_time(SECOND_NS)
        node.sample()
    replay = node.rows
    node.store()
    node.check()
    if not disturbed:
        cpu, gpu = (node.uj("counter", name) for name in ("cpu", "gpu"))
        assert [cpu, gpu] == [counter.moved for counter in node.counters[1:]]
        owed = node.memory.parts_uj if node.memory is not None else 0
        assert cpu + gpu + node.uj("counter", "other") == node.counters[0].moved + owed
    assert all(node.stored[row[:7] + row[13:14]].dur_ns >= row.dur_ns for row in replay)
