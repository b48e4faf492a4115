"""
Frames and files of a million values of a site, beside the least that reading them takes.

    python benchmarks/bench_frames.py [--turns 5]

The least is to select the chunks of values in SQL and to decode them. Two sites: two metrics of
500,000 steps, and 100 metrics of 10,000 steps. Takes two minutes. What CSV takes is Arrow writing
texts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import figures

from cmfd.formats.tables import write
from cmfd.query import frames
from cmfd.query.index import open_index
from cmfd.store.columns import decode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

LOGGING = """
import sys
import cmfd

n_metrics, n_steps = map(int, sys.argv[1:])
names = [f"metric{number}" for number in range(n_metrics)]
with cmfd.start("study", "train") as run:
    for step in range(n_steps):
        run.metrics({name: step * 0.5 for name in names}, step)
"""
SHAPES = ((2, 500_000), (100, 10_000))


def made(root: Path, n_metrics: int, n_steps: int) -> Path:
    """Log values, and merge them into a site."""
    site, node = root / f"site{n_metrics}", root / f"node{n_metrics}"
    environ = {
        **os.environ, "CMFD_SITE": str(site), "CMFD_NODE_DIR": str(node), "CMFD_AUTOSTART": "false",
    }  # fmt: skip
    log = [sys.executable, "-c", LOGGING, str(n_metrics), str(n_steps)]
    subprocess.run(log, env=environ, check=True, cwd=root)
    merge = [sys.executable, "-m", "cmfd", "merge", "-q", str(node)]
    subprocess.run(merge, env=environ, check=True)
    return site


def decode_all(db: sqlite3.Connection) -> int:
    """Read all values, and keep none."""
    return sum(len(decode(data).values) for (data,) in db.execute("SELECT data FROM chunk"))


def cpu_s(call: Callable[[], Any]) -> float:
    """Return the CPU time that a call takes, on all threads."""
    before = time.process_time()
    call()
    return time.process_time() - before


def bench(db: sqlite3.Connection, into: Path, shape: str, turns: int) -> list[bool]:
    """Compare each way to get all values with decoding them."""
    assert decode_all(db) == 1_000_000

    def exported(kind: Any) -> object:
        return write(db, into, ("points",), kind, told=print)

    asked: tuple[tuple[str, Callable[[], object], float], ...] = (
        ("Arrow, a row for each value", partial(frames.frame, db, "points", like="arrow"), 8),
        ("pandas, a row for each value", partial(frames.frame, db, "points"), 15),
        ("pandas, a column for each metric", partial(frames.metrics, db), 15),
        ("the same, the mean over ranks", partial(frames.metrics, db, over="mean"), 15),
        ("cmfd export parquet", partial(exported, "parquet"), 30),
        ("cmfd export csv", partial(exported, "csv"), 80),
    )
    kept = []
    for name, ask, bound in asked:
        ask()  # imports
        mine, least, _ = figures.in_turn(
            partial(cpu_s, ask), partial(cpu_s, lambda: decode_all(db)), turns
        )
        kept.append(
            figures.line(f"{shape}: {name}", mine, "s", least, "SQL and decoding, s", bound)
        )
    return kept


def main() -> None:
    """Measure, print, and exit with 1 if a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    kept = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for n_metrics, n_steps in SHAPES:
            with open_index(made(root, n_metrics, n_steps)) as db:
                kept += bench(db, root / "tables", f"{n_metrics} metrics", options.turns)
    figures.finish(kept)


if __name__ == "__main__":
    main()
