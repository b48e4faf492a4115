"""What is one run, on a real cluster; the programs only call `cmfd.start()`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.cluster import recorded

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Account, Cluster

pytestmark = pytest.mark.slurm

PROGRAM = """
import cmfd, os
with cmfd.start(pipeline="p", stage="s") as ex:
    ex.metric("x", float(os.environ.get("SLURM_PROCID", 0)), step=0)
"""

WITH_COMM = """
from mpi4py import MPI
import cmfd
comm = MPI.COMM_WORLD
with cmfd.start(pipeline="p", stage="s", comm=comm) as ex:
    ex.metric("x", float(comm.Get_rank()), step=0)
"""

WITHOUT_COMM = """
from mpi4py import MPI
import cmfd
with cmfd.start(pipeline="p", stage="s") as ex:
    ex.metric("x", float(MPI.COMM_WORLD.Get_rank()), step=0)
"""


@pytest.fixture
def site(alice: Account) -> Path:
    """Give the place of a site in the shared file system."""
    return alice.shared / "site"


@pytest.fixture
def env(site: Path) -> dict[str, str]:
    """Give what a user sets for jobs."""
    return recorded.settings(site)


@pytest.fixture
def program(alice: Account) -> str:
    """Give a command that logs one value."""
    return f"{sys.executable} {alice.write('program.py', PROGRAM)}"


def ranks(run: dict[str, Any]) -> list[tuple[int, int]]:
    """Return rank and size of each process."""
    return sorted((process["rank"], process["size"]) for process in run["processes"])


@pytest.mark.slow
def test_all_ranks_of_a_job_are_one_run(
    cluster: Cluster, alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Of a step on four nodes, with a daemon on each."""
    alice.srun("-N4", "-n8", *program.split(), env=env)
    recorded.deliver(alice, site)

    (run,) = recorded.runs(alice, site)
    shown = recorded.show(alice, site, run["run"])
    assert (run["status"], run["n_ranks"], run["n_nodes"]) == ("completed", 8, 4)
    assert (run["user"], run["uid"], run["cluster"]) == ("alice", alice.uid, cluster.name)
    assert ranks(shown) == [(rank, 8) for rank in range(8)]
    assert {process["host"] for process in shown["processes"]} == set(cluster.nodes)


@pytest.mark.slow
def test_the_facts_of_a_job_are_recorded(
    cluster: Cluster, alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """As SLURM's variables give them, in a job script with a step."""
    job = alice.submit(f"srun {program}", "-N2", "-n4", "--job-name=facts", "--mem=100", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)

    facts = {fact["key"]: fact["value"] for fact in recorded.show(alice, site, job)["facts"]}
    wanted = {
        "slurm.job": job, "slurm.restart": 0, "slurm.job_name": "facts",
        "slurm.partition": "debug", "slurm.account": "test", "slurm.nodes": 2,
        "slurm.memory_per_node_bytes": 100 << 20, "slurm.submit_dir": str(alice.shared),
        "slurm.submit_host": cluster.head.name,
    }  # fmt: skip
    assert {key: facts.get(key) for key in wanted} == wanted


@pytest.mark.slow
def test_steps_of_a_job_are_executions_of_one_run(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """One after another and side by side, and the batch script itself."""
    script = f"""
    {program}
    srun -n2 {program}
    srun -N1 -n1 --exact {program} &
    srun -N1 -n1 --exact {program} &
    wait
    """
    job = alice.submit(script, "-N2", "-n2", env=env)
    assert alice.wait(job).state == "COMPLETED"
    recorded.deliver(alice, site)

    (run,) = recorded.runs(alice, site)
    shown = recorded.show(alice, site, job)
    assert run["n_executions"] == 4
    sizes = {item["step"]: item["n_ranks"] for item in shown["executions"]}
    assert sorted(sizes.values()) == [1, 1, 1, 2], sizes


@pytest.mark.slow
def test_each_task_of_an_array_is_a_run(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Each under the name that users call it."""
    job = alice.submit(program, "--array=1-5", env=env)
    assert alice.wait(job).state == "COMPLETED"
    recorded.deliver(alice, site)

    found = recorded.runs(alice, site)
    assert sorted(run["job"] for run in found) == [f"{job}_{task}" for task in range(1, 6)]
    assert {run["n_ranks"] for run in found} == {1}


@pytest.mark.slow
def test_each_start_of_a_job_is_a_run(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """A job that goes back into the queue has one number, and two runs."""
    script = f"""
    {program}
    [ -n "$SLURM_RESTART_COUNT" ] && exit 0
    scontrol requeue $SLURM_JOB_ID
    sleep 60
    """
    job = alice.submit(script, "--requeue", env=env)
    end = alice.wait(job)
    recorded.deliver(alice, site)

    assert end.state == "COMPLETED"
    assert "REQUEUED" in {row["State"] for row in end.rows}
    found = recorded.runs(alice, site)
    assert [(run["job"], run["restart"]) for run in found] == [(job, 0), (job, 1)]
    assert found[0]["run"] != found[1]["run"]


@pytest.mark.slow
def test_a_heterogeneous_job_is_one_run(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Its components have numbers of their own; a step may span them."""
    script = f"""#!/bin/bash
#SBATCH -N1 -n1
#SBATCH hetjob
#SBATCH -N2 -n2
srun --het-group=0,1 {program}
"""
    job = alice.submit(script, env=env)
    assert alice.wait(job).state == "COMPLETED"
    recorded.deliver(alice, site)

    (run,) = recorded.runs(alice, site)
    assert (run["job"], run["n_ranks"], run["n_executions"]) == (job, 3, 1)
    assert ranks(recorded.show(alice, site, job)) == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.parametrize(
    "text",
    [pytest.param(WITH_COMM, marks=pytest.mark.slow), WITHOUT_COMM],
    ids=["comm", "environment"],
)
@pytest.mark.parametrize("launch", ["srun --mpi=pmix", "mpirun"])
def test_an_mpi_program_is_one_run(
    alice: Account, site: Path, env: dict[str, str], launch: str, text: str
) -> None:
    """Started by SLURM or by Open MPI's launcher, with mpi4py, on two nodes."""
    path = alice.write("mpi.py", text)
    job = alice.submit(f"{launch} {sys.executable} {path}", "-N2", "-n4", env=env)
    assert alice.wait(job).state == "COMPLETED", alice.output(job)
    recorded.deliver(alice, site)

    (run,) = recorded.runs(alice, site)
    shown = recorded.show(alice, site, job)
    assert (run["job"], run["n_ranks"], run["n_nodes"], run["n_executions"]) == (job, 4, 2, 1)
    assert ranks(shown) == [(rank, 4) for rank in range(4)]


@pytest.mark.slow
def test_two_users_on_a_node_have_two_runs_that_the_other_does_not_see(
    cluster: Cluster, alice: Account, bob: Account, program: str
) -> None:
    """At the same time, each with a daemon and a site of their own."""
    jobs = {}
    for user in (alice, bob):
        env = recorded.settings(user.home / "site")
        jobs[user.name] = user.submit(program, f"-w{cluster.nodes[0]}", env=env)
    for user in (alice, bob):
        assert user.wait(jobs[user.name]).state == "COMPLETED"
        recorded.deliver(user, user.home / "site")
        (run,) = recorded.runs(user, user.home / "site")
        assert (run["user"], run["job"]) == (user.name, jobs[user.name])
    done = bob.run("cmfd", "runs", "--site", str(alice.home / "site"), check=False)
    assert done.returncode != 0
