"""
What counting energy costs a node: a tick with 64 jobs, each with an execution, RAPL and groups.

    python benchmarks/bench_sampler.py [--jobs 64] [--ticks 300]

Times are of the processor. The kernel's files are fakes in a directory, but `/proc`, which is this
machine's: what a real counter takes to be read comes on top.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import figures
import psutil

from cmfd.config import Settings
from cmfd.daemon.effects import JobHere, ReadEnergy
from cmfd.identity import run_of_job
from cmfd.store.node import NodeStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.sysfs import Powercap

INTERVAL_S, TICKS_PER_BUCKET = 5.0, 12
DAEMONS = (
    "zmq", "numpy", "cmfd.daemon.loop", "cmfd.daemon.perform", "cmfd.daemon.state",
    "cmfd.daemon.worker", "cmfd.store.ledger", "cmfd.store.pack",
)  # fmt: skip
"""What a daemon has loaded anyway."""


def make_groups(root: Path, n_jobs: int) -> list[Path]:
    """Make the control groups of jobs."""
    groups = [root / "system.slice" / "slurmstepd.scope" / f"job_{n}" for n in range(n_jobs)]
    for group in groups:
        group.mkdir(parents=True)
        (group / "memory.current").write_text("1000000\n")
    return groups


def use(groups: list[Path], tick: int) -> None:
    """Let jobs use processor time."""
    for number, group in enumerate(groups):
        usec = tick * (1000 + number)
        (group / "cpu.stat").write_text(f"usage_usec {usec}\nuser_usec {usec}\nsystem_usec 0\n")


def main() -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--ticks", type=int, default=300)
    said = parser.parse_args()
    for name in DAEMONS:
        __import__(name)
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), said.jobs, said.ticks)


def measure(directory: Path, n_jobs: int, n_ticks: int) -> None:
    """Let a thread's work be done here, tick by tick."""
    powercap = Powercap.intel(directory / "sys")
    groups = make_groups(directory / "cgroup", n_jobs)
    store = NodeStore(directory / "node.db")
    before_bytes = psutil.Process().memory_info().rss
    from cmfd.daemon.energy import Energy, Place
    from cmfd.daemon.energy_presence import Allocations, Presence
    from cmfd.energy import divisions
    from cmfd.energy.lives import Life
    from cmfd.energy.presence import NOBODY, Allocation
    from cmfd.energy.readings import Roots

    given = Allocation(cpus=1, memory_bytes=1 << 30, gpus=())
    setattr(Allocations, "of", lambda *_: given)  # noqa: B010 - no controller is asked here
    divisions.SETTLED_NS = 0  # ticks follow each other at once here
    divisions._SURE_NS = -1  # noqa: SLF001 - as above
    settings = Settings(
        node_dir=directory, energy_sysfs=directory / "sys", energy_interval_s=INTERVAL_S,
        system=True,
    )  # fmt: skip
    place = Place(directory / "node.db", "c", "n1", bytes(16), bytes(16))
    roots = Roots(sys=directory / "sys", cgroup=directory / "cgroup")
    energy = Energy(settings, place, lambda: None, b"", roots)
    jobs = tuple(JobHere(run_of_job("c", str(n), 0), str(n), 1000 + n) for n in range(n_jobs))
    lives = [Life(job.run, job.run, job.run[::-1], NOBODY, 0, None, None) for job in jobs]
    setattr(Presence, "lives", lambda *_: lives)  # noqa: B010 - none of their processes is here
    order = ReadEnergy(0, jobs, {})
    ticks_ns: list[int] = []
    stores_ns: list[int] = []
    with closing(store):
        for tick in range(1, n_ticks + 1):
            use(groups, tick)
            for n in (0, 1):
                powercap.advance(f"intel-rapl:{n}", 100_000_000 + tick)
                powercap.advance(f"intel-rapl:{n}:2", 20_000_000 + tick)
            energy._next_ns = 0  # noqa: SLF001 - it is time
            energy._flush_ns = 0 if tick % TICKS_PER_BUCKET == 0 else 1 << 62  # noqa: SLF001 - as above
            begun_ns = time.thread_time_ns()
            energy._turn(order)  # noqa: SLF001 - what its thread does
            ticks_ns.append(time.thread_time_ns() - begun_ns)
            begun_ns = time.thread_time_ns()
            for read in energy.results():
                store.add_energy(read.measured, read.memory)
                store.commit()
                stores_ns.append(time.thread_time_ns() - begun_ns)
        grown_bytes = psutil.Process().memory_info().rss - before_bytes
    energy._end()  # noqa: SLF001 - as above
    rounds_ns = [ticks_ns[n : n + TICKS_PER_BUCKET] for n in range(1, n_ticks, TICKS_PER_BUCKET)]
    # Once in a bucket, what runs were given is divided among their executions.
    tick_us = statistics.median(map(statistics.mean, rounds_ns)) / 1e3
    stored_us = sum(stores_ns) / n_ticks / 1e3
    core_us = INTERVAL_S * 1e6
    kept = [
        figures.line(
            f"a tick of {n_jobs} jobs, and storing it", tick_us + stored_us, "us",
            core_us, "a core for 5 s, us", 0.001,
        ),
        figures.line("what it adds to a daemon", grown_bytes / 2**20, "MiB", 10, "MiB", 1),
    ]  # fmt: skip
    figures.finish(kept)


if __name__ == "__main__":
    main()
