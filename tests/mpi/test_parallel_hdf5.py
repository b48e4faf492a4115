"""A file that all ranks of an MPI program write together, by HDF5's own parallel I/O."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.programs import MPI_ENVIRONMENT, program

from cmfd.content.files import hash_path
from cmfd.content.hdf5 import hash_datasets
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site
from cmfd.model import INSIDE
from cmfd.query.index import open_index

SOURCE = Path(__file__).with_name("parallel_hdf5.c")
N_RANKS = 4
READERS = """
from mpi4py import MPI
import cmfd
with cmfd.start("tracks", "train", comm=MPI.COMM_WORLD) as ex:
    ex.input("hits.h5", datasets=["/hits"])
    ex.output("hits.h5")
"""
EVENTS = """
SELECT stage, direction, path, digest, problem, n_ranks
FROM events JOIN (
    SELECT execution_id AS id, count(DISTINCT rank) AS n_ranks FROM processes GROUP BY execution_id
) AS p ON p.id = execution_id
ORDER BY stage, direction, path
"""


@pytest.mark.slow
@pytest.mark.mpi
def test_a_file_that_ranks_write_together_is_one_artifact(tmp_path: Path) -> None:
    """One digest, whoever says it, under `cmfd run` and in Python; as if one had written it."""
    compiler = program("h5pcc", "libhdf5-openmpi-dev")
    writer = str(tmp_path / "write")
    environ = {**os.environ, **MPI_ENVIRONMENT, "CMFD_NODE_DIR": str(tmp_path / "node"),
               "CMFD_AUTOSTART": "false"}  # fmt: skip

    def run(*command: str) -> None:
        subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=120)

    ranks = [program("mpirun", "openmpi-bin"), "-n", str(N_RANKS), sys.executable]
    run(compiler, "-O1", "-Wall", "-Werror", str(SOURCE), "-o", writer)
    path, inside = "hits.h5", f"hits.h5{INSIDE}/hits"
    run(*ranks, "-m", "cmfd", "run", "--pipeline", "tracks", "--stage", "simulate",
        "-o", path, "-o", inside, "--", writer, path)  # fmt: skip
    run(*ranks, "-c", READERS)

    init_site(tmp_path / "site")
    merge_site(tmp_path / "site", (tmp_path / "node" / "journals").glob("*.cmfj"))
    with open_index(tmp_path / "site") as db:
        events: list[tuple[Any, ...]] = db.execute(EVENTS).fetchall()
        (n_artifacts,) = db.execute("SELECT count(*) FROM artifacts").fetchone()

    values = np.arange(N_RANKS * 15000, dtype="f4").reshape(-1, 3)
    with h5py.File(tmp_path / "alone.h5", "w") as file:
        file.create_dataset("hits", data=values, chunks=(100, 3), compression="gzip")
    whole = hash_path(tmp_path / path).digest
    (hits,) = hash_datasets(tmp_path / "alone.h5", ["/hits"])
    assert events == [
        ("simulate", "output", path, whole, "", N_RANKS),
        ("simulate", "output", inside, hits.digest, "", N_RANKS),
        ("train", "input", inside, hits.digest, "", N_RANKS),
        ("train", "output", path, whole, "", N_RANKS),
    ]
    assert n_artifacts == 2
