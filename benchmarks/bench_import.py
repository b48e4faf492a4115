"""
What cmfd adds to a rank's start and end, to a command run under `cmfd run`, and a daemon to a node.

    python benchmarks/bench_import.py
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile

import figures

RUNS = 15

IMPORT = """
import resource, time
before_s, before_kib = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import cmfd
after_s = time.perf_counter()
print((after_s - before_s) * 1e3,
      (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024)
"""

START = """
import time
import cmfd
begun = time.perf_counter()
ex = cmfd.start("bench", "start")
ex.metric("loss", 0.5)
started = time.perf_counter()
time.sleep(1.5)  # a job that has been running: everything is committed
from cmfd.client.session import session
ending = time.perf_counter()
ex.end()
session().close()
print((started - begun) * 1e3, (time.perf_counter() - ending) * 1e3)
"""


def medians(code: str, env: dict[str, str]) -> list[float]:
    """Run a program that prints numbers several times; return each number's median."""
    rows = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True
        )
        rows.append([float(word) for word in done.stdout.split()])
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def cpu_s(command: list[str], env: dict[str, str]) -> float:
    """Run a command; return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=env, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(after[:2]) - sum(before[:2])


def main() -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as directory:
        env = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
            "CMFD_NODE_DIR": f"{directory}/node",
            "CMFD_SITE": f"{directory}/site",
        }
        cmfd = [sys.executable, "-m", "cmfd"]
        subprocess.run(
            [*cmfd, "run", "--quiet", "--", "true"], env=env, check=True
        )  # a daemon is up
        import_ms, import_mib = medians(IMPORT, env)
        start_ms, end_ms = medians(START, env)
        ours, bare, _ = figures.in_turn(
            lambda: figures.wall_s([*cmfd, "run", "--quiet", "--", "true"], env),
            lambda: figures.wall_s(["true"], env),
            RUNS,
        )
        daemon, python, _ = figures.in_turn(
            lambda: cpu_s(
                [*cmfd, "daemon", "--idle=0.1"], {**env, "CMFD_NODE_DIR": f"{directory}/d"}
            ),
            lambda: cpu_s([sys.executable, "-c", "import click, msgspec, zmq"], env),
            RUNS,
        )
    figures.finish([
        figures.line("import cmfd", import_ms, "ms", 60, "the bound itself", 1),
        figures.line("import cmfd, memory", import_mib, "MiB", 15, "the bound itself", 1),
        figures.line("start() to first value", start_ms, "ms", 20, "the bound itself", 1),
        figures.line("end, everything committed", end_ms, "ms", 50, "the bound itself", 1),
        figures.line("cmfd run adds", (ours - bare) * 1e3, "ms", 300, "the bound itself", 1),
        figures.line("a daemon begins and ends, processor", daemon * 1e3, "ms", python * 1e3,
                     "Python with what it imports", 2.5),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
