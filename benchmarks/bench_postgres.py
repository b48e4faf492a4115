"""
Merging into an index in PostgreSQL: beside a bare COPY and INSERT ON CONFLICT of the same rows.

    python benchmarks/bench_postgres.py postgresql:///cmfd

Makes schemas of its own in the database, and removes them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path

import figures
from bench_merge import NODE, SMALL, new_packs

from cmfd.store.content import tables
from cmfd.store.postgres import schema, staging
from cmfd.store.postgres.store import PostgresStore

GROUP = 8
RUNS = 7
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


def main() -> None:
    """Measure, turn and turn about."""
    kept = True
    with tempfile.TemporaryDirectory() as directory:
        for name, shape in (("nodes of 16 ranks", NODE), ("small packs", SMALL)):
            with closing(PostgresStore(sys.argv[1], f"bench_{uuid.uuid4().hex}")) as index:
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
    sys.exit(not kept)


if __name__ == "__main__":
    main()
