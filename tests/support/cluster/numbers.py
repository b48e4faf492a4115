"""
The numbers of the clusters that are on this machine at once.

A number names a cluster's nodes, so that no two clusters use the same control groups. Its file is
locked by the cluster's first process, for as long as that lives, and names the cluster's directory:
whoever gets the number next removes what was left behind.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from support.cluster.processes import wait_for

PLACE = Path("/run/cmfd-test-clusters")
MOST = 100
KEPT = "kept "


def take(root: Path, *, kept: bool) -> tuple[int, int]:
    """
    Take the lowest free number for the cluster in `root`.

    Parameters
    ----------
    kept : bool
        Whether its directory stays when the cluster ends.

    Returns
    -------
    tuple[int, int]
        The number, and the descriptor that holds the lock: it is for the cluster's first process
        to inherit.
    """
    PLACE.mkdir(mode=0o700, exist_ok=True)
    for number in range(MOST):
        held = os.open(PLACE / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            continue
        _remove_what_is_left(number, os.pread(held, 4096, 0).decode(), root)
        os.ftruncate(held, 0)
        os.pwrite(held, f"{KEPT if kept else ''}{root}".encode(), 0)
        return number, held
    raise RuntimeError(f"there are {MOST} clusters on this machine: {PLACE}")


def _remove_what_is_left(number: int, said: str, root: Path) -> None:
    if said and not said.startswith(KEPT) and Path(said) != root:
        shutil.rmtree(said, ignore_errors=True)
    _remove_control_groups(number)


def give_back(number: int, root: Path) -> None:
    """Remove what a cluster had, after its end, unless the next one of this number does it."""
    held = os.open(PLACE / str(number), os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_control_groups(number)
    except BlockingIOError:
        pass
    finally:
        shutil.rmtree(root, ignore_errors=True)
        os.close(held)


def _remove_control_groups(number: int) -> None:
    """Remove the control groups that slurmd leaves behind; they are empty, or soon will be."""
    name = f"slurm_{node_name(number, 0)[:-1]}*"

    def are_gone() -> bool:
        left = [top for place in Path("/sys/fs/cgroup").glob("*") for top in place.glob(name)]
        for directory in (path for top in left for path, _, _ in os.walk(top, topdown=False)):
            with suppress(OSError):
                Path(directory).rmdir()
        return not left

    wait_for(are_gone, f"{name} are gone", every_s=0.1)


def node_name(number: int, index: int) -> str:
    """Return the name of a cluster's node with this index, from 0: node 1 of cluster 0 is c0n1."""
    return f"c{number}n{index + 1}"
