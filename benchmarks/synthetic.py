"""
A site of many projects, as large as asked for, straight into its index.

Projects are of heavy-tailed size; each is a pipeline of up to 50 layers of stages. An execution
writes one artifact and reads up to four of the layers before, some of which are far more in demand
than others. Projects go on side by side, so that their rows lie scattered over the index.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cmfd.merge.layout import init_site
from cmfd.store.connection import statements
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

T0_NS = 1_700_000_000_000_000_000
N_LAYERS = 50
N_INPUTS = 4
LARGEST = 20_000
"""Executions of a project, but for those that are asked for."""


class Project(NamedTuple):
    """Where to begin to ask: the numbers of its first and of its last artifact."""

    n_executions: int
    first: int
    last: int


def make_site(site: Path, n_executions: int, wanted: list[int]) -> list[Project]:
    """
    Fill the index of a new site.

    Parameters
    ----------
    site : Path
        The directory to make.
    n_executions : int
        In all; there are as many artifacts, and five times as many events.
    wanted : list of int
        Executions of the projects to return, which are among them.

    Returns
    -------
    list of Project
        One for each of `wanted`.
    """
    init_site(site)
    rng = np.random.default_rng(1)
    project, layer, inputs = _graph(rng, n_executions, wanted)
    SiteStore(site / "index.db").close()
    with closing(sqlite3.connect(site / "index.db", isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        _load(db, project, layer, inputs)
        indexes = _drop_indexes(db)
        for statement in statements(FILL):
            db.execute(statement, {"t": T0_NS, "o": bytes(16)})
        for statement in indexes:
            db.execute(statement)
        db.execute("COMMIT")
    return [_ends(project, number) for number in range(len(wanted))]


def _drop_indexes(db: sqlite3.Connection) -> list[str]:
    """Drop the indexes, which are made faster of all rows at once; return how to make them."""
    found = db.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        db.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


def _ends(project: Ints, number: int) -> Project:
    members = np.flatnonzero(project == number) + 1
    return Project(len(members), int(members[0]), int(members[-1]))


def _graph(rng: Any, n_executions: int, wanted: list[int]) -> tuple[Ints, Ints, Ints]:
    """Return project and layer of each execution, in order of time, and all (reader, read)."""
    sizes = list(wanted)
    while sum(sizes) < n_executions:
        size = int(min(LARGEST, 20 * (1 + rng.pareto(1.1))))
        sizes.append(min(size, n_executions - sum(sizes)))
    projects = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes])
    size_of = np.array(sizes)[projects]
    layer = place * np.minimum(N_LAYERS, size_of) // size_of
    base = np.cumsum([0, *sizes[:-1]])[projects]
    edges = [_inputs(rng, place, layer, size_of, base) for _ in range(N_INPUTS)]
    begun = rng.random(len(sizes))[projects] * 3 + place / size_of
    begun[place == 0] -= 1e-9
    number = np.empty(n_executions, np.int64)
    order = np.argsort(begun, kind="stable")
    number[order] = np.arange(1, n_executions + 1)
    pairs = np.concatenate([number[edge] for edge in edges])
    return projects[order], layer[order], np.unique(pairs, axis=0)


def _inputs(rng: Any, place: Ints, layer: Ints, size_of: Ints, base: Ints) -> Ints:
    """Return one (reader, read) for each execution but the first of its project."""
    width = np.maximum(1, size_of // np.minimum(N_LAYERS, size_of))
    back = rng.geometric(0.8, len(place))
    from_layer = np.maximum(0, layer - back)
    favoured = (width * rng.random(len(place)) ** 3).astype(np.int64)
    chosen = np.where(layer == 0, 0, np.minimum(from_layer * width + favoured, place - 1))
    readers = np.flatnonzero(place > 0)
    return np.stack([readers, (base + chosen)[readers]], axis=1)


def _load(db: sqlite3.Connection, project: Ints, layer: Ints, inputs: Ints) -> None:
    db.execute("CREATE TEMP TABLE x (i INTEGER PRIMARY KEY, project INTEGER, layer INTEGER)")
    db.execute("CREATE TEMP TABLE v (execution INTEGER, artifact INTEGER)")
    numbers = range(1, len(project) + 1)
    rows = zip(numbers, project.tolist(), layer.tolist(), strict=True)
    db.executemany("INSERT INTO x VALUES (?, ?, ?)", rows)
    db.executemany("INSERT INTO v VALUES (?, ?)", zip(*inputs.T.tolist(), strict=True))


FILL = """
INSERT INTO run
SELECT i, randomblob(16), :t + i * 60000000000, :o, 1000 + project % 50, 'c' || (project % 3), i, 0,
    'user' || (project % 50), 'project ' || project, 'python train.py', '/scratch/p' || project
