"""
An index in PostgreSQL: merging beside a bare COPY and INSERT ON CONFLICT, questions beside SQLite.

Questions are measured in CPU time, that of the server's process included, so that other work on the
machine is not.

    python benchmarks/bench_postgres.py postgresql:///cmfd [--executions 100000]

Makes schemas of its own in the database, and removes them.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import figures
import indexes
from bench_lineage import SEARCHES
from bench_merge import NODE, SMALL, new_packs
from synthetic import Project, make_site

from cmfd.merge.layout import init_site
from cmfd.query import runs
from cmfd.query.graph import keep
from cmfd.query.impact import impact
from cmfd.query.index import open_index
from cmfd.query.reach import reach
from cmfd.query.search import best, search
from cmfd.query.subject import Subject
from cmfd.query.walk import Start, Way
from cmfd.store.content import layout, tables
from cmfd.store.postgres import schema, staging
from cmfd.store.postgres.connection import PostgresIndex
from cmfd.store.postgres.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = 8
RUNS = 7
WARM = 8
"""
How often all is asked before it is measured: a server keeps what it planned for one connection from
about then on. What is opened for one question shows what the first one takes.
"""

NOTHING = "nothing asked"
N_PACKS = 16


def absorb_s(index: PostgresStore, packs: list[Path]) -> float:
    """Return how long merging takes, group by group."""
    begin = time.perf_counter()
    for first in range(0, len(packs), GROUP):
        group = [(pack, pack.stem) for pack in packs[first : first + GROUP]]
        assert index.absorb_group(group) == [True] * len(group)
    return time.perf_counter() - begin


def make_bare(index: PostgresStore) -> None:
    """Make tables that have the rows as they are, with their keys."""
    staging.make(index.db, layout())
    for table in tables():
        key = ", ".join(tables()[table].key)
        index.db.raw.execute(
            f"CREATE TABLE bare_{table} AS SELECT * FROM incoming_{table} LIMIT 0;"
            f" ALTER TABLE bare_{table} ADD PRIMARY KEY ({key})".encode()
        )
    index.db.raw.execute(
        b"CREATE TABLE bare_chunk AS SELECT * FROM incoming_chunk LIMIT 0;"
        b" ALTER TABLE bare_chunk ALTER data SET STORAGE EXTERNAL;"
        b" ALTER TABLE bare_chunk ADD PRIMARY KEY (instance, series, block)"
    )


def bare_s(index: PostgresStore, packs: list[Path]) -> float:
    """Return how long it takes to copy the same rows, and to insert what is new of them."""
    begin = time.perf_counter()
    for first in range(0, len(packs), GROUP):
        with schema.atomic(index.db):
            for number, pack in enumerate(packs[first : first + GROUP]):
                staging.copy(index.db, number, pack)
            for table in (*tables(), "chunk"):
                index.db.raw.execute(
                    f"INSERT INTO bare_{table} SELECT * FROM incoming_{table}"
                    " ON CONFLICT DO NOTHING".encode()
                )
    return time.perf_counter() - begin


def bench_questions(url: str, n_executions: int) -> bool:
    """Ask the same of the same rows in both."""
    kept = True
    with tempfile.TemporaryDirectory() as directory:
        there = [Path(directory, name) for name in ("file", "server")]
        projects = make_site(there[0], n_executions, [50, 5000])
        site = init_site(there[1], url)
        with closing(PostgresStore(url, site.schema)) as index:
            try:
                indexes.copy(there[0] / "index.db", index)
                index.db.raw.execute("VACUUM")  # as a server does by itself, a minute later
                with open_index(there[0]) as file, open_index(there[1]) as server:
                    for db in (file, server):
                        keep(db)
                    kept &= ask_both(file, server, questions, projects)
                    for kind, (make, remove) in WAYS.items():
                        change(there[0] / "index.db", server, make)
                        kept &= ask_both(file, server, walks, projects, f", {kind}")
                        change(there[0] / "index.db", server, remove)
                for name in questions_at_once(projects):
                    at_file, at_server = (opened_ms(at, projects, name) for at in there)
                    ours, bare, _ = figures.in_turn(at_server, at_file, RUNS)
                    kept &= figures.line(f"opened, {name}", ours, "ms", bare, "SQLite, ms", 3)
            finally:
                schema.drop(index.db)
    return kept


WAYS = {
    "with nesting": ("INSERT INTO nesting VALUES (1, 2)", "DELETE FROM nesting"),
    "with links": (
        "INSERT INTO link VALUES (1, 'same', 2, '', 0, zeroblob(16))",
        "DELETE FROM link",
    ),
}
"""What makes an index have more ways from thing to thing than events, and takes it away again."""


def change(file: Path, server: sqlite3.Connection, statement: str) -> None:
    """Run a statement in both indices, each of which is open to be asked."""
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute(statement)
    server.execute(statement)


def ask_both(
    file: sqlite3.Connection,
    server: sqlite3.Connection,
    asking: Callable[..., dict[str, Callable[[], object]]],
    projects: list[Project],
    more: str = "",
) -> bool:
    """Ask the same of both, turn and turn about, and print what it takes."""
    kept, theirs = True, asking(file, projects)
    for name, ask in asking(server, projects).items():
        sides = took_ms(server, ask), took_ms(file, theirs[name])
        for _ in range(WARM):
            for side in sides:
                side()
        ours, bare, _ = figures.in_turn(*sides, RUNS)
        kept &= figures.line(f"{name}{more}", ours, "ms", bare, "SQLite, ms", 3)
    return kept


def walks(db: sqlite3.Connection, projects: list[Project]) -> dict[str, Callable[[], object]]:
    """Return what is asked about lineage of few nodes."""
    asked = questions(db, projects[:1])
    return {name: ask for name, ask in asked.items() if name.startswith("lineage")}


def took_ms(db: sqlite3.Connection, ask: Callable[[], object]) -> Callable[[], float]:
    """Return what asks, and tells how much CPU time that took here and in the server."""

    def once() -> float:
        begin = cpu_ms(db)
        ask()
        return cpu_ms(db) - begin

    return once


def cpu_ms(db: object) -> float:
    """Return the CPU time so far of this process, and of the server's process for a connection."""
    here = time.process_time() * 1e3
    if not isinstance(db, PostgresIndex):
        return here
    in_ns = Path(f"/proc/{db.raw.info.backend_pid}/schedstat").read_text("ascii").split()[0]
    return here + int(in_ns) / 1e6


