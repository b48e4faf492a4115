"""
One cluster for all test processes that want it at the same time.

The workers of pytest-xdist are processes; a cluster for each of them would take twice the time and
memory of one. Here the first that asks brings it up, the others attach, and the last that is done
ends it. Whoever uses it does so alone, for one test at a time: a test may look at all that is on
the nodes, and take one away.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.cluster.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cluster.options import Options


@contextmanager
def locked(path: Path, mode: int = fcntl.LOCK_EX) -> Iterator[int]:
    """Hold a lock; yields its descriptor."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, mode)
        yield held
    finally:
        os.close(held)


@contextmanager
def together(root: Path, options: Options) -> Iterator[Cluster]:
    """
    Yield the cluster in `root`, that of all processes which ask for it meanwhile.

    Parameters
    ----------
    root : Path
        Its directory, there or not. Its locks are beside it.
    options : Options
        What it is like, for the first that asks.
    """
    door = root.with_suffix(".door")
    with locked(root.with_suffix(".users"), fcntl.LOCK_UN) as users:
        with locked(door):
            fcntl.flock(users, fcntl.LOCK_SH)
            cluster = Cluster.attach(root) if root.exists() else Cluster.up(root, options)
        try:
            yield cluster
        finally:
            with locked(door):
                _leave(cluster, users)


def _leave(cluster: Cluster, users: int) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        cluster.release()
    else:
        cluster.down()


@contextmanager
def alone(cluster: Cluster) -> Iterator[Cluster]:
    """Have the cluster for a test: in order, and with nothing of an earlier one."""
    with locked(cluster.root / "run" / "turn"):
        cluster.tidy()
        try:
            yield cluster
        finally:
            cluster.tidy()
