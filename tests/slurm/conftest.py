"""
SLURM clusters for tests.

`cluster`, of four nodes, is one for all of a session, whatever number of workers it has, and each
test has it for itself: it waits for its turn. What a test changes (jobs, users' files, nodes that
are off, services that are stopped) is put in order after it. `make_cluster` brings up others, for a
module. ``CMFD_TEST_CLUSTER`` names one that is up already (``python -m support.cluster up 4``, in
``tests/``), to be used in place of the session's.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cluster import Account, Cluster, Options
from support.cluster.together import alone, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def session_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give the session's cluster; use `cluster` instead."""
    kept = os.environ.get("CMFD_TEST_CLUSTER")
    if kept:
        yield Cluster.attach(Path(kept))
        return
    session = tmp_path_factory.getbasetemp()
    session = session.parent if "PYTEST_XDIST_WORKER" in os.environ else session
    with together(session / "cluster", Options()) as cluster:
        yield cluster


@pytest.fixture
def cluster(session_cluster: Cluster) -> Iterator[Cluster]:
    """Give a cluster of four nodes, to this test alone."""
    with alone(session_cluster) as own:
        yield own


@pytest.fixture
def alice(cluster: Cluster) -> Account:
    """Give a user of the cluster."""
    return cluster.users["alice"]


@pytest.fixture
def bob(cluster: Cluster) -> Account:
    """Give another."""
    return cluster.users["bob"]


@pytest.fixture(scope="module")
def make_cluster() -> Iterator[Callable[[Options], Cluster]]:
    """Give what brings up further clusters, which end with the module."""
    with ExitStack() as stack:

        def make(options: Options) -> Cluster:
            # Not in /tmp: some clusters give each job a /tmp of its own.
            root = Path(tempfile.mkdtemp(prefix="cmfd-cluster-", dir="/var/tmp"), "root")
            stack.callback(root.parent.rmdir)
            made = Cluster.up(root, options)
            stack.callback(made.down)
            return made

        yield make


@pytest.fixture(scope="module")
def cgroup_cluster(make_cluster: Callable[[Options], Cluster]) -> Cluster:
    """Give two nodes where control groups track processes and limit memory."""
    return make_cluster(
        Options(n_nodes=2, proctrack="cgroup", gather="cgroup", constrain_memory=True)
    )


@pytest.fixture(scope="module")
def cluster_64(make_cluster: Callable[[Options], Cluster]) -> Cluster:
    """Give 64 nodes."""
    return make_cluster(Options(n_nodes=64))


@pytest.fixture(scope="module")
def cluster_256(make_cluster: Callable[[Options], Cluster]) -> Cluster:
    """Give 256 nodes."""
    return make_cluster(Options(n_nodes=256))
