"""A node store after a kill, after an upgrade, and in the hands of a person."""

from __future__ import annotations

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from support.journals import EXECUTION, RUN, T0_NS, Journal
from support.nodes import content_of

from cmfd.errors import SchemaTooNewError
from cmfd.store.interpret import seal
from cmfd.store.migrations import SCHEMAS
from cmfd.store.node import JournalSlice, NodeStore
from cmfd.wire.messages import ExecutionBegin, ProcessBegin, RunBegin, Series
from cmfd.wire.ranges import covers

TESTS = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures"
BEGIN = (
    RunBegin(at_ns=1, run=RUN, site="/site", user="ada"),
    ExecutionBegin(at_ns=1, execution=EXECUTION, run=RUN, pipeline="p", stage="train"),
    ProcessBegin(at_ns=1, execution=EXECUTION, rank=3, host="node1"),
    Series(at_ns=1, id=1, execution=EXECUTION, name="loss"),
)

WRITER = """
import sys
from pathlib import Path
from test_store_lives_on import slices
from cmfd.store.node import NodeStore
store = NodeStore(Path(sys.argv[1]))
for number, piece in enumerate(slices()):
    store.append([piece])
    print("begin", number, flush=True)
    store.commit()
    print("done", number, flush=True)
"""


def slices() -> list[JournalSlice]:
    """Return what the process that is killed stores, one slice a commit."""
    journal = Journal().events(*BEGIN)
    for step in range(3000):
        journal.point(1, step * 0.5, step=step, at_ns=T0_NS + step * 1000)
    found = journal.slices()[:1]
    for block in journal.blocks[1:]:
        found += [
            journal.slice(block, first, min(first + 40, block.n_units))
            for first in range(0, block.n_units, 40)
        ]
    return found


def _kill_at(path: Path, n_lines: int) -> int:
    """Start a writer, kill it once it has said so many lines; return how many it had committed."""
    search = os.pathsep.join([str(TESTS), str(Path(__file__).parent)])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": search},
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(n_lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    return sum(line.startswith("done") for line in said)


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_kill_in_the_middle_of_commits_loses_nothing_committed(
    tmp_path: Path, rounds: int
) -> None:
    """Whatever was acknowledged is readable, and sending all again completes it exactly once."""
    expected = slices()
    rng = random.Random(rounds)
    path = tmp_path / "node.db"
    for _ in range(rounds):
        n_done = _kill_at(path, rng.randrange(1, 2 * len(expected)))
        with closing(NodeStore(path)) as store:
            there: dict[int, list[tuple[int, int]]] = {}
            for block, first, end in store.committed(expected[0].instance):
                there.setdefault(block, []).append((first, end))
            for piece in expected[:n_done]:
                assert covers(there[piece.block], piece.first, piece.end)
        n_values = sum(len(values) for _, values in content_of(path)["values"])
        assert n_values >= sum(piece.end - piece.first for piece in expected[1:n_done])
    with closing(NodeStore(path)) as store:
        store.append(expected)
        store.commit()
    with closing(NodeStore(tmp_path / "plain.db")) as store:
        store.append(expected)
        store.commit()
    assert content_of(path) == content_of(tmp_path / "plain.db")


def _from_fixture(name: str, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript((FIXTURES / name).read_text("utf-8"))
    return path


@pytest.mark.parametrize("version", range(1, len(SCHEMAS["node"]) + 1))
def test_a_store_of_every_past_schema_opens_with_all_it_held(tmp_path: Path, version: int) -> None:
    """It is brought to this schema, sealed, and goes on being written."""
    path = _from_fixture(f"node-{version}.sql", tmp_path / "node.db")
    before = content_of(path)
    with closing(NodeStore(path)) as store:
        (standing,) = store.unsealed_runs()
        assert (standing.run, standing.site, standing.has_new) == (RUN, "/site", True)
        pack = seal(path, RUN, tmp_path, final=False, now_ns=1, cluster="c", node="n")
        assert pack is not None
        known = content_of(path)
        assert {name: known[name] for name in before} == before
        more = Journal(instance=b"\x42" * 16).events(*BEGIN).point(1, 0.5)
        store.append(more.slices())
        store.commit()
        assert store.figures.values == 1


def test_a_store_of_a_newer_cmfd_is_left_alone(tmp_path: Path) -> None:
    """A daemon that is too old does not start on it."""
    path = tmp_path / "node.db"
    NodeStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNewError):
        NodeStore(path)
    assert path.read_bytes() == before


def test_a_person_reads_the_store_with_plain_names(tmp_path: Path) -> None:
    """Any SQLite shell will do: ids in hex, times in ISO 8601, what is not known is null."""
    journal = Journal().events(*BEGIN).point(1, 0.25, step=7, at_ns=T0_NS)
    with closing(NodeStore(tmp_path / "node.db")) as store:
        store.append(journal.slices())
        store.commit()
    with closing(sqlite3.connect(tmp_path / "node.db")) as connection:
        db = sqlite_utils.Database(connection)

        def first(view: str) -> dict[str, Any]:
            return dict(next(db[view].rows))

        assert first("runs")["run"] == RUN.hex()
        assert first("runs")["user"] == "ada"
        assert first("executions")["stage"] == "train"
        assert first("executions")["parent"] is None
        assert first("processes")["status"] == "running"
        last = first("metrics_last")
        assert (last["name"], last["rank"], last["step"], last["value"]) == ("loss", 3, 7, 0.25)
        assert last["at"] == "2026-09-21T14:13:20.000Z"
        assert first("journals")["n_blocks"] == 2
        for view in ("params", "events", "artifacts", "environments", "facts"):
            assert list(db[view].rows) == []


def test_a_smooth_series_takes_at_most_ten_bytes_a_value_on_disk(tmp_path: Path) -> None:
    """The whole database: values, steps, times, and all that is stored beside them."""
    n_values = 100_000
    rng = random.Random(1)
    journal = Journal().events(*BEGIN)
    at_ns = T0_NS
    for step in range(n_values):
        at_ns += round(rng.lognormvariate(7, 0.4))
        journal.point(1, math.exp(-step / 1e4), step=step, at_ns=at_ns)
    with closing(NodeStore(tmp_path / "node.db")) as store:
        store.append(journal.slices())
        store.commit()
        assert store.figures.values == n_values
    assert (tmp_path / "node.db").stat().st_size <= 10 * n_values
