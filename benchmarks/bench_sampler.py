"""
What counting energy costs a node: a tick with 64 jobs, each with an execution, RAPL and groups.

    python benchmarks/bench_sampler.py [--jobs 64] [--ticks 300] [--ended 5000]

Times are of the processor, and of all that a tick of 5 seconds has done: who is here, counters,
control groups, each job's process with what it started, the split, and, once a minute, the parts of
executions and the transaction that stores it all. The clock is the benchmark's own, which goes on
by 5 seconds a tick. The kernel's files are fakes in a directory, but `/proc`, which is this
machine's: what a real counter or group takes to be read comes on top.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import figures
import psutil

from cmfd.config import Settings
from cmfd.daemon.effects import JobHere, ReadEnergy
from cmfd.identity import run_of_job
from cmfd.store.node import JournalSlice, NodeStore
from cmfd.wire import journal as form
from cmfd.wire.messages import ExecutionBegin, ProcessBegin, ProcessState, RunBegin, encode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.sysfs import Powercap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.daemon.energy import Energy
    from cmfd.wire.messages import Record

INTERVAL_S, TICKS_PER_BUCKET = 5, 12
SECOND_NS = 1_000_000_000
DAEMONS = (
    "zmq", "numpy", "cmfd.daemon.loop", "cmfd.daemon.perform", "cmfd.daemon.state",
    "cmfd.daemon.worker", "cmfd.store.ledger", "cmfd.store.pack",
)  # fmt: skip
"""What a daemon has loaded anyway."""


class Clock:
    """Both clocks of a daemon, which go on when they are told to."""

    def __init__(self) -> None:
        self.boot_ns = 1000 * SECOND_NS
        self._began_ns = 1_780_000_020 * SECOND_NS - self.boot_ns  # a bucket begins

    def boottime_ns(self) -> int:
        """Return the time since the node booted."""
        return self.boot_ns

    def time_ns(self) -> int:
        """Return the time, UTC."""
        return self._began_ns + self.boot_ns

    def set_all(self) -> None:
        """Have everybody go by it who is imported from now on."""
        from cmfd.energy import readings

        readings.boottime_ns = self.boottime_ns
        setattr(time, "time_ns", self.time_ns)  # noqa: B010 - a stand-in


class Node:
    """A node's jobs, each with a control group and a process, and what it has stored."""

    def __init__(self, directory: Path, n_jobs: int, clock: Clock, pids: list[int]) -> None:
        self.directory = directory
        self.clock = clock
        self.powercap = Powercap.intel(directory / "sys")
        self.store = NodeStore(directory / "node.db")
        self.numbers = [str(number) for number in range(n_jobs)]
        self.runs = [run_of_job("c", number, 0) for number in self.numbers]
        scope = directory / "cgroup" / "system.slice" / "slurmstepd.scope"
        self.groups = [scope / f"job_{number}" for number in self.numbers]
        for group in self.groups:
            group.mkdir(parents=True)
        instances = [bytes([1]) * 8 + run[:8] for run in self.runs]
        for run, instance, pid in zip(self.runs, instances, pids, strict=True):
            self.begin(run, instance, instance, pid)
        self.order = ReadEnergy(
            0,
            tuple(map(JobHere, self.runs, self.numbers, range(1000, 1000 + n_jobs))),
            dict(zip(instances, pids, strict=True)),
        )

    def begin(self, run: bytes, instance: bytes, execution: bytes, pid: int) -> None:
        """Let a process say that it takes part in an execution."""
        at_ns = self.clock.time_ns()
        self.say(
            instance,
            RunBegin(at_ns=at_ns, run=run, cluster="c", job="1"),
            ExecutionBegin(at_ns=at_ns, execution=execution, run=run, pipeline="p", stage="s"),
            ProcessBegin(at_ns=at_ns, execution=execution, host="n1", pid=pid),
        )

    def has_run(self, n_ended: int) -> None:
        """Let there have been so many processes before, in runs of 100."""
        for number in range(n_ended):
            own, run = bytes([2]) * 8 + number.to_bytes(8, "big"), bytes([3]) * 16
            self.begin(run[:12] + (number // 100).to_bytes(4, "big"), own, own, 1)
            ended_ns = self.clock.time_ns()
            self.say(
                own,
                ProcessState(
                    at_ns=ended_ns, execution=own, status="completed", cpu_user_ns=1,
                    cpu_system_ns=1, max_rss_bytes=1, dropped=0,
                ),
            )  # fmt: skip
            self.store.end_instance(own, ended_ns)
        self.store.commit()

    def say(self, instance: bytes, *records: Record) -> None:
        """Store what a process says."""
        payloads = [encode(record) for record in records]
        said = b"".join(
            form.EVENT_HEADER.pack(len(one), zlib.crc32(one)) + one + bytes(-len(one) % 8)
            for one in payloads
        )
        block = 1 if isinstance(records[0], RunBegin) else 2
        journal = (instance, 1000, "/gone", "n1", block, form.EVENTS, 1, 0, 0, len(said), said)
        self.store.append([JournalSlice(*journal)])

    def use(self, tick: int) -> None:
        """Let five seconds pass, in which jobs use processors and counters move."""
        self.clock.boot_ns += INTERVAL_S * SECOND_NS
        for number, group in enumerate(self.groups):
            usec = tick * (1_000_000 + number)
            (group / "cpu.stat").write_text(f"usage_usec {usec}\nuser_usec {usec}\nsystem_usec 0\n")
            (group / "memory.current").write_text(f"{1_000_000 + tick}\n")
        for n in (0, 1):
            self.powercap.advance(f"intel-rapl:{n}", 100_000_000 + tick)
            self.powercap.advance(f"intel-rapl:{n}:2", 20_000_000 + tick)


@contextmanager
def processes(n_jobs: int) -> Iterator[list[int]]:
    """Start a process for each job."""
    started = [subprocess.Popen(["sleep", "infinity"]) for _ in range(n_jobs)]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def begin(node: Node) -> Energy:
    """Return a daemon's part on energy, without its thread."""
    node.clock.set_all()
    from cmfd.daemon.energy import Energy, Place
    from cmfd.daemon.energy_presence import Allocations
    from cmfd.energy.presence import Allocation
    from cmfd.energy.readings import Roots

    given = Allocation(cpus=1, memory_bytes=1 << 30, gpus=())
    setattr(Allocations, "of", lambda *_: given)  # noqa: B010 - no controller is asked here
    settings = Settings(
        node_dir=node.directory, energy_sysfs=node.directory / "sys",
        energy_interval_s=INTERVAL_S, system=True,
    )  # fmt: skip
    place = Place(node.directory / "node.db", "c", "n1", bytes(16), bytes(16))
    roots = Roots(sys=node.directory / "sys", cgroup=node.directory / "cgroup")
    return Energy(settings, place, lambda: None, b"", roots)


def measure(node: Node, n_ticks: int) -> bool:
    """Let a thread's work be done here, tick by tick."""
    before_bytes = psutil.Process().memory_info().rss
    energy = begin(node)
    ticks_ns: list[int] = []
    for tick in range(1, n_ticks + 1):
        node.use(tick)
        energy._next_ns = 0  # noqa: SLF001 - it is time
        begun_ns = time.thread_time_ns()
        energy._turn(node.order)  # noqa: SLF001 - what its thread does
        for read in energy.results():
            node.store.add_energy(read.measured, read.memory)
            node.store.commit()
        ticks_ns.append(time.thread_time_ns() - begun_ns)
    grown_bytes = psutil.Process().memory_info().rss - before_bytes
    energy._end()  # noqa: SLF001 - as above
    # Once in a bucket, what runs were given is divided among their executions, and stored.
    rounds_ns = [ticks_ns[n : n + TICKS_PER_BUCKET] for n in range(1, n_ticks, TICKS_PER_BUCKET)]
    tick_us = statistics.median(map(statistics.mean, rounds_ns)) / 1e3
    kept = [
        figures.line(
            f"a tick of {len(node.runs)} jobs, and storing it", tick_us, "us",
            INTERVAL_S * 1e6, "a core for 5 s, us", 0.001,
        ),
        figures.line("what it adds to a daemon", grown_bytes / 2**20, "MiB", 10, "MiB", 1),
    ]  # fmt: skip
    return all(kept)


def main() -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--ticks", type=int, default=300)
    parser.add_argument("--ended", type=int, default=5000, help="processes of the days before")
    said = parser.parse_args()
    for name in DAEMONS:
        __import__(name)
    with tempfile.TemporaryDirectory() as name, processes(said.jobs) as pids:
        node = Node(Path(name), said.jobs, Clock(), pids)
        with closing(node.store):
            node.has_run(said.ended)
            figures.finish([measure(node, said.ticks)])


if __name__ == "__main__":
    main()
