"""
Merging packs: how fast, how flat as a site grows, what a repetition costs, 1,000 packs at once.

    python benchmarks/bench_merge.py [--executions 1000000] [--directory DIR]

Takes some minutes and 2 GB below DIR (default: where temporary files go), most
of both for the site that already holds a million executions.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import sqlite3
import statistics
import struct
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import figures

from cmfd.identity import uuid7
from cmfd.merge.batch import merge_site
from cmfd.store.connection import statements
from cmfd.store.migrations import migrate
from cmfd.store.pack import FORMAT, finish
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 7
T0_NS = 1_700_000_000_000_000_000
_numbers = itertools.count()


@dataclass(frozen=True)
class Shape:
    """What one node of one execution has to say."""

    n_ranks: int = 16
    n_series: int = 10
    n_chunks: int = 2
    chunk_bytes: int = 2000
    n_params: int = 20
    n_artifacts: int = 5


NODE = Shape()
SMALL = Shape(n_ranks=1, n_series=3, n_chunks=1, n_params=5, n_artifacts=1)
WIDE_JOB = Shape(n_ranks=4, n_series=5, n_chunks=1, n_artifacts=1)


def node_rows(shape: Shape, run: bytes, execution: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a node of an execution seals, by table."""
    ranks = [uuid7() for _ in range(shape.n_ranks)]
    first = ranks[0]
    digests = [f"md5:{os.urandom(16).hex()}" for _ in range(shape.n_artifacts)]
    document = f'{{"host": "{os.urandom(16).hex()}"}}' + " " * 3000
    environment = f"sha256:{hashlib.sha256(document.encode()).hexdigest()}"
    # As columns begin; what follows nobody reads here.
    head = struct.pack("<BBHBIBIBI", 1, 1, 3, 1, 8000, 1, 8000, 1, 8000)
    pairs = [(rank, number) for rank in ranks for number in range(1, shape.n_series + 1)]
    return {
        "run": [(run, T0_NS, first, 1000, "c", "4711", 0, "ann", "", "train.py", "/home/ann")],
        "run_end": [(run, T0_NS, first, "completed", 0, None)],
        "execution": [(execution, T0_NS, first, run, None, "digits", "train", "0")],
        "execution_end": [(execution, T0_NS, first, "completed", 0, None)],
        "process": [
            (execution, rank, T0_NS, rank, number, shape.n_ranks, number, "n1", number, "rank")
            for number, rank in enumerate(ranks)
        ],
        "process_state": [
            (execution, rank, T0_NS, rank, "completed", 0, None, 10**9, 10**8, 10**8, 0)
            for rank in ranks
        ],
        "param": [
            (execution, f"parameter_{number}", "float", random.random(), T0_NS, first, 0)
            for number in range(shape.n_params)
        ],
        "artifact": [(digest, f"sha256:{os.urandom(32).hex()}", 10**6, 1) for digest in digests],
        "event": [
            (execution, "output", digest, f"out/{number}.npy", T0_NS, first, "dataset", "n1",
             f"/home/ann/out/{number}.npy", 0, "", "")
            for number, digest in enumerate(digests)
        ],
        "environment": [(environment, document)],
        "execution_environment": [(execution, T0_NS, first, environment)],
        "series": [(rank, number, execution, f"m_{number}", "float") for rank, number in pairs],
        "chunk": [
            (rank, number, block, 8000, 0, 0, 8000, T0_NS, T0_NS + 8000, 0.1, 0.9, 4000.5, 8000,
             0.7, head + os.urandom(shape.chunk_bytes))
            for rank, number in pairs for block in range(shape.n_chunks)
        ],
    }  # fmt: skip


