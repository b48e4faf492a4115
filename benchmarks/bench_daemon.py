"""
From a logging call to the node store: how fast, how small, how steady.

    python benchmarks/bench_daemon.py [--processes 64]

The reference for rates is SQLite's own: ``executemany`` of the same values as
rows into a WAL database, measured in the same run. Clients and daemon share
the machine's cores, so the daemon's rate is counted in seconds of its own CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import psutil

N_DURABLE = 100_000

CLIENT = """
import math, sys, time
import cmfd
n, per_s = int(sys.argv[1]), float(sys.argv[2])
ex = cmfd.start("bench", "client")
ex.metrics({"loss": 1.0, "accuracy": 0.0, "rate": 0.1, "norm": 2.0}, step=0)
print("ready", flush=True)
sys.stdin.readline()
begun = time.monotonic()
for i in range(1, n // 8 + 1):
    if per_s and i % 20 == 0:
        time.sleep(max(0.0, begun + i * 8 / per_s - time.monotonic()))
    x = math.exp(-i / 1e4)
    ex.metrics({"loss": x, "accuracy": 1 - x, "rate": 0.1, "norm": 2 * x}, step=i)
    ex.metric("a", x, step=i)
    ex.metric("b", -x, step=i)
    ex.metric("c", x * x, step=i)
    ex.metric("d", 1 / i, step=i)
ex.end()
"""


def control(directory: str) -> dict[str, object]:
    """Return the daemon's figures about itself."""
    from cmfd.wire.control import request
    from cmfd.wire.messages import StatusReply, StatusRequest

    reply = request(Path(directory), StatusRequest(), 10.0)
    assert isinstance(reply, StatusReply)
    found: dict[str, object] = json.loads(reply.document)
    return found


def executemany_s(directory: Path, rows: list[tuple[int, int, int, float, float]]) -> float:
    """Seconds to put rows into a WAL database by one ``executemany`` and a commit."""
    path = directory / f"reference-{time.monotonic_ns()}.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE v (run INTEGER, name INTEGER, step INTEGER, at REAL, value REAL)")
    begun = time.perf_counter()
    db.execute("BEGIN")
    db.executemany("INSERT INTO v VALUES (?, ?, ?, ?, ?)", rows)
    db.execute("COMMIT")
    spent = time.perf_counter() - begun
    db.close()
    path.unlink()
    return spent


def durable(node: Path) -> tuple[float, float, float]:
    """Seconds until 100,000 values are committed: ours, the reference's; and bytes a value."""
    import cmfd
    from cmfd.client.session import session

    class Bare:
        def __init__(self) -> None:
            self.rows: list[tuple[int, int, int, float, float]] = []

        def metric(self, name: int, value: float, step: int) -> None:
            self.rows.append((1, name, step, time.time(), value))

    def ours() -> float:
        ex = cmfd.start("bench", "durable")
        ex.flush()
        begun = time.perf_counter()
        for i in range(N_DURABLE):
            ex.metric("loss", math.exp(-i / 3e4), step=i)
        if not ex.flush(60.0):
            raise SystemExit("no daemon committed the values")
        return time.perf_counter() - begun

    def reference() -> float:
        bare = Bare()
        begun = time.perf_counter()
        for i in range(N_DURABLE):
            bare.metric(1, math.exp(-i / 3e4), step=i)
        return time.perf_counter() - begun + executemany_s(node.parent, bare.rows)

    figure, beside, _ = figures.in_turn(ours, reference, 7)
    session().close()
    with sqlite3.connect(f"file:{node}/node.db?mode=ro", uri=True) as db:
        (n_bytes,) = db.execute("SELECT sum(length(data)) FROM slice").fetchone()
        (n_values,) = db.execute("SELECT sum(n_values) FROM series_stat").fetchone()
    return figure, beside, n_bytes / n_values


def load(
    n_processes: int, n_each: int, per_s: float, env: dict[str, str], node: str
) -> tuple[float, float, float]:
    """
    Let processes log at a rate each, 0 for as fast as they can.

    Returns
    -------
    (float, float, float)
        Values per CPU second of the daemon, 99th percentile in ms of what it took to acknowledge
        a slice, most memory of the daemon in MiB.
    """
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(n_each), str(per_s)],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(n_processes)
    ]  # fmt: skip
    for client in clients:
        assert client.stdout is not None
        client.stdout.readline()
    daemon = psutil.Process(int(str(control(node)["pid"])))
    before = daemon.cpu_times()
    high_bytes, p99_s = 0, 0.0
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(b"\n")
        client.stdin.close()
    while all(client.poll() is None for client in clients):
        high_bytes = max(high_bytes, daemon.memory_info().rss)
        latency = control(node)["ack_latency"]
        assert isinstance(latency, dict)
        p99_s = max(p99_s, latency["p99_s"] or 0.0)
        time.sleep(1)
    for client in clients:
        client.wait()
    after = daemon.cpu_times()
    spent_s = after.user + after.system - before.user - before.system
    return n_processes * n_each / spent_s, p99_s * 1e3, high_bytes / (1 << 20)


def idle(node: str) -> tuple[float, float]:
    """Return the daemon's share of a core in percent, and memory in MiB, with nothing to do."""
    daemon = psutil.Process(int(str(control(node)["pid"])))
    time.sleep(3)
    before = daemon.cpu_times()
    time.sleep(20)
    after = daemon.cpu_times()
    spent_s = after.user + after.system - before.user - before.system
    return spent_s / 20 * 100, daemon.memory_info().rss / (1 << 20)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--values", type=int, default=200_000, help="per process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        node = f"{directory}/node"
        os.environ |= {"CMFD_NODE_DIR": node, "CMFD_SITE": f"{directory}/site"}
        cmfd = [sys.executable, "-m", "cmfd"]
        subprocess.run([*cmfd, "run", "--quiet", "--", "true"], check=True)  # a daemon is up
        idle_percent, idle_mib = idle(node)
        ours_s, reference_s, bytes_per_value = durable(Path(node))
        env, n = dict(os.environ), options.processes
        _, p99_ms, _ = load(n, 10_000_000 // n, 1e6 / n, env, node)
        rate, _, high_mib = load(n, options.values, 0, env, node)
        rows = [(1, i % 8, i, i * 1e-3, math.exp(-i / 1e5)) for i in range(1_000_000)]
        bare = 1e6 / statistics.median(executemany_s(Path(directory), rows) for _ in range(5))
    figures.finish([
        figures.line("100,000 values, call to durable", ours_s, "s", reference_s,
                     "append tuples + executemany", 2),
        figures.line("node store, smooth series", bytes_per_value, "B/value", 10,
                     "the bound itself", 1),
        figures.line(f"daemon, {options.processes} processes", rate, "values/s", bare,
                     "bare executemany, rows/s", 1, at_least=True),
        figures.line("daemon, same", rate, "values/s", 1e6, "the bound itself", 1, at_least=True),
        figures.line("acknowledgement at 1,000,000 values/s, p99", p99_ms, "ms", 250,
                     "the bound itself", 1),
        figures.line("daemon under full load, memory", high_mib, "MiB", 256, "the bound itself", 1),
        figures.line("daemon idle, CPU", idle_percent, "% core", 0.1, "the bound itself", 1),
        figures.line("daemon idle, memory", idle_mib, "MiB", 60, "the bound itself", 1),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
