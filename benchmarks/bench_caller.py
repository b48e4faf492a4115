"""
What a logged value costs its caller, beside a method that appends a tuple to a list.

    python benchmarks/bench_caller.py

The second reference for ``metrics`` is what cannot be avoided: packing the same
twenty doubles into the same memory by one call.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import statistics
import struct
import tempfile
from time import perf_counter_ns

import figures

N = 8_000
RUNS = 41


class Bare:
    """The least that a Python method can do with a value."""

    def __init__(self) -> None:
        self.values: list[tuple[str, float, int]] = []

    def metric(self, name: str, value: float, step: int) -> None:
        """Append a tuple."""
        self.values.append((name, value, step))


def per_call_ns(call: object, *args: object) -> float:
    """Nanoseconds per call of ``call(*args, step=i)``, the loop included."""
    assert callable(call)
    begun = perf_counter_ns()
    for i in range(N):
        call(*args, step=i)
    return (perf_counter_ns() - begun) / N


def packing_ns(values: dict[str, float]) -> float:
    """Nanoseconds to pack twenty doubles of a dictionary into mapped memory, nothing else."""
    memory = mmap.mmap(-1, 4096)
    pack_into = struct.Struct("@20d").pack_into
    begun = perf_counter_ns()
    for _i in range(N):
        pack_into(memory, 0, *values.values())
    return (perf_counter_ns() - begun) / N


def one_process(_: int = 0) -> dict[str, float]:
    """Return medians in ns per call of each, and the 99th percentile of metric()."""
    import cmfd

    ex = cmfd.start("bench", "caller")
    twenty = {f"name_{i}": i * 0.517 for i in range(20)}
    ex.metric("loss", 0.5, step=0)
    ex.metrics(twenty, step=0)
    found: dict[str, list[float]] = {"bare": [], "metric": [], "metrics": [], "packing": []}
    for _turn in range(RUNS):
        found["bare"].append(per_call_ns(Bare().metric, "loss", 0.5))
        found["metric"].append(per_call_ns(ex.metric, "loss", 0.5))
        found["packing"].append(packing_ns(twenty))
        found["metrics"].append(per_call_ns(ex.metrics, twenty))
    spans = []
    for i in range(100_000):
        begun = perf_counter_ns()
        ex.metric("loss", 0.5, step=i)
        spans.append(perf_counter_ns() - begun)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {**medians, "p99": statistics.quantiles(spans, n=100)[98]}


def main() -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.environ |= {"CMFD_NODE_DIR": f"{directory}/node", "CMFD_SITE": f"{directory}/site"}
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            (alone,) = pool.map(one_process, [0])
        n_cores = len(os.sched_getaffinity(0))
        with multiprocessing.get_context("spawn").Pool(8) as pool:
            together = pool.map(one_process, range(8), chunksize=1)
    bare, beside = alone["bare"], "append a tuple in a method"
    crowded = statistics.median(item["metric"] / item["bare"] for item in together)
    figures.finish([
        figures.line("metric(), median", alone["metric"], "ns", bare, beside, 3),
        figures.line("metric(), 99th percentile", alone["p99"] / 1000, "us", 10, "the bound", 1),
        figures.line("metrics(20 values), median", alone["metrics"], "ns", bare, beside, 6),
        figures.line("metrics(20 values) over packing alone", alone["metrics"], "ns",
                     alone["packing"], "pack 20 doubles into memory", 3),
        figures.line(f"metric() in 8 processes on {n_cores} cores", crowded, "x bare",
                     alone["metric"] / bare, "the same ratio in 1 process", 1.25),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
