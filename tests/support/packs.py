"""
Packs of made-up content, written with the schema's own DDL and named like real ones.

Ids come from small pools, so that packs contradict, repeat and complete each
other far more often than real ones would.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from cmfd.formats.ingested import imported_origin
from cmfd.store.columns import encode
from cmfd.store.content import tables
from cmfd.store.migrations import migrate
from cmfd.store.pack import FORMAT, finish

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Value = bytes | str | int | float | None
Row = tuple[Value, ...]
Content = dict[str, list[Row]]
"""Rows by table, in the order of the table's columns."""

NUMBERS: tuple[int | float, ...] = (0, 1, -5, 2**63 - 1, -(2**63), 0.5, 1e300, float("inf"))
_VALUES = encode(np.arange(100), np.arange(100), np.full(100, 0.5))
PARAMS: tuple[tuple[str, Value], ...] = (
    ("int", 1), ("int", -(2**63)), ("float", 1.0), ("float", 0.1), ("float", "NaN"),
    ("float", float("-inf")), ("bool", 1), ("bool", 0), ("str", "1"), ("str", ""),
    ("str", "NaN"), ("str", "é 中"), ("null", "null"), ("json", '{"a": [1, null]}'),
)  # fmt: skip


def an_id(kind: str, number: int) -> bytes:
    """Return the id of the `number`-th run, execution, ... of these tests."""
    return kind.encode().ljust(8, b"-") + number.to_bytes(8, "big")


def write_pack(
    directory: Path, content: Mapping[str, Sequence[Row]], *, node: str = "n1", sealed_ns: int = 1
) -> Path:
    """
    Write and finish a pack.

    Parameters
    ----------
    directory : Path
        Where; made if missing.
    content : mapping of str to sequence of tuple
        Rows by table, one for each key.
    node, sealed_ns : str, int
        Of its label.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"unfinished-{node}-{sealed_ns}.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        migrate(db, "pack")
        db.execute("BEGIN")
        for table, rows in content.items():
            for row in rows:
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO {table} VALUES ({marks})", row)
        db.execute(
            "INSERT INTO pack VALUES (?, 'test', 'cluster', ?, ?, 1, '')", (FORMAT, node, sealed_ns)
        )
        db.execute("COMMIT")
    return finish(path)


def damage_pack(pack: Path, content: bytes) -> None:
    """Put something else in the place of a pack, which nobody writes to once it is published."""
    pack.unlink()
    pack.write_bytes(content)


def random_content(rng: random.Random, n_rows: int) -> Content:
    """Return `n_rows` rows over all tables, any of which may name what no row defines."""
    rows: dict[str, dict[Row, Row]] = {}
    for _ in range(n_rows):
        table, row = rng.choice(_ROWS)(rng)
        rows.setdefault(table, {})[row[: key_length(table)]] = row
    return {table: list(by_key.values()) for table, by_key in rows.items()}


def key_length(table: str) -> int:
    """Return how many of a table's columns, the first ones, are its key."""
    return {"chunk": 3, "delivery": 2}.get(table) or len(tables()[table].key)


def small_run(number: int, *, n_ranks: int = 2, n_params: int = 3, n_chunks: int = 2) -> Content:
    """Return a run as a node really seals it: nothing missing, nothing contradictory."""
    run, execution = an_id("run", number), an_id("exec", number)
    ranks = [an_id("proc", number * 1000 + rank) for rank in range(n_ranks)]
    digest = f"md5:{number:032x}"
    begin = 1_700_000_000_000_000_000 + number * 1_000_000_000
    return {
        "run": [(run, begin, ranks[0], 1000, "c", str(number), 0, "ann", "", "true", "/home/ann")],
        "run_end": [(run, begin + 9_000_000_000, ranks[0], "completed", 0, None)],
        "execution": [(execution, begin, ranks[0], run, None, "digits", "train", "0")],
        "process": [
            (execution, rank, begin, rank, index, n_ranks, index, "n1", 100 + index, "rank")
            for index, rank in enumerate(ranks)
        ],
        "process_state": [
            (execution, rank, begin + 8_000_000_000, rank, "completed", 0, None, 10**9, 0, 10**8, 0)
            for rank in ranks
        ],
        "param": [
            (execution, f"p{index}", "int", index, begin, ranks[0], 0) for index in range(n_params)
        ],
        "artifact": [(digest, "", 10, 1)],
        "event": [
            (execution, "output", digest, "model.bin", begin, ranks[0], "model", "n1",
             "/home/ann/model.bin", 0, "", "")
        ],
        "series": [(rank, 1, execution, "loss", "float") for rank in ranks],
        "chunk": [
            (rank, 1, block, 100, 0, block * 100, block * 100 + 99, begin, begin + block, 0.0, 1.0,
             50.0, block * 100 + 99, 0.5, _VALUES)
            for rank in ranks for block in range(n_chunks)
        ],
    }  # fmt: skip