def opened_ms(site: Path, projects: list[Project], name: str) -> Callable[[], float]:
    """Return what opens an index, asks, and tells how much CPU time all of that took."""

    def once() -> float:
        begin = time.process_time() * 1e3
        with open_index(site) as db:
            if name != NOTHING:
                questions(db, projects)[name]()
            return cpu_ms(db) - begin

    return once


def questions(db: sqlite3.Connection, projects: list[Project]) -> dict[str, Callable[[], object]]:
    """Return what is asked of an index."""
    asked: dict[str, Callable[[], object]] = {"runs": lambda: runs.recent(db, limit=20)}
    for project in projects:
        for way, number in ((Way.DOWN, project.first), (Way.UP, project.last)):
            start = Start(is_execution=False, id=number)
            name = f"lineage {way.name.lower()}, {2 * project.n_executions} nodes"
            asked[name] = lambda start=start, way=way: reach(db, start, way)  # type: ignore[misc]
        start = Start(is_execution=False, id=project.first)
        query = "SELECT digest FROM artifact WHERE id = ?"
        subject = Subject(start, db.execute(query, (start.id,)).fetchone()[0])
        asked[f"impact in full, {2 * project.n_executions} nodes"] = partial(
            impact, db, subject, limit=20
        )
    query = "SELECT pipeline FROM execution GROUP BY pipeline ORDER BY count(*) DESC LIMIT 1"
    (largest,) = db.execute(query).fetchone()
    asked["best, largest pipeline"] = lambda: best(db, largest, "accuracy")
    for text in SEARCHES:
        asked[f"search {text[:36]}"] = lambda text=text: search(db, text, limit=20)  # type: ignore[misc]
    return asked


def questions_at_once(projects: list[Project]) -> list[str]:
    """Return what is asked of an index that is opened for it, as by a command."""
    nodes = 2 * projects[0].n_executions
    return [NOTHING, "runs", f"lineage down, {nodes} nodes", "search lamb"]


def main() -> None:
    """Measure, turn and turn about."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--executions", type=int, default=100_000)
    options = parser.parse_args()
    kept = bench_merging(options.url)
    sys.exit(not (bench_questions(options.url, options.executions) and kept))


def bench_merging(url: str) -> bool:
    """Compare the rates."""
    kept = True
    with tempfile.TemporaryDirectory() as directory:
        for name, shape in (("nodes of 16 ranks", NODE), ("small packs", SMALL)):
            with closing(PostgresStore(url, f"bench_{uuid.uuid4().hex}")) as index:
                try:
                    make_bare(index)
                    times = []
                    for number in range(RUNS):
                        packs = new_packs(Path(directory, f"{name}{number}"), shape, N_PACKS)
                        times.append((absorb_s(index, packs), bare_s(index, packs)))
                finally:
                    schema.drop(index.db)
            merged, bare = (statistics.median(column) for column in zip(*times, strict=True))
            what = "COPY and INSERT ON CONFLICT"
            kept &= figures.line(
                f"merge, {name}", N_PACKS / merged, "packs/s", N_PACKS / bare, what, 0.7,
                at_least=True,
            )  # fmt: skip
    return kept


if __name__ == "__main__":
    main()
