"""
A simulator of large sites: a job of thousands of nodes ending at once, and a day of many jobs.

    python benchmarks/simulate_site.py [--nodes 1000 10000] [--jobs 100000] [--directory DIR]

There are no real nodes: one machine plays them all, one after the other. The packs are real,
made by the real store of what ranks log, and so are the inbox, the lock and the merger. What is
told is therefore the site's side: what waits, what a merge takes, what the index grows by, and
what a question takes afterwards. 100,000 jobs take some hours and 30 GB below DIR.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmfd.identity import execution_id, uuid7
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.query.runtime import runtimes
from cmfd.query.selection import Selection, choose
from cmfd.store.interpret import seal
from cmfd.store.node import JournalSlice, NodeStore
from cmfd.store.pack import publish
from cmfd.wire import journal as form
from cmfd.wire.messages import (
    Environment,
    ExecutionBegin,
    ExecutionEnd,
    Param,
    ProcessBegin,
    ProcessState,
    Record,
    RunBegin,
    RunEnd,
    Series,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cmfd.merge.absorb import Progress

T0_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
DAY_S = 86_400
N_USERS = 300
METRICS = ("loss", "accuracy", "rate", "norm", "seconds_per_step")
ENVIRONMENT = json.dumps({"packages": {f"package{number}": "1.2.3" for number in range(150)}})
SIZES = ((1, 80), (2, 8), (4, 6), (16, 4), (64, 2))
"""Nodes of a job, and how many of a hundred jobs have so many."""
PACKS_AT_ONCE = 200
"""Packs made in one node store, which is then thrown away."""


class Part(NamedTuple):
    """What one node has to say of a job."""

    run: bytes
    job: int
    node: int
    n_nodes: int
    ranks_per_node: int
    n_values: int

    @property
    def began_ns(self) -> int:
        """When the job began: a day's jobs come evenly."""
        return T0_NS + self.job * SECOND_NS


def whole_job(job: int, n_nodes: int, ranks_per_node: int, n_values: int) -> list[Part]:
    """Return the parts of a job."""
    run = uuid7()
    return [Part(run, job, node, n_nodes, ranks_per_node, n_values) for node in range(n_nodes)]


def day_of_jobs(n_jobs: int) -> Iterator[Part]:
    """Yield the parts of so many jobs of all sizes, in the order in which they end."""
    choose = random.Random(1)
    sizes = choose.choices([n for n, _ in SIZES], [weight for _, weight in SIZES], k=n_jobs)
    for job, n_nodes in enumerate(sizes):
        yield from whole_job(job, n_nodes, 1 if n_nodes == 1 else 4, 100)