def _run(rng: random.Random) -> tuple[str, Row]:
    return "run", (
        _made_up(rng, "run"), *_said(rng), rng.choice((0, 1000)), _word(rng), _word(rng),
        rng.randrange(2), _word(rng), _word(rng), _word(rng), _word(rng),
    )  # fmt: skip


def _run_end(rng: random.Random) -> tuple[str, Row]:
    return "run_end", (_made_up(rng, "run"), *_said(rng), *_ending(rng))


def _execution(rng: random.Random) -> tuple[str, Row]:
    parent = rng.choice((None, _id(rng, "exec")))
    return "execution", (
        _id(rng, "exec"), *_said(rng), _id(rng, "run"), parent, _word(rng), _word(rng), _word(rng),
    )  # fmt: skip


def _execution_end(rng: random.Random) -> tuple[str, Row]:
    return "execution_end", (_id(rng, "exec"), *_said(rng), *_ending(rng))


def _process(rng: random.Random) -> tuple[str, Row]:
    return "process", (
        _id(rng, "exec"), _id(rng, "proc"), *_said(rng), rng.randrange(2), 2, 0, _word(rng), 7,
        "rank",
    )  # fmt: skip


def _process_state(rng: random.Random) -> tuple[str, Row]:
    return "process_state", (
        _id(rng, "exec"), _id(rng, "proc"), *_said(rng), *_ending(rng), rng.randrange(2), 0, 0, 0,
    )  # fmt: skip


def _param(rng: random.Random) -> tuple[str, Row]:
    return "param", (
        _id(rng, "exec"), _word(rng), *rng.choice(PARAMS), *_said(rng), rng.randrange(2),
    )  # fmt: skip


def _fact(rng: random.Random) -> tuple[str, Row]:
    subject = _id(rng, rng.choice(("run", "exec")))
    return "fact", (subject, _word(rng), *_said(rng), *rng.choice(PARAMS))


def _artifact(rng: random.Random) -> tuple[str, Row]:
    strong = rng.choice(("", "sha256:ab"))
    return "artifact", (_digest(rng), strong, rng.choice((-1, 10)), rng.randrange(1, 3))


def _event(rng: random.Random) -> tuple[str, Row]:
    return "event", (
        _id(rng, "exec"), rng.choice(("input", "output")), _digest(rng), _word(rng), *_said(rng),
        rng.choice(("dataset", "model")), _word(rng), _word(rng), rng.randrange(2), "", _word(rng),
    )  # fmt: skip


def _environment(rng: random.Random) -> tuple[str, Row]:
    return "environment", (_digest(rng), rng.choice(("{}", '{"host": "n1"}', "x" * 300)))


def _execution_environment(rng: random.Random) -> tuple[str, Row]:
    return "execution_environment", (_id(rng, "exec"), *_said(rng), _digest(rng))


def _series(rng: random.Random) -> tuple[str, Row]:
    return "series", (
        _made_up(rng, "proc"), rng.randrange(2), _id(rng, "exec"), _word(rng),
        rng.choice(("float", "int")),
    )  # fmt: skip


def _chunk(rng: random.Random) -> tuple[str, Row]:
    n_values = rng.randrange(1, 4)
    number = rng.choice((*NUMBERS, None))
    return "chunk", (
        _made_up(rng, "proc"), rng.randrange(2), rng.randrange(2), n_values,
        rng.randrange(n_values + 1),
        0, n_values, rng.randrange(2), rng.randrange(2), number, number,
        rng.choice((None, 0.5, 1.5)), n_values, number, bytes([rng.randrange(2)]) * n_values,
    )  # fmt: skip


