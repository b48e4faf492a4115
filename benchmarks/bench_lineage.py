"""
Questions to a large site: lineage, impact, leader boards, searches.

    python benchmarks/bench_lineage.py [--executions 100000] [--directory DIR]

A site of a million executions takes 4 GB below DIR (default: where temporary files go) and some
minutes to make.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING

import figures
from synthetic import Project, make_site

from cmfd.query import runs
from cmfd.query.graph import keep
from cmfd.query.impact import impact
from cmfd.query.index import open_index
from cmfd.query.reach import FEW, reach
from cmfd.query.search import best, search
from cmfd.query.subject import Subject
from cmfd.query.walk import Start, Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WANTED = {50: 2.0, 5_000: 60.0, 50_000: 600.0}
"""Projects by how many executions they have (and as many artifacts), and their bounds in ms."""
RUNS = 7
RUNS_OF_FEW = 101
"""Of an answer that takes less than a millisecond."""
BARE = {
    Way.DOWN: """
        WITH RECURSIVE reached (kind, id) AS (
            VALUES (0, ?)
            UNION
            SELECT 1, e.execution FROM reached AS r CROSS JOIN edge AS e
            WHERE r.kind = 0 AND e.artifact = r.id AND e.kind = 0
            UNION
            SELECT 0, e.artifact FROM reached AS r CROSS JOIN edge AS e
            WHERE r.kind = 1 AND e.execution = r.id AND e.kind = 1
        ) SELECT kind, id FROM reached""",
    Way.UP: """
        WITH RECURSIVE reached (kind, id) AS (
            VALUES (0, ?)
            UNION
            SELECT 1, e.execution FROM reached AS r CROSS JOIN edge AS e
            WHERE r.kind = 0 AND e.artifact = r.id AND e.kind = 1
            UNION
            SELECT 0, e.artifact FROM reached AS r CROSS JOIN edge AS e
            WHERE r.kind = 1 AND e.execution = r.id AND e.kind = 0
        ) SELECT kind, id FROM reached""",
}
SEARCHES = (
    'lr < 0.01 and stage = "train" and metric.accuracy > 0.9',
    'lr < 0.0002 and stage = "train" and user = "user3"',
    'tag.baseline and user = "user3"',
    'cluster = "c1" and optimizer = "adam" and not batch in (16, 32)',
    "lamb",
    '"nowhere-to-be-found"',
)


def bare_copy(index: Path, path: Path) -> sqlite3.Connection:
    """Copy the events into a table of three integers with two covering indexes."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("ATTACH ? AS site", (str(index),))
    db.execute("CREATE TABLE edge (execution INTEGER, kind INTEGER, artifact INTEGER)")
    db.execute(
        "INSERT INTO edge SELECT execution_id, direction = 'output', artifact_id FROM site.event"
    )
    db.execute("CREATE INDEX edge_down ON edge (execution, kind, artifact)")
    db.execute("CREATE INDEX edge_up ON edge (artifact, kind, execution)")
    db.execute("DETACH site")
    return db


def took_ms(ask: Callable[[], object]) -> float:
    """Return how much of a processor a question takes: a machine may have other work, too."""
    begun = time.process_time()
    ask()
    return (time.process_time() - begun) * 1e3


def bench_walk(
    db: sqlite3.Connection, bare: sqlite3.Connection, project: Project, bound_ms: float, how: str
) -> list[bool]:
    """Compare both ways from the ends of a project with a bare query for the same nodes."""
    kept = []
    for way, number in ((Way.DOWN, project.first), (Way.UP, project.last)):
        start = Start(is_execution=False, id=number)
        found = reach(db, start, way)
        n_nodes = len(found.artifacts) + len(found.executions)
        assert n_nodes == len(bare.execute(BARE[way], (number,)).fetchall())
        ours, theirs, _ = figures.in_turn(
            lambda start=start, way=way: took_ms(lambda: reach(db, start, way)),  # type: ignore[misc]
            lambda number=number, way=way: took_ms(  # type: ignore[misc]
                lambda: bare.execute(BARE[way], (number,)).fetchall()
            ),
            RUNS_OF_FEW if n_nodes < FEW else RUNS,
        )
        name = f"lineage {way.name.lower()} {how}, {n_nodes} nodes"
        kept += [
            figures.line(name, ours, "ms", theirs, "bare recursive CTE, ms", 1.5),
            figures.line(name, ours, "ms", bound_ms, "the bound itself, ms", 1),
        ]
    return kept


