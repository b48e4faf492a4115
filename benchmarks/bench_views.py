"""
What of a large site is read for a small part of it, as `cmfd pull --pipeline` and others ask for.

    python benchmarks/bench_views.py [--executions 1000000] [--directory DIR]

Takes some minutes and 2 GB below DIR (default: where temporary files go). The index is a real one;
of the packs, which would be 100 GB, only the size is counted: those of a part are read whole, and
no others (bench_exchange.py reads real ones).
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import figures
from bench_exchange import read_bytes
from bench_merge import SMALL, new_packs
from synthetic import make_site

from cmfd.merge.layout import open_site
from cmfd.store.connection import statements
from cmfd.sync.local import SitePeer
from cmfd.sync.view import ALL_LEVELS, Choice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOUND = 3.0
"""Of the share of what is read, packs and all, in that of what was chosen. Of the index alone more
is read: a page of it has rows of 30 runs."""

RUNS = """
INSERT INTO run
SELECT e.id, randomblob(16), e.at_ns, e.origin, r.uid, r.cluster, e.id, 0, r.user, r.name,
    r.command, r.cwd
FROM execution AS e CROSS JOIN run AS r ON r.id = e.run_id WHERE e.id <> e.run_id;
UPDATE execution SET run_id = id;
INSERT INTO pack
SELECT id, lower(hex(randomblob(32))), :size_bytes, cluster, 'n1', at_ns, 1, at_ns, '' FROM run;
INSERT INTO pack_run SELECT id, id FROM run;
"""
"""A run and a pack of its own for each execution."""


def fill(site: Path, n_executions: int, pack_bytes: int) -> None:
    """Make the index of a site that has merged so many runs of one execution each."""
    make_site(site, n_executions, [])
    with closing(sqlite3.connect(site / "index.db", isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        for statement in statements(RUNS):
            db.execute(statement, {"size_bytes": pack_bytes} if ":size_bytes" in statement else {})
        db.execute("COMMIT")


def choices(site: Path, n_wanted: int) -> Iterator[tuple[str, Choice]]:
    """Yield parts that have about so many executions, as one asks for them."""
    with closing(sqlite3.connect(site / "index.db")) as db:

        def near(column: str, table: str) -> str:
            """Return the value that about so many rows have."""
            named: str = db.execute(
                f"SELECT {column} FROM {table} GROUP BY 1 ORDER BY abs(count(*) - ?)",
                (n_wanted,),
            ).fetchone()[0]
            return named

        since_ns = db.execute(
            "SELECT at_ns FROM execution ORDER BY at_ns DESC LIMIT 1 OFFSET ?", (n_wanted - 1,)
        ).fetchone()[0]
        # What a large project made last: that comes of much.
        artifact = db.execute(
            """SELECT digest FROM artifact WHERE id = (
                SELECT max(e.id) FROM execution AS e CROSS JOIN run AS r ON r.id = e.run_id
                WHERE r.cwd = (SELECT cwd FROM run GROUP BY 1 ORDER BY count(*) DESC))"""
        ).fetchone()[0]
        yield "pipeline", Choice(pipeline=near("pipeline", "execution"))
        yield "user", Choice(user=near("user", "run"))
        yield "stage", Choice(stage=near("stage", "execution"))
        yield "time", Choice(since_ns=since_ns)
        yield "artifact, all steps", Choice(artifact=artifact, depth=ALL_LEVELS)
        yield "artifact, two steps", Choice(artifact=artifact, depth=2)


def bench(site: Path, n_executions: int, pack_bytes: int) -> list[bool]:
    """Compare what is read for a part with the share of it."""
    index_bytes = (site / "index.db").stat().st_size
    whole_bytes = index_bytes + n_executions * pack_bytes
    kept = []
    for name, choice in choices(site, n_executions // 100):
        wanted = choice.wanted()
        assert wanted is not None
        before, begun = read_bytes(), time.process_time()
        part = SitePeer(open_site(site)).part(wanted)
        cpu_s, n_bytes = time.process_time() - begun, read_bytes() - before
        n_packs = len(part.entries)
        share = n_packs / n_executions
        print(f"{name}: {n_packs} of {n_executions} executions, {cpu_s:.2f} s of CPU time,")
        print(f"  {n_bytes / index_bytes:.2%} of the index")
        read = (n_bytes + n_packs * pack_bytes) / whole_bytes
        kept.append(figures.line(f"read by {name}", read, "of all", share, "its share", BOUND))
    return kept


def main() -> None:
    """Print the lines."""
    with figures.on_a_large_site(__doc__) as (root, n_executions):
        (pack,) = new_packs(root / "packs", SMALL, 1)
        pack_bytes = pack.stat().st_size
        fill(root / "site", n_executions, pack_bytes)
        figures.finish(bench(root / "site", n_executions, pack_bytes))


if __name__ == "__main__":
    main()
