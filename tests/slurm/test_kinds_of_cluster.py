"""Clusters of other kinds: with control groups, energy, without accounting; large ones."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.cluster import Options, recorded
from support.cluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

EATS = "x = []\nwhile True: x.append(bytes(1 << 20))"
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    open("is-there", "w")
    time.sleep(600)
while not os.path.exists("is-there"):
    time.sleep(0.05)
"""
PROGRAM = """
import cmfd
with cmfd.start(pipeline="p", stage="s") as ex:
    ex.metric("x", 1.0, step=0)
"""


def test_control_groups_end_what_a_job_started(cgroup_cluster: Cluster) -> None:
    """Also what left its session."""
    alice = cgroup_cluster.users["alice"]
    program = alice.write("daemon.py", DAEMON)
    job = alice.submit(f"srun {sys.executable} {program}")

    assert alice.wait(job).state == "COMPLETED"
    assert (alice.shared / "is-there").exists()
    wait_for(lambda: not cgroup_cluster.processes_of("alice"), "all has ended", 20)


def test_a_job_that_eats_memory_is_out_of_memory(cgroup_cluster: Cluster) -> None:
    """The kernel ends it, and SLURM says so."""
    alice = cgroup_cluster.users["alice"]
    job = alice.submit(f"{sys.executable} -c '{EATS}'", "--mem=60")

    assert alice.wait(job).state == "OUT_OF_MEMORY"
    assert set(cgroup_cluster.node_states().values()) == {"idle"}


def test_energy_is_counted_from_the_nodes_counters(
    make_cluster: Callable[[Options], Cluster],
) -> None:
    """By SLURM's own plugin, which finds a counter in each node."""
    cluster = make_cluster(Options(n_nodes=2, watts=100))
    alice = cluster.users["alice"]
    cluster.machines[cluster.nodes[1]].set_watts(300)
    job = alice.submit("srun sleep 5", "-N2", "-n2")
    alice.wait(job)

    said = alice.run("sacct", "-nP", f"-j{job}.0", "-oConsumedEnergyRaw").stdout
    assert 1000 <= int(said) <= 5000


def test_a_cluster_without_accounting(make_cluster: Callable[[Options], Cluster]) -> None:
    """As many small ones are: sacct knows nothing, scontrol does for a while."""
    cluster = make_cluster(Options(n_nodes=1, accounting=False))
    alice = cluster.users["alice"]

    assert alice.wait(alice.submit("true")).state == "COMPLETED"
    assert alice.wait(alice.submit("false")).state == "FAILED"
    assert alice.run("sacct", check=False).returncode != 0


HOOK = """#!/bin/sh
echo $SLURM_SCRIPT_CONTEXT $(/usr/bin/id -un) >>/run/hooks
"""


def test_hooks_run(make_cluster: Callable[[Options], Cluster]) -> None:
    """Prolog and Epilog as root, on each node, before and after."""
    hooks = {"Prolog": "{root}/etc/hook", "Epilog": "{root}/etc/hook", "PrologFlags": "Alloc"}
    cluster = make_cluster(Options(n_nodes=2, hooks=hooks, files={"hook": HOOK}))
    alice = cluster.users["alice"]
    alice.wait(alice.submit("true", "-N2"))

    wanted = "prolog_slurmd root\nepilog_slurmd root\n"
    said = [machine.path("/run/hooks") for machine in cluster.machines.values()]
    wait_for(lambda: all(path.read_text() == wanted for path in said), "both hooks ran")


@pytest.mark.timeout(1800)
def test_a_job_on_many_nodes_is_one_run(cluster_64: Cluster) -> None:
    """A task on each of them, all logging."""
    cluster = cluster_64
    n_nodes = len(cluster.nodes)
    alice = cluster.users["alice"]
    site = alice.shared / "site"
    program = alice.write("program.py", PROGRAM)
    began_s = time.monotonic()
    job = alice.submit(
        f"srun {sys.executable} {program}", f"-N{n_nodes}", f"-n{n_nodes}",
        env=recorded.settings(site),
    )  # fmt: skip
    assert alice.wait(job, 500).state == "COMPLETED", alice.output(job)
    print(f"{n_nodes} nodes: {time.monotonic() - began_s:.1f} s")
    recorded.deliver(alice, site)

    (run,) = recorded.runs(alice, site)
    assert (run["job"], run["n_ranks"], run["n_nodes"]) == (job, n_nodes, n_nodes)
    assert set(cluster.node_states().values()) == {"idle"}
