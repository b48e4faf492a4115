"""Real MPI programs: all ranks of a launch are one run and one execution."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cmfd.wire import journal as form
from cmfd.wire.messages import (
    ExecutionBegin,
    Group,
    ProcessBegin,
    Record,
    RunBegin,
    Series,
    decode_record,
)

if TYPE_CHECKING:
    from pathlib import Path

MPIRUN = shutil.which("mpirun")

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(
        MPIRUN is None, reason="needs mpirun: apt-get install openmpi-bin libopenmpi-dev"
    ),
]


def mpirun(code: str, n: int, node: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program in `n` ranks, without a daemon, to its end."""
    assert MPIRUN is not None
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("CMFD_", "OMPI_", "PMIX_"))},
        "CMFD_NODE_DIR": str(node), "CMFD_AUTOSTART": "false", "OMP_NUM_THREADS": "1", **env,
    }  # fmt: skip
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    command = [MPIRUN, *root, "--oversubscribe", "-n", str(n), sys.executable, "-c", code]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=120, check=True
    )


def said(node: Path) -> list[Record]:
    """All records of all journals of a node."""
    return [
        decode_record(payload)
        for path in sorted((node / "journals").iterdir())
        for block in form.read_journal(path)[1]
        if block.kind == form.EVENTS
        for payload in form.events(block.data)
    ]


WITH_COMM = """
from mpi4py import MPI
import cmfd
comm = MPI.COMM_WORLD
with cmfd.start(pipeline="p", stage="s", comm=comm) as ex:
    ex.metric("mine", float(comm.Get_rank()), step=0)
    found = ex.metric_reduced("load", 10.0 + comm.Get_rank(), step=7)
    assert (found is None) == (comm.Get_rank() > 0)
    assert found is None or (found["load.max"], found["load.argmax"]) == (13.0, 3.0), found
"""

WITHOUT_COMM = """
from mpi4py import MPI
import cmfd
with cmfd.start(pipeline="p", stage="s") as ex:
    ex.metric("mine", float(MPI.COMM_WORLD.Get_rank()), step=0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [WITH_COMM, WITHOUT_COMM], ids=["comm", "environment"])
def test_all_ranks_log_to_one_execution_of_one_run(tmp_path: Path, code: str) -> None:
    """Agreed over the communicator, or found in the launcher's variables."""
    mpirun(code, 4, tmp_path)

    records = said(tmp_path)
    assert len({r.run for r in records if isinstance(r, RunBegin)}) == 1
    assert len({r.execution for r in records if isinstance(r, ExecutionBegin)}) == 1
    ranks = sorted((r.rank, r.size) for r in records if isinstance(r, ProcessBegin))
    assert ranks == [(i, 4) for i in range(4)]


@pytest.mark.slow
def test_two_launches_are_two_runs(tmp_path: Path) -> None:
    """One after the other, in the same shell."""
    mpirun(WITHOUT_COMM, 2, tmp_path)
    mpirun(WITHOUT_COMM, 2, tmp_path)

    assert len({r.run for r in said(tmp_path) if isinstance(r, RunBegin)}) == 2


@pytest.mark.slow
def test_two_launches_under_one_run_are_two_executions(tmp_path: Path) -> None:
    """As in a job script that calls mpirun twice."""
    for _ in range(2):
        mpirun(WITHOUT_COMM, 2, tmp_path, CMFD_RUN="0" * 31 + "1")

    records = said(tmp_path)
    assert len({r.run for r in records if isinstance(r, RunBegin)}) == 1
    assert len({r.execution for r in records if isinstance(r, ExecutionBegin)}) == 2


@pytest.mark.slow
def test_a_reduced_metric_is_logged_once_with_its_extremes(tmp_path: Path) -> None:
    """By rank 0, as a row of its own."""
    mpirun(WITH_COMM, 4, tmp_path)

    records = said(tmp_path)
    names = sorted(r.name for r in records if isinstance(r, Series))
    reduced = ["load.argmax", "load.argmin", "load.max", "load.mean", "load.min", "load.std"]
    assert names == [*reduced, *["mine"] * 4]
    assert len([r for r in records if isinstance(r, Group)]) == 1


@pytest.mark.slow
def test_an_unusable_environment_does_not_leave_ranks_waiting(tmp_path: Path) -> None:
    """Rank 0 cannot decide; the others must not hang in the broadcast."""
    mpirun(WITH_COMM, 4, tmp_path, CMFD_RUN="nonsense", CMFD_SITE="", HOME="", XDG_DATA_HOME="")

    assert len({r.run for r in said(tmp_path) if isinstance(r, RunBegin)}) == 1