FROM x WHERE i % 4 = 1;
INSERT INTO run_end
SELECT i, :t + i * 60000000000 + 50000000000, :o,
    iif(i % 100 = 1, 'failed', 'completed'), i % 100 = 1, NULL
FROM x WHERE i % 4 = 1;
INSERT INTO execution
SELECT i, randomblob(16), :t + i * 60000000000, :o, (i - 1) / 4 * 4 + 1, NULL,
    'p' || (project % 200),
    CASE layer % 5 WHEN 0 THEN 'ingest' WHEN 1 THEN 'clean' WHEN 2 THEN 'features'
        WHEN 3 THEN 'train' ELSE 'evaluate' END,
    '0'
FROM x;
INSERT INTO execution_end
SELECT i, :t + i * 60000000000 + 50000000000, :o,
    iif(i % 100 = 1, 'failed', 'completed'), i % 100 = 1, NULL
FROM x;
INSERT INTO process
SELECT i, randomblob(16), :t + i * 60000000000, :o, 0, 1, 0, 'n' || (i % 64), 7, 'rank' FROM x;
INSERT INTO process_state
SELECT execution_id, instance, :t + execution_id * 60000000000 + 50000000000, :o, 'completed', 0,
    NULL, 1, 1, 1, 0
FROM process;
INSERT INTO param
SELECT i, 'lr', 'float', abs(random() % 1000) / 10000.0 + 0.0001, :t, :o, 0 FROM x
UNION ALL SELECT i, 'batch', 'int', 16 << (i % 4), :t, :o, 0 FROM x
UNION ALL SELECT i, 'optimizer', 'str',
    CASE i % 3 WHEN 0 THEN 'adam' WHEN 1 THEN 'sgd' ELSE 'lamb' END, :t, :o, 0 FROM x;
INSERT INTO fact
SELECT run, 'slurm.partition', :t, :o, 'str', iif(id % 3, 'gpu', 'cpu') FROM run;
INSERT INTO fact
SELECT execution, 'baseline', :t, :o, 'bool', 1 FROM execution WHERE id % 1000 = 7;
INSERT INTO artifact
SELECT i, 'md5:' || lower(hex(randomblob(16))), 'sha256:' || lower(hex(randomblob(32))), 1000, 1
FROM x;
INSERT INTO event
SELECT n.execution_id, n.direction, n.artifact_id, 'data/l' || x.layer || '/' || x.i || '.h5',
    :t + n.execution_id * 60000000000, :o, iif(x.layer % 5 = 3, 'model', 'dataset'), 'n1',
    '/scratch/p' || x.project || '/data/l' || x.layer || '/' || x.i || '.h5', 0, '', ''
FROM (
    SELECT execution AS execution_id, 'input' AS direction, artifact AS artifact_id FROM v
    UNION ALL SELECT i, 'output', i FROM x
    ORDER BY 1, 2, 3
) AS n CROSS JOIN x ON x.i = n.artifact_id;
INSERT INTO environment
SELECT i, lower(hex(randomblob(32))), '{"code": {"commit": "' || lower(hex(randomblob(20))) || '"}}'
FROM x WHERE i <= 1000;
INSERT INTO execution_environment SELECT i, :t, :o, i % 1000 + 1 FROM x;
INSERT INTO series
SELECT NULL, p.instance, m.number, p.execution_id, m.name, 'float'
FROM x
CROSS JOIN process AS p ON p.execution_id = x.i
CROSS JOIN (SELECT 1 AS number, 'loss' AS name UNION ALL SELECT 2, 'accuracy') AS m
WHERE x.layer % 5 = 3;
INSERT INTO chunk
SELECT s.id, 0, 100, 0, 0, 99, :t, :t + 1, 0.0, abs(random() % 100000) / 100000.0, 50.0, 99,
    abs(random() % 100000) / 100000.0, randomblob(200)
FROM series AS s;
"""