def said_by_rank(part: Part, local_rank: int) -> list[JournalSlice]:
    """Return the journal of one rank."""
    rank = part.node * part.ranks_per_node + local_rank
    execution = execution_id(part.run, str(part.job), "digits", "train", 0)
    instance, at_ns, host = uuid7(), part.began_ns, f"n{part.node:05}"
    records: list[Record] = [
        RunBegin(at_ns=at_ns, run=part.run, cluster="c", job=str(part.job), restart=0,
                 user=f"user{part.job % N_USERS}", name="", command="train.py", cwd="/home/u",
                 site=""),
        ExecutionBegin(at_ns=at_ns, execution=execution, run=part.run, parent=None,
                       pipeline="digits", stage="train", step="0"),
        ProcessBegin(at_ns=at_ns, execution=execution, rank=rank,
                     size=part.n_nodes * part.ranks_per_node, local_rank=local_rank, host=host,
                     pid=1000 + local_rank, role="rank"),
        *(Series(at_ns=at_ns, id=number, execution=execution, name=name, kind="float")
          for number, name in enumerate(METRICS, 1)),
    ]  # fmt: skip
    ended_ns = at_ns + 60 * SECOND_NS
    if rank == 0:
        records += [
            Param(at_ns=at_ns, execution=execution, key=f"parameter_{number}", type="float",
                  value=number * 0.1) for number in range(20)
        ]  # fmt: skip
        records += [
            Environment(at_ns=at_ns, execution=execution, document=ENVIRONMENT),
            ExecutionEnd(at_ns=ended_ns, execution=execution, status="completed",
                         exit_code=0, signal=None),
            RunEnd(at_ns=ended_ns, run=part.run, status="completed", exit_code=0, signal=None),
        ]  # fmt: skip
    records.append(
        ProcessState(at_ns=ended_ns, execution=execution, status="completed", exit_code=0,
                     signal=None, cpu_user_ns=50 * SECOND_NS, cpu_system_ns=SECOND_NS,
                     max_rss_bytes=10**9, dropped=0)
    )  # fmt: skip
    points = b"".join(
        form.POINT.pack(at_ns + step * 10**8, step, 1.0 / (step + number), number, 2)
        for step in range(part.n_values) for number in range(1, len(METRICS) + 1)
    )  # fmt: skip
    events = b"".join(map(_event, records))
    source = (instance, 1000 + part.job % N_USERS, "/gone", host)
    return [
        JournalSlice(*source, 1, form.EVENTS, 1, 0, 0, len(events), events),
        JournalSlice(*source, 2, form.POINTS, form.POINT.size, 0, 0,
                     len(points) // form.POINT.size, points),
    ]  # fmt: skip


def _event(record: Record) -> bytes:
    payload = encode(record)
    return (
        form.EVENT_HEADER.pack(len(payload), zlib.crc32(payload))
        + payload
        + bytes(-len(payload) % 8)
    )


def make_packs(directory: Path, parts: Sequence[Part]) -> list[Path]:
    """Let a node store take in what each node's ranks said, and seal it."""
    packs = []
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        path = Path(scratch) / "node.db"
        with closing(NodeStore(path)) as store:
            for part in parts:
                journals = [said_by_rank(part, rank) for rank in range(part.ranks_per_node)]
                store.append(itertools.chain.from_iterable(journals))
                for journal in journals:
                    store.end_instance(journal[0].instance, part.began_ns)
                store.commit()
                sealed = seal(path, part.run, directory, final=True, now_ns=part.began_ns,
                              cluster="c", node=f"n{part.node:05}")  # fmt: skip
                assert sealed is not None
                packs.append(sealed.path)
                # Of the next node of this job nothing may be left.
                store.mark_sealed(part.run, sealed.upto, final=True, at_ns=1)
                store.purge(2)
                store.commit()
    return packs


def all_packs(root: Path, parts: Sequence[Part]) -> list[Path]:
    """Make the packs of all parts, in their order, on all processors."""
    root.mkdir(exist_ok=True)
    lots = [parts[at : at + PACKS_AT_ONCE] for at in range(0, len(parts), PACKS_AT_ONCE)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as makers:
        return list(itertools.chain.from_iterable(makers.map(make_packs, [root] * len(lots), lots)))


def tell(what: str, figure: float, unit: str) -> None:
    """Print a line."""
    print(f"  {what:<58} {figure:>12.4g} {unit}", flush=True)


def timed_s(act: Callable[[], object], times: int = 1) -> float:
    """Return how long something takes, at the median."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def refused_s(site: Path, begun_merging: Path, done: Path) -> list[float]:
    """Try to merge beside a merger until it is done; return how long each refusal took."""
    took: list[float] = []
    while not begun_merging.exists():
        time.sleep(0.01)
    while not done.exists():
        begun = time.perf_counter()
        if merge_site(site).busy_holder:
            took.append(time.perf_counter() - begun)
        time.sleep(0.2)
    return took


def merge(site: Path, progress: Progress | None = None) -> tuple[float, float]:
    """Merge what waits; return how long that took, and how much CPU time."""
    begun_s = time.process_time()
    took_s = timed_s(lambda: merge_site(site, progress=progress))
    return took_s, time.process_time() - begun_s


def simulate_job(root: Path, n_nodes: int) -> None:
    """Let a job of so many nodes end at once."""
    print(f"a job of {n_nodes:,} nodes, 4 ranks each, ends at once:")
    site = init_site(root / f"job-{n_nodes}").path
    packs = all_packs(root / f"packs-{n_nodes}", whole_job(1, n_nodes, 4, 100))
    tell("size of a pack, median", statistics.median(p.stat().st_size for p in packs) / 1e3, "kB")
    publish_s = timed_s(lambda: [publish(pack, site) for pack in packs])
    tell("publishing a pack: copied, hashed, on disk", publish_s * 1e3 / n_nodes, "ms")
    tell("size of the inbox", sum(p.stat().st_size for p in (site / "inbox").iterdir()) / 1e6, "MB")
    begun, done = root / f"begun-{n_nodes}", root / f"done-{n_nodes}"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:
        refusals = others.submit(refused_s, site, begun, done)
        merge_s, cpu_s = merge(site, progress=lambda *_: begun.touch())
        done.touch()
    tell("until the run is complete at the site", merge_s, "s")
    tell("merge rate", n_nodes / merge_s, "packs/s")
    tell("CPU time of merging a pack", cpu_s * 1e3 / n_nodes, "ms")
    tell("a merger that finds another at work is back after", _median_ms(refusals.result()), "ms")
    tell("size of the index", (site / "index.db").stat().st_size / 1e6, "MB")
    with open_index(site) as db:
        tell("the run in full (cmfd show)", timed_s(lambda: runs.detail(db, 1)), "s")
    shutil.rmtree(root / f"packs-{n_nodes}")
    shutil.rmtree(site)


def _median_ms(took_s: list[float]) -> float:
    return statistics.median(took_s) * 1e3 if took_s else float("nan")


def simulate_day(root: Path, n_jobs: int) -> None:
    """Let jobs of all sizes come to a site, a tenth of them at a time."""
    print(f"{n_jobs:,} jobs of 1 to {SIZES[-1][0]} nodes, one after the other:")
    site = init_site(root / "day").path
    parts = list(day_of_jobs(n_jobs))
    n_packs, index, packs_bytes = 0, site / "index.db", 0
    for tenth in range(10):
        lot = parts[len(parts) * tenth // 10 : len(parts) * (tenth + 1) // 10]
        packs = all_packs(root / "packs", lot)
        packs_bytes += sum(pack.stat().st_size for pack in packs)
        (site / "inbox").mkdir(exist_ok=True)
        for pack in packs:
            pack.rename(site / "inbox" / pack.name)
        merge_s, cpu_s = merge(site)
        n_packs += len(packs)
        tell(f"merge rate, {n_packs:,} packs in the site by then", len(packs) / merge_s, "packs/s")
        tell("CPU time of merging a pack", cpu_s * 1e3 / len(packs), "ms")
    a_day = 100_000 / n_jobs
    tell("packs of 100,000 jobs", n_packs * a_day, "files")
    tell("their size", packs_bytes * a_day / 1e9, "GB")
    tell("what the index grows by", index.stat().st_size * a_day / 1e9, "GB")
    tell("merging them, at the last rate", n_packs * a_day * merge_s / len(packs) / 3600, "h")
    with open_index(site) as db:
        tell("the last 20 runs (cmfd runs)", timed_s(lambda: runs.recent(db, limit=20), 3), "s")
        tell("one run in full (cmfd show)", timed_s(lambda: runs.detail(db, n_jobs // 2), 3), "s")
        choose(db, Selection())
        report_s = timed_s(lambda: runtimes(db, "user"))
        tell("all runs by user (cmfd report runtime --by user)", report_s, "s")


def main() -> None:
    """Simulate what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        for n_nodes in options.nodes:
            simulate_job(Path(directory), n_nodes)
        if options.jobs:
            simulate_day(Path(directory), options.jobs)


if __name__ == "__main__":
    main()