def _delivery(rng: random.Random) -> tuple[str, Row]:
    return "delivery", (
        _id(rng, "run"), _word(rng), *_said(rng), rng.randrange(2), rng.randrange(2),
        rng.randrange(2),
    )  # fmt: skip


def _link(rng: random.Random) -> tuple[str, Row]:
    relation = rng.choice(("contains", "same"))
    return "link", (_digest(rng), relation, _digest(rng), _word(rng), *_said(rng))


def _slice_members(rng: random.Random) -> tuple[str, Row]:
    return "slice_members", (_digest(rng), rng.choice(("{}", '{"rows":[[0,1]]}')))


def _note(rng: random.Random) -> tuple[str, Row]:
    return "note", (
        _id(rng, "note"), _digest(rng), rng.choice(("tainted", "cleared", "tag")), _word(rng),
        rng.randrange(2), rng.choice((0, 1000)), _word(rng),
    )  # fmt: skip


def _energy(rng: random.Random) -> tuple[str, Row]:
    nobody = bytes(16)
    owner = rng.choice(("run", "run", "idle", "counter"))
    run, execution = nobody, nobody
    if owner == "run":
        run, execution = an_id("run", rng.randrange(2)), rng.choice((nobody, an_id("exec", 0)))
    component, role = rng.choice((("cpu", "count"), ("cpu", "count"), ("node", "check")))
    dur_ns, uj = rng.randrange(1, 3), rng.randrange(3)
    # Few keys, and few values of each column, so that rows of one key differ in the last ones only.
    return "energy", (
        0, rng.choice(("n1", "n1", "n2")), an_id("boot", 0), owner, run, execution, component, "",
        "rapl", role, dur_ns, rng.randrange(2), uj, rng.randrange(uj + 1), rng.randrange(2),
        rng.randrange(dur_ns), rng.choice("AB"), rng.choice(("", "a")), rng.randrange(2),
        an_id("proc", rng.randrange(2)),
    )  # fmt: skip


def _energy_probe(rng: random.Random) -> tuple[str, Row]:
    return "energy_probe", (
        an_id("boot", 0), "n1", rng.choice(("rapl", "nvml")), *_said(rng),
        rng.choice(("available", "denied")), _word(rng), _word(rng), rng.choice("BM"), "package",
        rng.choice(("[]", '["cpu"]')), "[]", rng.randrange(2),
    )  # fmt: skip


def _node_hardware(rng: random.Random) -> tuple[str, Row]:
    return "node_hardware", (
        an_id("boot", 0), rng.choice(("n1", "n2")), *_said(rng), _word(rng), _word(rng), 1,
        rng.randrange(2), 2, rng.randrange(2), "[]",
    )  # fmt: skip


_ROWS = (
    _run, _run_end, _delivery, _execution, _execution_end, _process, _process_state, _param, _fact,
    _artifact, _event, _environment, _execution_environment, _series, _chunk,
    _link, _slice_members, _note, *[_energy] * 6, _energy_probe, _node_hardware,
)  # fmt: skip


def _id(rng: random.Random, kind: str) -> bytes:
    return an_id(kind, rng.randrange(3))


def _made_up(rng: random.Random, kind: str) -> bytes:
    """Return an id, or that of an execution, as the run and the series of a copy of it have."""
    return _id(rng, rng.choice((kind, kind, "exec")))


def _said(rng: random.Random) -> tuple[int, bytes]:
    """Return a time and an origin: few, so that rows differ only in what follows."""
    return rng.randrange(2), rng.choice(
        (an_id("proc", 0), an_id("proc", 1), imported_origin(1), imported_origin(2))
    )


def _ending(rng: random.Random) -> tuple[str, int | None, int | None]:
    status = rng.choice(("running", "completed", "failed", "lost"))
    return status, rng.choice((None, 0, 1)), rng.choice((None, 9))


def _word(rng: random.Random) -> str:
    return rng.choice(("", "a", "B", "é"))


def _digest(rng: random.Random) -> str:
    return f"md5:{rng.randrange(3):032x}"
