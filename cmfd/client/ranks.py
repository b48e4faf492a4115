"""
Which rank of how many this process is.

Without a communicator only a launcher's variables can tell, and a process may have those of
several: mpirun in a batch script, torchrun in an srun task. The nearest launcher counts, so they
are asked from the inmost to the outermost. mpi4py is never imported: that would start MPI.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rank(NamedTuple):
    """A process's place among those that were launched with it."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its place among those of its node."""
    source: str = "none"
    """Who said so: a launcher, ``comm``, or ``none``."""


class _Launcher(NamedTuple):
    """A launcher's variables; each in order of preference, the first that is set counts."""

    name: str
    rank: str
    size: tuple[str, ...]
    local_rank: tuple[str, ...]
    needs: str = ""
    """Without this variable, the others are another launcher's leftovers."""


_LAUNCHERS = (
    _Launcher("torch", "RANK", ("WORLD_SIZE",), ("LOCAL_RANK",), needs="LOCAL_RANK"),
    _Launcher(
        "openmpi",
        "OMPI_COMM_WORLD_RANK",
        ("OMPI_COMM_WORLD_SIZE",),
        ("OMPI_COMM_WORLD_LOCAL_RANK",),
    ),
    _Launcher(
        "mvapich",
        "MV2_COMM_WORLD_RANK",
        ("MV2_COMM_WORLD_SIZE",),
        ("MV2_COMM_WORLD_LOCAL_RANK",),
    ),
    _Launcher(
        "pmi",
        "PMI_RANK",
        ("PMI_SIZE",),
        ("MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "SLURM_LOCALID"),
    ),
    _Launcher("pmix", "PMIX_RANK", ("SLURM_STEP_NUM_TASKS",), ("SLURM_LOCALID",)),
    _Launcher("pals", "PALS_RANKID", (), ("PALS_LOCAL_RANKID",)),
    _Launcher("flux", "FLUX_TASK_RANK", ("FLUX_JOB_SIZE",), ("FLUX_TASK_LOCAL_ID",)),
    # In a batch script, and below an mpirun there, SLURM_PROCID is set as well, to 0 or worse.
    _Launcher(
        "slurm",
        "SLURM_PROCID",
        ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
        ("SLURM_LOCALID",),
        needs="SLURM_STEP_ID",
    ),
    # Set by hand, perhaps in a batch script for all of its tasks: whoever else knows, knows better.
    _Launcher("torch", "RANK", ("WORLD_SIZE",), ()),
)


def rank_from(environ: Mapping[str, str] = os.environ) -> Rank:
    """
    Read this process's rank from its launcher's variables.

    Parameters
    ----------
    environ : mapping
        Environment variables.

    Returns
    -------
    Rank
        Rank 0 of 1 where no launcher says otherwise. A launcher that does not say how many ranks
        there are gives the least that there can be.
    """
    for launcher in _LAUNCHERS:
        rank = _number(environ, launcher.rank)
        if rank is None or (launcher.needs and launcher.needs not in environ):
            continue
        size = _first(environ, launcher.size)
        if size is None or rank < size:
            local_rank = _first(environ, launcher.local_rank)
            return Rank(rank, size or rank + 1, local_rank or 0, launcher.name)
    return Rank()


def rank_of(comm: Any) -> Rank:
    """
    Return this process's rank in a communicator.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Or anything else with ``Get_rank()`` and ``Get_size()``. Nothing is communicated: the place
        on the node is the launcher's.
    """
    return Rank(comm.Get_rank(), comm.Get_size(), rank_from().local_rank, "comm")


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    """Return the first of these variables that is a number."""
    return next((n for name in names if (n := _number(environ, name)) is not None), None)


def _number(environ: Mapping[str, str], name: str) -> int | None:
    """Return a variable as a number from 0."""
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else None
