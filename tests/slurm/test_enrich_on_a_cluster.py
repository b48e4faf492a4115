"""What a real SLURM says of jobs, joined to their runs."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.cluster import Options, recorded
from support.cluster.jobs import accounted, queue
from support.cluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cluster import Account, Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PROGRAM = """
import cmfd, sys, time
with cmfd.start(pipeline="p", stage="s"):
    open("logs", "w").close()
    held = bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    until = time.process_time() + 1
    while time.process_time() < until:
        pass
    time.sleep(float(sys.argv[1]))
"""
MIB = 1 << 20


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
    """Give a command that logs, uses 1 s and 64 MiB, and then waits for as long as it is told."""
    return f"{sys.executable} {alice.write('program.py', PROGRAM)}"


def enriched(user: Account, site: Path, *names: str, code: int = 0) -> dict[str, list[str]]:
    """Join what SLURM knows; return what became of it."""
    words = ("cmfd", "slurm", "enrich", "--json", "--site", str(site), *names)
    done = user.run(*words, check=False)
    assert done.returncode == code, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def facts(user: Account, site: Path, run: str) -> dict[str, Any]:
    """Return what is known of a run's job."""
    shown = recorded.show(user, site, run)
    return {
        fact["key"].removeprefix("slurm."): fact["value"]
        for fact in shown["facts"]
        if fact["subject"] == shown["run"]["run"]
    }


