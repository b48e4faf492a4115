"""A node in a few lines: counters that move, wrap and stand still, jobs that come and go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from cmfd.energy.lives import Life
from cmfd.energy.presence import NOBODY, Allocation, Measured, Row, Sample, Work
from cmfd.energy.readings import Reading
from cmfd.energy.sampler import Memory, Sampler
from cmfd.energy.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.energy.presence import Role
    from cmfd.energy.readings import Component, Grade, ReadingStatus

SECOND_NS = 1_000_000_000
NOON_NS = 1_780_000_000 * SECOND_NS
"""A time of day at which a bucket of a minute begins, or nearly."""
BOOT = "5e0bb8c6-b3f1-4d0c-9a4a-1d5cbb6c9d1f"


@dataclass
class Counter:
    """One domain."""

    source: str
    domain: str
    component: Component
    value: int = 0
    range_uj: int | None = None
    grade: Grade = "B"
    role: Role = "count"
    status: ReadingStatus = "ok"
    moved: int = 0
    """All that it ever moved."""

    def move(self, uj: int) -> None:
        self.moved += uj
        self.value += uj
        if self.range_uj is not None:
            self.value %= self.range_uj

    def measured(self, boot_ns: int) -> Measured:
        value = self.value if self.status in {"ok", "reset", "stale"} else 0
        reading = Reading(
            self.domain, self.component, "counter", value, self.range_uj, boot_ns, self.status
        )
        return Measured(self.source, self.grade, self.role, reading)


@dataclass
class Runner:
    """One run on the node."""

    run: bytes
    allocation: Allocation = field(default_factory=Allocation)
    cpu_ns: int = 0
    memory_bytes: int | None = None
    executions: dict[bytes, int] = field(default_factory=dict)
    """What the one process of each that goes on has used."""
    lives: list[Life] = field(default_factory=list)
    """Of executions beside these."""

    def all_lives(self) -> Iterator[Life]:
        yield from self.lives
        for execution in self.executions:
            yield Life(execution, self.run, execution, NOBODY, 0, None, None)

    def use(self, cpu_ns: int, execution: bytes | None = None) -> None:
        self.cpu_ns += cpu_ns
        if execution is not None:
            self.executions[execution] += cpu_ns


class FakeNode:
    """A node with a sampler, whose rows are stored as a node store does."""

    def __init__(
        self, *counters: Counter, cpus: int = 8, memory_bytes: int = 8 << 30, bucket_s: int = 60,
        idle_uw: dict[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.counters = list(counters)
        self.cpus, self.memory_bytes = cpus, memory_bytes
        self.bucket_ns = bucket_s * SECOND_NS
        self.idle_uw = idle_uw
        self.boot_ns, self.utc_ns = 1000 * SECOND_NS, NOON_NS
        self.busy_ns, self.used_bytes = 0, 1 << 30
        self.runners: dict[bytes, Runner] = {}
        self.gone: dict[bytes, Runner] = {}
        self.known: list[Life] = []
        self.stored: dict[tuple[object, ...], Row] = {}
        self.memory: Memory | None = None
        self.sampler = self.new_sampler()

    def new_sampler(self) -> Sampler:
        return Sampler(
            BOOT, self.cpus, self.memory_bytes, self.bucket_ns,
            idle_uw=self.idle_uw, memory=self.memory,
        )  # fmt: skip

    def pass_time(self, dur_ns: int) -> None:
        self.boot_ns += dur_ns
        self.utc_ns += dur_ns

    def join(self, runner: Runner) -> Runner:
        self.runners[runner.run] = runner
        return runner

    def leave(self, run: bytes) -> None:
        self.gone[run] = self.runners.pop(run)
        for life in self.gone[run].all_lives():
            self.known.append(life._replace(ended_ns=life.ended_ns or self.utc_ns))

    def sample(self, *, looks: bool = True) -> None:
        """Read everything; processes only if it `looks` at them."""
        there = [*self.runners.values(), *self.gone.values()]
        self.sampler.take(
            Sample(
                self.boot_ns,
                self.utc_ns,
                [counter.measured(self.boot_ns) for counter in self.counters],
                Usage(self.busy_ns, self.used_bytes),
                {one.run: Usage(one.cpu_ns, one.memory_bytes) for one in there},
                {key: used for one in there for key, used in one.executions.items()}
                if looks
                else None,
                tuple(
                    Work(one.run, one.allocation, tuple(one.executions))
                    for one in self.runners.values()
                ),
            )
        )
        self.gone.clear()

    def store(self) -> list[Row]:
        """Store what is new, and what a sampler must know, in one transaction."""
        lives = [life for one in self.runners.values() for life in one.all_lives()]
        rows = self.sampler.rows([*self.known, *lives])
        for row in rows:
            known = self.stored.get(row[:7] + row[13:14])
            if known is None or known.dur_ns <= row.dur_ns:
                self.stored[row[:7] + row[13:14]] = row
        self.memory = self.sampler.memory
        return rows

    def restart(self) -> None:
        """Kill the sampler: what was not stored is lost."""
        self.sampler = self.new_sampler()

    # -- what came of it -------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        return list(self.stored.values())

    def uj(self, owner: str, component: str, run: bytes | None = None) -> int:
        return total(
            row for row in self.rows
            if (row.owner, row.component, row.role) == (owner, component, "count")
            and run in (None, row.run)
        )  # fmt: skip

    def check(self) -> None:
        """Assert the law."""
        for component in {row.component for row in self.rows if row.role == "count"}:
            parts = [self.uj(owner, component) for owner in ("run", "idle", "system")]
            assert sum(parts) == self.uj("counter", component), component
        for row in self.rows:
            assert 0 <= row.static_uj <= row.uj
            assert 0 <= row.covered_ns <= row.dur_ns
            assert row.cpu_ns >= 0


def total(rows: Iterable[Row]) -> int:
    """Add up microjoules."""
    return sum(row.uj for row in rows)


RANGE_UJ = 65_532_610_987
EVENTS = st.one_of(
    st.tuples(st.just("tick"), st.integers(1, 20_000), st.integers(0, 400)),
    st.tuples(st.just("join"), st.integers(0, 4), st.sampled_from((None, 1, 4, 8))),
    st.tuples(st.just("leave"), st.integers(0, 4), st.none()),
    st.tuples(st.just("use"), st.integers(0, 4), st.integers(0, 8_000)),
    st.tuples(st.just("execution"), st.integers(0, 4), st.integers(0, 3)),
    st.tuples(
        st.just("life"),
        st.integers(0, 4),
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 3),
            st.integers(0, 40_000),
            st.integers(-10, 30_000),
            st.none() | st.integers(-1, 1 << 70),
            st.booleans(),
        ),
    ),
    st.tuples(
        st.just("status"), st.integers(0, 2), st.sampled_from(("ok", "ok", "stale", "denied"))
    ),
    st.tuples(st.just("reset"), st.integers(0, 2), st.none()),
    st.tuples(st.just("restart"), st.booleans(), st.none()),
    st.tuples(st.just("store"), st.none(), st.none()),
)


def happen(  # noqa: C901 - one branch for each event
    node: FakeNode, what: str, first: Any, second: Any
) -> None:
    """Let one of `EVENTS` happen."""
    run = bytes([(first or 0) % 5 + 1]) * 16
    if what == "tick":
        node.pass_time(first * 1_000_000)
        node.busy_ns += first * 3_000_000
        for counter, part in zip(node.counters, (3, 1, 1), strict=True):
            counter.move(first * second * part * 1000)
        node.sample(looks=second % 3 == 0)
    elif what == "join" and run not in node.runners:
        node.join(Runner(run, Allocation(cpus=second, exclusive=second == 8)))
        node.sample()
    elif what == "leave" and run in node.runners:
        node.leave(run)
        node.sample()
    elif what == "use" and run in node.runners:
        node.runners[run].use(second * 1_000_000)
    elif what == "execution" and run in node.runners:
        execution = bytes([first + 1, second]) * 8
        node.runners[run].executions.setdefault(execution, 0)
        node.runners[run].use(1_000_000, execution)
    elif what == "life" and run in node.runners:
        execution, outer, ago_ms, dur_ms, cpu_ns, wraps = second
        began_ns = node.utc_ns - ago_ms * 1_000_000
        node.runners[run].lives.append(
            Life(
                bytes([outer]) * 16, run, bytes([execution + 1]) * 16, bytes([outer]) * 16,
                began_ns, None if dur_ms < 0 else began_ns + dur_ms * 1_000_000, cpu_ns, wraps,
            )
        )  # fmt: skip
    elif what == "status":
        node.counters[first].status = second
    elif what == "reset":
        node.counters[first].value //= 3
    elif what == "restart":
        if first:
            node.store()
        node.restart()
        node.sample()
    elif what == "store":
        node.store()
