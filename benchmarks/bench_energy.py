"""
Energy at a large site: merging it, and what reports ask of it.

    python benchmarks/bench_energy.py [--rows 1000000] [--directory DIR]

A million rows are of 43 nodes' days: a run after the other on each node, each minute shared between
the run, idle time and the system, of four components. All times are of the processor.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import figures

from cmfd.merge.layout import init_site
from cmfd.query import energy
from cmfd.query.energy import DAY_NS, Which
from cmfd.query.index import open_index
from cmfd.store.energy import NOBODY, EnergyRow
from cmfd.store.factpack import pack_rows
from cmfd.store.site import MAX_GROUP, SiteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T0_NS = 1_700_006_400_000_000_000
MINUTE_NS = 60_000_000_000
COMPONENTS = (("cpu", "rapl"), ("dram", "rapl"), ("gpu", "nvml"), ("other", "pm_counters"))
MINUTES_OF_RUN = 120
N_NODES = 8
N_USERS = 10
RUNS = 5
OWNERS = (("run", 700), ("idle", 200), ("system", 100), ("counter", 1000))
ROWS_OF_RUN = MINUTES_OF_RUN * len(COMPONENTS) * len(OWNERS)


def rows_of(number: int) -> Iterator[EnergyRow]:
    """Yield what a run's time on its node was, whose ever."""
    node, place = f"n{number % N_NODES}", number // N_NODES
    run, boot = number.to_bytes(16, "big"), (number % N_NODES + 1).to_bytes(16, "big")
    for minute in range(MINUTES_OF_RUN):
        t0_ns = T0_NS + (place * MINUTES_OF_RUN + minute) * MINUTE_NS
        for component, source in COMPONENTS:
            for owner, uj in OWNERS:
                yield EnergyRow(
                    t0_ns, node, boot, owner, run if owner == "run" else NOBODY, NOBODY, component,
                    "", source, "count", MINUTE_NS, t0_ns + MINUTE_NS, uj + minute, uj // 3,
                    MINUTE_NS, MINUTE_NS, "B", "shared_static_dynamic", 0, boot,
                )  # fmt: skip


def make_packs(directory: Path, n_runs: int) -> list[Path]:
    """Make a pack of each run, and one of the ledger for the time of each."""
    packs = []
    for number in range(1, n_runs + 1):
        run, user = number.to_bytes(16, "big"), f"user{number % N_USERS}"
        begun = (run, T0_NS + number, run, 1000, "c", str(number), 0, user, "", "", "/")
        rows = list(rows_of(number))
        mine = [row for row in rows if row.owner == "run"]
        ledger = [row for row in rows if row.owner != "run"]
        contents: tuple[dict[str, list[Any]], ...] = (
            {"run": [begun], "energy": mine},
            {"energy": ledger},
        )
        for content in contents:
            node = rows[0].node
            packs.append(pack_rows(directory, content, now_ns=number, cluster="c", node=node))
    return packs


def took_s(work: Callable[[], object]) -> float:
    """Return how much of a processor something takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def absorb(site: Path, packs: list[Path]) -> None:
    """Absorb packs, a group at a time."""
    with closing(SiteStore(site / "index.db")) as index:
        for first in range(0, len(packs), MAX_GROUP):
            index.absorb_group([(pack, pack.stem) for pack in packs[first : first + MAX_GROUP]])


def copy_bare(path: Path, packs: list[Path]) -> None:
    """Copy the rows of packs into a table without any rule."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = -65536")
        for first in range(0, len(packs), MAX_GROUP):
            group = packs[first : first + MAX_GROUP]
            for number, pack in enumerate(group):
                db.execute(f"ATTACH ? AS p{number}", (str(pack),))
            db.execute("BEGIN")
            for number in range(len(group)):
                db.execute(
                    f"CREATE TABLE IF NOT EXISTS energy AS SELECT * FROM p{number}.energy WHERE 0"
                )
                db.execute(f"INSERT INTO energy SELECT * FROM p{number}.energy")
            db.execute("COMMIT")
            for number in range(len(group)):
                db.execute(f"DETACH p{number}")


def by_user(db: sqlite3.Connection, which: Which) -> dict[str, int]:
    """Sum up what each user took."""
    users = dict(db.execute("SELECT id, user FROM run"))
    found: dict[str, int] = defaultdict(int)
    for row in energy.sums(db, which):
        found[users[row.run_id]] += row.uj
    return found


def bench_questions(db: sqlite3.Connection) -> list[bool]:
    """Measure what reports ask."""
    day = Which(since_ns=T0_NS + DAY_NS, until_ns=T0_NS + 2 * DAY_NS)
    asked: dict[str, tuple[float, Callable[[], object]]] = {
        "a run": (10, lambda: energy.sums(db, Which(run_ids=[7]))),
        "a run, row by row": (20, lambda: list(energy.rows(db, Which(run_ids=[7])))),
        "a month by user": (1000, lambda: by_user(db, Which())),
        "a day by user": (300, lambda: by_user(db, day)),
        "a node's day, balanced": (
            200, lambda: energy.balances(db, ["n3"], day.since_ns, day.until_ns)
        ),
        "a month by hour, for a plot": (
            4000, lambda: energy.sums(db, everything=True, step_ns=3600 * 10**9)
        ),
    }  # fmt: skip
    kept = []
    for name, (bound_ms, ask) in asked.items():
        ask()
        ours = statistics.median(took_s(ask) for _ in range(RUNS)) * 1e3
        kept.append(figures.line(name, ours, "ms", bound_ms, "the bound itself, ms", 1))
    return kept


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        root = Path(directory)
        (root / "packs").mkdir()
        packs = make_packs(root / "packs", -(-options.rows // ROWS_OF_RUN))
        init_site(root / "site")
        merged_s = took_s(lambda: absorb(root / "site", packs))
        bare_s = took_s(lambda: copy_bare(root / "bare.db", packs))
        kept = [
            figures.line(
                "merging a million rows", merged_s * 1e6 / options.rows, "s",
                bare_s * 1e6 / options.rows, "copying them bare, s", 10,
            ),
            figures.line(
                "index, bytes a row", (root / "site/index.db").stat().st_size / options.rows, "",
                (root / "bare.db").stat().st_size / options.rows, "bare copy", 1,
            ),
        ]  # fmt: skip
        with open_index(root / "site") as db:
            kept += bench_questions(db)
    figures.finish(kept)


if __name__ == "__main__":
    main()