def test_a_jobs_accounts_are_joined(
    cluster: Cluster, alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """As soon as it has ended: what it got, what it used, what it was."""
    script = f"#!/bin/bash\nsrun {program} 2\nsrun -n1 -N1 true\nexit 3\n"
    options = ("-N2", "-n4", "--mem=300M", "-t", "5", "--job-name=two words|bar")
    job = alice.submit(script, *options, env=env)
    wait_for(lambda: queue(cluster, job) == ["FAILED"], "it has ended", 60)
    recorded.deliver(alice, site)
    enriched(alice, site, job)

    known = facts(alice, site, job)
    wanted = {
        "state": "FAILED", "exit_code": 3, "account": "test", "partition": "debug",
        "qos": "normal", "job_name": "two words|bar", "nodes": 2, "cpus": 4, "time_limit_s": 300,
        "requested_memory_bytes": 600 * MIB, "n_steps": 3, "accounting": "sacct",
        "script_digest": f"sha256:{hashlib.sha256(script.encode()).hexdigest()}",
    }  # fmt: skip
    assert {key: known.get(key) for key in wanted} == wanted
    assert known["submit_time_s"] <= known["start_time_s"] <= known["end_time_s"]
    assert known["elapsed_s"] == known["end_time_s"] - known["start_time_s"]
    assert known["total_cpu_s"] >= 4
    steps = {step["step"]: step for step in known["steps"]}
    assert (steps["0"]["tasks"], steps["0"]["nodes"], steps["0"]["state"]) == (4, 2, "COMPLETED")
    assert steps["0"]["used_memory_bytes"] > 4 * 64 * MIB
    assert steps["0"]["max_rss_bytes"] > 64 * MIB
    (run,) = recorded.runs(alice, site)
    assert (run["status"], run["job_state"], run["exit_code"]) == ("failed", "FAILED", 3)


def test_asking_again_adds_nothing(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Neither a pack nor anything else."""
    job = alice.submit(f"srun {program} 0", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    assert len(enriched(alice, site)["joined"]) == 1
    packs = sorted(path.name for path in site.glob("packs/*/*.db"))
    digest = alice.run("cmfd", "site", "digest", "--site", str(site)).stdout

    assert len(enriched(alice, site, job)["unchanged"]) == 1
    assert sorted(path.name for path in site.glob("packs/*/*.db")) == packs
    assert alice.run("cmfd", "site", "digest", "--site", str(site)).stdout == digest


def test_a_job_that_was_cancelled(
    cluster: Cluster, alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Nobody in it could say so; SLURM knows, and by whom."""
    node = cluster.nodes[0]
    job = alice.submit(f"srun {program} 600", f"-w{node}", env=env)
    wait_for((alice.shared / "logs").exists, "it logs", 60)
    alice.cancel(job)
    assert alice.wait(job).state == "CANCELLED"
    recorded.deliver(alice, site)
    # It may have been cancelled before it had started a daemon: then its journal is on the node.
    merge = ("cmfd", "merge", "--wait", f"--site={site}", f"/var/tmp/cmfd-{alice.uid}")
    alice.run(*merge, node=node, check=False)
    enriched(alice, site, job)
    (run,) = recorded.runs(alice, site)
    assert (run["status"], run["job_state"]) == ("cancelled", "CANCELLED")
    assert facts(alice, site, job)["cancelled_by_uid"] == alice.uid


def test_a_running_job_is_not_joined(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """It says that it runs; once it is over, it is."""
    job = alice.submit(f"srun -n1 {program} 0; touch half; until [ -e go ]; do sleep 0.1; done",
                       env=env)  # fmt: skip
    wait_for((alice.shared / "half").exists, "half of it", 60)
    wait_for(lambda: any(site.glob("inbox/*.db")), "the step is published", 60)
    alice.run("cmfd", "merge", "--wait", "--site", str(site))
    left = enriched(alice, site, job, "--wait", "1", code=12)
    assert list(left["unfinished"]) == [run["run"] for run in recorded.runs(alice, site)]
    alice.write("go", "")
    alice.wait(job)
    assert len(enriched(alice, site, job)["joined"]) == 1


def test_the_tasks_of_an_array(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Each with its own end."""
    job = alice.submit(f"{program} 0; exit $((SLURM_ARRAY_TASK_ID - 1))", "--array=1-3", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    assert len(enriched(alice, site, job)["joined"]) == 3
    ends = [facts(alice, site, f"{job}_{task}")["exit_code"] for task in (1, 2, 3)]
    assert ends == [0, 1, 2]


def test_a_heterogeneous_job(alice: Account, site: Path, env: dict[str, str], program: str) -> None:
    """Both components are one run, and its figures those of both."""
    script = f"""#!/bin/bash
#SBATCH -N1 -n1
#SBATCH hetjob
#SBATCH -N2 -n2
srun --het-group=0,1 {program} 1
"""
    job = alice.submit(script, env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    enriched(alice, site, job)
    known = facts(alice, site, job)
    assert (known["het_components"], known["cpus"], known["nodes"]) == (2, 3, 3)
    assert {step["step"] for step in known["steps"]} == {"batch", "0", "1+0"}


def test_without_accounting_the_controller_tells(
    cluster: Cluster, alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Its daemon is away: state and exit code are joined, and the rest when it is back."""
    job = alice.submit(f"srun {program} 0; exit 4", "-N2", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    cluster.services.stop("slurmdbd")
    enriched(alice, site, job)
    known = facts(alice, site, job)
    assert (known["accounting"], known["state"], known["exit_code"]) == ("scontrol", "FAILED", 4)
    assert "total_cpu_s" not in known

    cluster.services.start("slurmdbd")
    assert len(enriched(alice, site, job)["joined"]) == 1
    known = facts(alice, site, job)
    assert known["accounting"] == "sacct"
    assert known["total_cpu_s"] >= 1


def test_a_dependency_is_known(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """From the job's own variables: accounting forgets it."""
    first = alice.submit("true")
    job = alice.submit(f"{program} 0", f"--dependency=afterok:{first}", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    enriched(alice, site, job)
    assert facts(alice, site, job)["dependency"] == f"afterok:{first}"


def test_reports_agree_with_accounting(
    cluster: Cluster, alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """Efficiency of cores and memory, from sacct's own figures."""
    job = alice.submit(f"srun {program} 1", "-n2", "--mem=500M", "-t", "3", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    enriched(alice, site, job)
    said = alice.run("cmfd", "report", "runtime", "--json", "--by", "account", f"--site={site}")
    (row,) = json.loads(said.stdout)["runtimes"]
    (main, *_) = accounted(cluster, job, "ElapsedRaw", "AllocCPUS")
    core_s = int(main["ElapsedRaw"]) * int(main["AllocCPUS"])
    assert row["account"] == "test"
    assert row["jobs"]["core_s"] == core_s
    assert row["jobs"]["of_limit"] == int(main["ElapsedRaw"]) / 180
    known = facts(alice, site, job)
    assert row["jobs"]["cpu_efficiency"] == known["total_cpu_s"] / core_s
    assert row["jobs"]["memory_efficiency"] == known["used_memory_bytes"] / (500 * MIB)


def test_each_start_of_a_job(alice: Account, site: Path, env: dict[str, str], program: str) -> None:
    """A requeued job is two runs: the first one's state is REQUEUED."""
    script = f"""
    {program} 0
    [ -n "$SLURM_RESTART_COUNT" ] && exit 0
    scontrol requeue $SLURM_JOB_ID
    sleep 60
    """
    job = alice.submit(script, "--requeue", env=env)
    alice.wait(job)
    recorded.deliver(alice, site)
    assert len(enriched(alice, site, job)["joined"]) == 2
    found = recorded.runs(alice, site)
    assert [(run["restart"], run["job_state"]) for run in found] == [
        (0, "REQUEUED"), (1, "COMPLETED"),
    ]  # fmt: skip


def test_a_job_that_ran_into_its_limit(
    alice: Account, site: Path, env: dict[str, str], program: str
) -> None:
    """SLURM says TIMEOUT, where its processes were killed without a word."""
    job = alice.submit(f"srun {program} 600", "-t", "1", env=env)
    assert alice.wait(job, timeout_s=240).state == "TIMEOUT"
    recorded.deliver(alice, site)
    enriched(alice, site, job)
    (run,) = recorded.runs(alice, site)
    assert (run["status"], run["job_state"]) == ("failed", "TIMEOUT")
    said = alice.run("cmfd", "report", "waste", "--json", "--site", str(site)).stdout
    (row,) = json.loads(said)["wastes"]
    assert row["timed_out_core_s"] == row["core_s"] >= 60


def test_energy_is_what_slurm_counted(make_cluster: Callable[[Options], Cluster]) -> None:
    """Of the job's steps, in joules; 100 W for some seconds."""
    cluster = make_cluster(Options(n_nodes=1, watts=100))
    alice = cluster.users["alice"]
    site = alice.shared / "site"
    program = f"{sys.executable} {alice.write('program.py', PROGRAM)}"
    job = alice.submit(f"srun {program} 4", env=recorded.settings(site))
    alice.wait(job)
    recorded.deliver(alice, site)
    enriched(alice, site, job)
    known = facts(alice, site, job)
    (main, *_) = accounted(cluster, job, "ConsumedEnergyRaw")
    assert known["energy_j"] == int(main["ConsumedEnergyRaw"]) > 200
