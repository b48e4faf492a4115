"""Jobs while something is away: a service of SLURM's, the daemon, the site's file system."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support.cluster.processes import Known, wait_for
from support.steps import Steps, facts, logged, parts

if TYPE_CHECKING:
    from support.cluster import Account, Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture
def steps(alice: Account) -> Steps:
    """Give a user's steps, and their site, which is on a file system that can be taken away."""
    alice.write("fs/here", "")
    return Steps(alice, alice.shared / "fs" / "site")


def begin(steps: Steps) -> str:
    """Submit a job of two steps side by side on two nodes; wait until all tasks are half-way."""
    srun = "--overlap -N2 -n2"
    logs, does_not = steps.logs("logs", "l", srun), steps.does_not("not", "n", srun)
    job = steps.submit(f"{logs} & one=$!; {does_not}; wait $one && exit 5", "-N2", "-n4")
    steps.wait_up("l", 2)
    steps.wait_up("n", 2)
    return job


def go_on(steps: Steps) -> None:
    """Have both go on, to their ends."""
    steps.go_on("l")
    steps.go_on("n")


def check_whole(shown: dict[str, Any], steps: Steps) -> None:
    """Check that a run has all that such a job says, once."""
    assert parts(shown) == {"logs": (2, "completed"), "not": (2, "completed")}
    assert steps.values(shown) == logged(logs=2)
    assert shown["run"]["missing_nodes"] == []
    wrappers = [process for process in shown["processes"] if process["role"] == "wrapper"]
    assert [process["exit_code"] for process in wrappers] == [0] * 4
    assert len({process["instance"] for process in shown["processes"]}) == 6


def check_end(cluster: Cluster, steps: Steps, job: str) -> dict[str, Any]:
    """Check that a job ended as it should, left nothing, and is whole; returns its run."""
    assert steps.user.wait(job).exit_code == "5:0", steps.user.output(job)
    steps.wait_left()
    (shown,) = steps.merged()
    check_whole(shown, steps)
    wait_for(lambda: set(cluster.node_states().values()) == {"idle"}, "all nodes are idle")
    return shown


def status(steps: Steps, job: str) -> dict[str, Any]:
    """Return what `cmfd slurm status` says of a job."""
    words = ("cmfd", "slurm", "status", "--json", f"--site={steps.site}", job)
    (found,) = json.loads(steps.user.run(*words, check=False).stdout)["jobs"]
    assert isinstance(found, dict)
    return found


def enrich(steps: Steps, job: str) -> str:
    """Join what SLURM says of a job; returns what became of it."""
    words = ("cmfd", "slurm", "enrich", "--quiet", f"--site={steps.site}", job)
    steps.user.run(*words)
    return str(facts(steps.show(job)).get("state"))


def test_the_controller_is_away_until_after_the_steps(cluster: Cluster, steps: Steps) -> None:
    """Nothing that records a job asks it: all is at the site before it is back."""
    job = begin(steps)
    cluster.services.stop("slurmctld")
    go_on(steps)

    def is_whole() -> bool:
        found = parts(run[0]) if (run := steps.merged()) else {}
        ended = set(found) == {"logs", "not"} and {s for _, s in found.values()} == {"completed"}
        return ended and not run[0]["run"]["missing_nodes"]  # each step's last task delivers

    wait_for(is_whole, "all is delivered", every_s=0.5)
    check_whole(steps.merged()[0], steps)
    found = status(steps, job)
    assert (found["status"], found["missing_nodes"]) == ("completed", [])
    cluster.services.start("slurmctld")
    check_end(cluster, steps, job)
    assert enrich(steps, job) == "FAILED"


def test_the_accounting_is_away(cluster: Cluster, steps: Steps) -> None:
    """The controller tells what it knows; the rest is joined when the accounting is back."""
    cluster.services.stop("slurmdbd")
    job = begin(steps)
    go_on(steps)
    queue = ("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")
    wait_for(lambda: steps.user.run(*queue).stdout.split() == ["FAILED"], "it ends", every_s=0.2)
    steps.wait_left()
    (shown,) = steps.merged()
    check_whole(shown, steps)
    assert enrich(steps, job) == "FAILED"
    assert facts(steps.show(job))["accounting"] == "scontrol"
    cluster.services.start("slurmdbd")
    check_end(cluster, steps, job)
    assert enrich(steps, job) == "FAILED"
    assert facts(steps.show(job))["accounting"] == "sacct"


def kill_daemon(cluster: Cluster, steps: Steps, node: str) -> None:
    """Kill a user's daemon on a node, as a lack of memory would."""

    def daemons() -> list[Known]:
        seen = cluster.processes_of(steps.user.name, node)
        return [Known.of(one.pid) for one in seen if " daemon" in one.command]

    wait_for(lambda: len(daemons()) == 1, "a daemon runs")
    daemons()[0].end(signal.SIGKILL)


def test_a_daemon_is_killed(cluster: Cluster, steps: Steps) -> None:
    """On one node, while tasks log to it: those go on, and what it had is there once."""
    job = begin(steps)
    kill_daemon(cluster, steps, cluster.nodes[0])
    go_on(steps)

    check_end(cluster, steps, job)


def test_the_sites_file_system_is_away_for_a_while(cluster: Cluster, steps: Steps) -> None:
    """From when the daemons begin until shortly before the end."""
    with ExitStack() as away:
        for node in cluster.nodes:
            away.enter_context(cluster.machines[node].without(str(steps.site.parent)))
        job = begin(steps)
    go_on(steps)

    check_end(cluster, steps, job)


def test_the_sites_file_system_is_away_at_the_end(cluster: Cluster, steps: Steps) -> None:
    """The job ends as it should, in time; what a node could not deliver it has, to be fetched."""
    job = begin(steps)
    node = cluster.nodes[1]
    with cluster.machines[node].without(str(steps.site.parent)):
        go_on(steps)
        assert steps.user.wait(job).exit_code == "5:0", steps.user.output(job)
        (shown,) = steps.merged()
        assert shown["run"]["missing_nodes"] == [node]
        assert status(steps, job)["missing_nodes"] == [node]
    said = [line for line in steps.user.output(job).splitlines() if line.startswith("cmfd")]
    assert len(said) == 2, said  # one of each step
    assert all(node in line for line in said)
    words = ("cmfd", "slurm", "merge-after", f"--site={steps.site}", job)
    steps.user.wait(steps.user.run(*words).stdout.strip())
    wait_for(lambda: not steps.user.run("squeue", "--noheader", "--me").stdout, "it is fetched")
    check_end(cluster, steps, job)
