"""Ranks: the nearest launcher counts, and leftovers of others do not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from cmfd.client.ranks import Rank, rank_from, rank_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("shell", Rank(0, 1, 0, "none")),
        ("prolog", Rank(0, 1, 0, "none")),
        ("batch script", Rank(0, 1, 0, "none")),
        ("salloc shell", Rank(0, 1, 0, "slurm")),
        ("srun task", Rank(5, 16, 1, "slurm")),
        ("array task", Rank(0, 1, 0, "none")),
        ("het component", Rank(5, 16, 1, "slurm")),
        ("mpirun in sbatch, first node", Rank(1, 16, 1, "openmpi")),
        ("mpirun in sbatch, other node", Rank(9, 16, 1, "openmpi")),
        ("srun pmix", Rank(5, 16, 1, "pmix")),
        ("srun pmi2", Rank(5, 16, 1, "pmi")),
        ("torchrun in srun", Rank(12, 32, 4, "torch")),
        ("mpirun", Rank(9, 16, 1, "openmpi")),
        ("prterun", Rank(9, 16, 1, "openmpi")),
        ("hydra", Rank(3, 16, 1, "pmi")),
        ("mvapich", Rank(3, 8, 1, "mvapich")),
        ("pals", Rank(3, 4, 1, "pals")),
        ("flux", Rank(3, 8, 1, "flux")),
    ],
)
def test_each_launcher_is_understood(
    around: Callable[[str], dict[str, str]], where: str, expected: Rank
) -> None:
    """Whatever else is set around it."""
    assert rank_from(around(where)) == expected


def test_torch_variables_set_by_hand_count_where_nobody_knows_better(
    around: Callable[[str], dict[str, str]],
) -> None:
    """A batch script that exports RANK for its srun tasks means none of them."""
    by_hand = {"RANK": "1", "WORLD_SIZE": "2"}
    assert rank_from(around("shell") | by_hand) == Rank(1, 2, 0, "torch")
    assert rank_from(around("srun task") | by_hand) == Rank(5, 16, 1, "slurm")


@pytest.mark.parametrize("rank", ["", "-1", "x", "1.5", "2", "999"])
def test_a_rank_that_cannot_be_is_ignored(rank: str) -> None:
    """Not a number, or not below the number of ranks."""
    assert rank_from({"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": "0"}) == Rank()


class Communicator:
    """What cmfd uses of a communicator."""

    def Get_rank(self) -> int:  # noqa: N802 - mpi4py's name
        return 3

    def Get_size(self) -> int:  # noqa: N802 - mpi4py's name
        return 7


def test_a_communicator_gives_rank_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any kind: mpi4py is not imported for it."""
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "5")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "9")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "2")
    before = "mpi4py" in sys.modules
    assert rank_of(Communicator()) == Rank(3, 7, 2, "comm")
    assert ("mpi4py" in sys.modules) == before