def bench_graph(db: sqlite3.Connection) -> bool:
    """Make the graph of the site, once; against a look at all that it is made of."""
    ours = took_ms(lambda: keep(db))
    looks = (
        "SELECT total(artifact_id + execution_id) FROM event",
        "SELECT total(run_id + at_ns) FROM execution",
        "SELECT total(at_ns) FROM run",
        "SELECT count(kind) FROM event WHERE execution_id >= 0 AND direction = 'output'",
    )
    theirs = took_ms(lambda: [db.execute(look).fetchall() for look in looks])
    return figures.line("making the graph", ours, "ms", theirs, "a look at all of it, ms", 10)


def bench_impact(db: sqlite3.Connection, project: Project, bound_ms: float) -> bool:
    """Measure all that `cmfd impact` says, the 20 newest listed: users, runs, nodes, paths."""
    start = Start(is_execution=False, id=project.first)
    (digest,) = db.execute("SELECT digest FROM artifact WHERE id = ?", (start.id,)).fetchone()
    n_nodes = 2 * project.n_executions
    n = RUNS_OF_FEW if n_nodes < FEW else RUNS
    ours = median_ms(lambda: impact(db, Subject(start, digest), limit=20), n)
    name = f"impact in full, {n_nodes} nodes"
    return figures.line(name, ours, "ms", bound_ms, "the bound itself, ms", 1)


def median_ms(ask: Callable[[], object], n: int = RUNS) -> float:
    """Return the median of several askings, after a first one."""
    ask()
    return statistics.median(took_ms(ask) for _ in range(n))


def bench_searches(db: sqlite3.Connection) -> list[bool]:
    """Measure the lists."""
    largest = db.execute(
        "SELECT pipeline FROM execution GROUP BY pipeline ORDER BY count(*) DESC LIMIT 1"
    ).fetchone()[0]
    asked: dict[str, Callable[[], object]] = {
        "runs": lambda: runs.recent(db, limit=20),
        "best, largest pipeline": lambda: best(db, largest, "accuracy"),
        "best, with a filter": lambda: best(db, largest, "accuracy", where="lr < 0.01"),
        **{
            f"search {text[:36]}": lambda text=text: search(db, text, limit=20)  # type: ignore[misc]
            for text in SEARCHES
        },
    }
    return [
        figures.line(name, median_ms(ask), "ms", 200, "the bound itself, ms", 1)
        for name, ask in asked.items()
    ]


def main() -> None:
    """Print the lines."""
    with figures.on_a_large_site(__doc__, 100_000) as (root, n_executions):
        wanted = {n: bound for n, bound in WANTED.items() if 2 * n <= n_executions}
        projects = make_site(root / "site", n_executions, list(wanted))
        kept: list[bool] = []
        with (
            open_index(root / "site") as db,
            closing(bare_copy(root / "site" / "index.db", root / "bare.db")) as bare,
        ):
            asked = list(zip(projects, wanted.values(), strict=True))
            for project, bound_ms in asked[:2]:  # the third one has the graph made
                kept += bench_walk(db, bare, project, bound_ms, "without a graph")
            kept.append(bench_graph(db))
            for project, bound_ms in asked:
                kept += bench_walk(db, bare, project, bound_ms, "with one")
                kept.append(bench_impact(db, project, bound_ms))
            kept += bench_searches(db)
    figures.finish(kept)


if __name__ == "__main__":
    main()