def make_pack(directory: Path, rows: dict[str, list[tuple[Any, ...]]]) -> Path:
    """Write and finish a pack."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"unfinished-{next(_numbers)}"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        migrate(db, "pack")
        db.execute("BEGIN")
        for table, content in rows.items():
            db.executemany(
                f"INSERT INTO {table} VALUES ({', '.join('?' * len(content[0]))})", content
            )
        db.execute("INSERT INTO pack VALUES (?, 'bench', 'c', 'n1', ?, 1, '')", (FORMAT, T0_NS))
        db.execute("COMMIT")
    return finish(path)


def new_packs(directory: Path, shape: Shape, n_packs: int) -> list[Path]:
    """Make packs, each of a run of its own."""
    return [
        make_pack(directory, node_rows(shape, os.urandom(16), os.urandom(16)))
        for _ in range(n_packs)
    ]


def merge_s(site: Path, packs: list[Path]) -> float:
    """Return how long a site takes to merge packs that wait in its inbox."""
    (site / "inbox").mkdir(parents=True, exist_ok=True)
    for pack in packs:
        shutil.copy(pack, site / "inbox")
    os.sync()
    begun = time.perf_counter()
    report = merge_site(site)
    took_s = time.perf_counter() - begun
    assert report.absorbed == len(packs), report
    return took_s


def bare_s(target: Path, packs: list[Path]) -> float:
    """Return how long SQLite alone takes to copy the rows, a transaction a pack."""
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        migrate(db, "pack")
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        os.sync()
        begun = time.perf_counter()
        for pack in packs:
            db.execute("ATTACH ? AS incoming", (str(pack),))
            db.execute("BEGIN")
            for table in tables:
                db.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM incoming.{table}")
            db.execute("COMMIT")
            db.execute("DETACH incoming")
        return time.perf_counter() - begun


def bench_rate(root: Path, name: str, shape: Shape, n_packs: int) -> bool:
    """Compare the rate of a merge into an empty site with that of bare SQLite."""
    packs = new_packs(root / name, shape, n_packs)
    fresh = itertools.count()
    ours, bare, _ = figures.in_turn(
        lambda: n_packs / merge_s(root / f"{name}-site{next(fresh)}", packs),
        lambda: n_packs / bare_s(root / f"{name}-bare{next(fresh)}.db", packs),
        RUNS,
    )
    return figures.line(
        f"merge rate, {name} packs", ours, "packs/s", bare, "ATTACH + INSERT OR IGNORE", 0.7,
        at_least=True,
    )  # fmt: skip


def fill(site: Path, n_executions: int) -> None:
    """Make a site that looks as if it had merged many small runs."""
    site.mkdir()
    SiteStore(site / "index.db").close()
    with closing(sqlite3.connect(site / "index.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -1000000")
        db.create_function("instance", 1, instance)
        db.execute("BEGIN")
        for statement in statements(FILL):
            db.execute(statement, {"n": n_executions, "t": T0_NS, "o": bytes(16)})
        db.execute("COMMIT")


def instance(number: int) -> bytes:
    """Return a time-ordered id, as instances have."""
    return (T0_NS // 10**6 + number).to_bytes(6, "big") + os.urandom(10)


FILL = """
CREATE TEMP TABLE every (i INTEGER PRIMARY KEY);
WITH RECURSIVE s(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM s WHERE i < :n)
INSERT INTO every SELECT i FROM s;
INSERT INTO run
SELECT i, randomblob(16), :t + i, :o, 1000, 'c', i, 0, 'ann', '', 'train', '/home/ann' FROM every;
INSERT INTO run_end SELECT i, :t + i, :o, 'completed', 0, NULL FROM every;
INSERT INTO execution
SELECT i, randomblob(16), :t + i, :o, i, NULL, 'p' || (i % 7), 's' || (i % 50), '0' FROM every;
INSERT INTO execution_end SELECT i, :t + i, :o, 'completed', 0, NULL FROM every;
INSERT INTO process SELECT i, instance(i), :t, :o, 0, 1, 0, 'n1', 7, 'rank' FROM every;
INSERT INTO process_state
SELECT execution_id, instance, :t, :o, 'completed', 0, NULL, 1, 1, 1, 0 FROM process;
INSERT INTO param
SELECT i, 'parameter_' || k, 'float', i * 0.1, :t, :o, 0
FROM every, (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3);
INSERT INTO artifact
SELECT i, 'md5:' || lower(hex(randomblob(16))), '', 100, 1 FROM every;
INSERT INTO event
SELECT i, 'output', i, 'out.npy', :t, :o, 'dataset', 'n1', '/tmp/out.npy', 0, '', '' FROM every;
INSERT INTO environment VALUES (1, 'x', '{}');
INSERT INTO execution_environment SELECT i, :t, :o, 1 FROM every;
INSERT INTO series SELECT NULL, instance, 1, execution_id, 'loss', 'float' FROM process;
INSERT INTO chunk
SELECT i, 1, 100, 0, 0, 99, :t, :t, 0.0, 1.0, 50.0, 99, 0.5, randomblob(200) FROM every;
INSERT INTO pack
SELECT i, lower(hex(randomblob(32))), 100000, 'c', 'n1', :t, 1, :t, '' FROM every;
"""


def bench_growth(root: Path, name: str, shape: Shape, large: Path) -> bool:
    """Compare the time of a pack in a large site with that in an empty one."""
    n_packs = 40
    fresh = itertools.count()
    packs: list[Path] = []

    def into_empty() -> float:
        number = next(fresh)
        packs[:] = new_packs(root / f"growth-{name}{number}", shape, n_packs)
        return merge_s(root / f"empty-{name}{number}", packs) * 1e3 / n_packs

    grown, empty, _ = figures.in_turn(
        lambda: merge_s(large, packs) * 1e3 / n_packs, into_empty, RUNS
    )
    return figures.line(
        f"merge of a {name} pack, large site", grown, "ms", empty, "the same, empty site", 1.3
    )


def bench_repeat(root: Path) -> bool:
    """Measure what a pack costs that the site has already."""
    packs = new_packs(root / "repeat", NODE, 100)
    site = root / "repeat-site"
    merge_s(site, packs)
    times_s = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        assert merge_site(site, packs).repeated == len(packs)
        times_s.append(time.perf_counter() - begun)
    repeat_ms = statistics.median(times_s) * 1e3 / len(packs)
    return figures.line("repeated merge of a pack", repeat_ms, "ms", 2, "the bound itself, ms", 1)


def bench_job(root: Path) -> bool:
    """Measure the packs of 1,000 nodes of one job, given as files."""
    run, execution = os.urandom(16), os.urandom(16)
    packs = [make_pack(root / "job", node_rows(WIDE_JOB, run, execution)) for _ in range(1000)]
    os.sync()
    begun = time.perf_counter()
    assert merge_site(root / "job-site", packs).absorbed == 1000
    took_s = time.perf_counter() - begun
    return figures.line("merge of 1,000 packs of a job", took_s, "s", 15, "the bound itself, s", 1)


def main() -> None:
    """Print the lines."""
    with figures.on_a_large_site(__doc__) as (root, n_executions):
        kept = [
            bench_rate(root, "node", NODE, 40),
            bench_rate(root, "small", SMALL, 100),
            bench_repeat(root),
            bench_job(root),
        ]
        large = root / "large"
        fill(large, n_executions)
        kept += [
            bench_growth(root, "node", NODE, large),
            bench_growth(root, "small", SMALL, large),
        ]
    figures.finish(kept)


if __name__ == "__main__":
    main()
