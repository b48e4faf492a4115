"""`srun cmfd-srun` on a real cluster: by users with no rights, programs unaware of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.cluster import recorded
from support.cluster.processes import wait_for
from support.tasks import CMFD, CMFD_MPIRUN, CMFD_SRUN

if TYPE_CHECKING:
    from support.cluster import Account, Cluster

pytestmark = pytest.mark.slurm

WITH_COMM = """
from mpi4py import MPI
import cmfd
with cmfd.start(comm=MPI.COMM_WORLD) as ex:
    ex.metric("x", float(MPI.COMM_WORLD.Get_rank()))
"""


def settings(user: Account) -> dict[str, str]:
    """Return what a user sets: a site, and which cmfd."""
    return {"CMFD_SITE": str(user.shared / "site"), "CMFD_COMMAND": CMFD}


def merged(user: Account) -> list[dict[str, Any]]:
    """Merge what is in the inbox of a user's site, and nothing else; return its runs in full."""
    site = user.shared / "site"
    user.run(CMFD, "merge", "--quiet", "--site", str(site))
    return [recorded.show(user, site, run["run"]) for run in recorded.runs(user, site)]


def has_left(cluster: Cluster, user: Account, timeout_s: float = 20) -> bool:
    """Tell whether nothing of a user is left on the nodes: no process, socket or file."""
    wait_for(lambda: not cluster.leftovers(user.name), "nothing is left", timeout_s)
    return True


def check_a_step_on_every_node(cluster: Cluster) -> None:
    """Run one, and see what the site has and the nodes have not."""
    alice = cluster.users["alice"]
    n_nodes = len(cluster.nodes)
    words = (f"-N{n_nodes}", f"-n{2 * n_nodes}", CMFD_SRUN, "--stage", "one", "--")
    program = 'echo task $SLURM_PROCID; sleep 1; [ "$SLURM_PROCID" != 1 ] || exit 3'
    done = alice.srun(*words, "bash", "-c", program, env=settings(alice), check=False)

    assert done.returncode == 3
    assert sorted(done.stdout.split("\n")[:-1]) == [f"task {i}" for i in range(2 * n_nodes)]
    assert has_left(cluster, alice)
    (run,) = merged(alice)
    (execution,) = run["executions"]
    assert (execution["stage"], execution["step"]) == ("one", "slurm:0")
    assert (execution["n_ranks"], execution["status"]) == (2 * n_nodes, "failed")
    assert execution["exit_code"] == 3
    codes = {process["rank"]: process["exit_code"] for process in run["processes"]}
    assert codes == {rank: 3 if rank == 1 else 0 for rank in range(2 * n_nodes)}
    assert {process["host"] for process in run["processes"]} == set(cluster.nodes)
    assert all(process["max_rss_bytes"] > 1 << 20 for process in run["processes"])
    facts = {fact["key"]: fact["value"] for fact in run["facts"]}
    assert (facts["slurm.nodes"], facts["slurm.step_tasks"]) == (n_nodes, 2 * n_nodes)


@pytest.mark.slow
def test_a_step_on_every_node(cluster: Cluster) -> None:
    """One run; at its end all is in the inbox, and nothing is left on any node."""
    check_a_step_on_every_node(cluster)


@pytest.mark.slow
def test_a_step_on_every_node_where_control_groups_end_it(cgroup_cluster: Cluster) -> None:
    """Where what a step started ends with it."""
    check_a_step_on_every_node(cgroup_cluster)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["exit 3", "exit 139", "kill -SEGV $$", "kill -TERM $$"])
def test_srun_says_the_same_with_and_without(
    cluster: Cluster, alice: Account, command: str
) -> None:
    """Exit codes and signals, as srun tells them."""
    bare = alice.srun("-n1", "bash", "-c", command, check=False)
    done = alice.srun("-n1", CMFD_SRUN, "bash", "-c", command, env=settings(alice), check=False)

    assert done.returncode == bare.returncode
    assert done.stdout == bare.stdout
    assert has_left(cluster, alice)


def test_where_no_more_processes_may_be_the_program_is_the_only_one(cluster: Cluster) -> None:
    """It runs at once, unrecorded, and ends as it ends: nothing is tried in vain."""
    alice = cluster.users["alice"]
    at_limit = f"ulimit -S -u 1; exec {CMFD_SRUN} -- bash -c 'echo done; exit 3'"
    done = alice.run(
        "bash", "-c", at_limit, node=cluster.nodes[0], env=settings(alice), check=False
    )

    assert (done.returncode, done.stdout) == (3, "done\n")
    (warning,) = done.stderr.splitlines()
    assert "not recorded" in warning


@pytest.mark.slow
def test_a_job_that_is_cancelled(cluster: Cluster, alice: Account) -> None:
    """Delivers within the time that SLURM gives it."""
    job = alice.submit(
        f"srun -n2 {CMFD_SRUN} -- bash -c 'touch up; sleep 600'", "-N2", "-n2", env=settings(alice)
    )
    wait_for((alice.shared / "up").exists, "it runs", 60)
    alice.cancel(job)

    assert alice.wait(job).state == "CANCELLED"
    assert has_left(cluster, alice)
    (run,) = merged(alice)
    assert {process["signal"] for process in run["processes"]} == {15}
    assert {process["status"] for process in run["processes"]} == {"cancelled"}


@pytest.mark.slow
def test_a_wrapper_that_is_killed(cluster: Cluster, alice: Account) -> None:
    """SLURM ends its step; what was begun is delivered by a daemon that survives, if one does."""
    program = 'sleep 2; [ "$SLURM_PROCID" = 0 ] || exec sleep 60; kill -KILL $PPID'
    env = {**settings(alice), "CMFD_IDLE_S": "2"}
    done = alice.srun("-N1", "-n3", CMFD_SRUN, "bash", "-c", program, env=env, check=False)

    assert done.returncode == 137
    assert has_left(cluster, alice, 60)
    (run,) = merged(alice)
    states = {process["rank"]: process["status"] for process in run["processes"]}
    assert states[0] == "lost"
    assert len(states) == 3


@pytest.mark.slow
@pytest.mark.mpi
def test_mpi_under_srun_and_under_mpirun(cluster: Cluster, alice: Account) -> None:
    """Programs with a communicator, on several nodes, join the execution of their wrappers."""
    program = alice.write("comm.py", WITH_COMM)
    script = f"""
    srun --mpi=pmix -n4 {CMFD_SRUN} --stage a -- {sys.executable} {program}
    {CMFD_MPIRUN} --stage b --oversubscribe -n 4 -- {sys.executable} {program}
    """
    job = alice.submit(script, "-N2", "-n4", env=settings(alice))

    assert alice.wait(job).state == "COMPLETED", alice.output(job)
    assert has_left(cluster, alice)
    (run,) = merged(alice)
    found = {item["stage"]: (item["n_ranks"], item["status"]) for item in run["executions"]}
    assert found == {"a": (4, "completed"), "b": (4, "completed")}
    assert len(run["processes"]) == 16
