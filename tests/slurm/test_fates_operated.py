"""Fates of jobs where the operator has set the cluster up, and what its site has of them then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.cluster import Cluster, Options
from support.cluster.processes import wait_for
from support.fates import Fate, ends
from support.operated import Operated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.cluster import Account

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

TASKS = ("-N2", "-n4")
RANKS = range(4)


@pytest.fixture(scope="module")
def set_up(make_cluster: Callable[[Options], Cluster]) -> Operated:
    """Give three nodes that are set up, where checkpoints are frequent."""
    operated = Operated(make_cluster(Options(n_nodes=3)))
    for node, machine in operated.cluster.machines.items():
        with machine.path("/etc/cmfd/cmfd.toml").open("a", encoding="utf-8") as file:
            file.write("\ncheckpoint_interval_s = 1\n")
        operated.systemctl(node, "restart", "cmfd")
    return operated


@pytest.fixture
def operated(set_up: Operated) -> Iterator[Operated]:
    """Give them to a test; at its end, SLURM must still want to use all of them."""
    set_up.cluster.tidy()
    yield set_up
    set_up.cluster.wait_ready()
    assert set(set_up.cluster.node_states().values()) == {"idle"}


@pytest.fixture
def alice(operated: Operated) -> Account:
    """Give one of its users, who does nothing about cmfd but to log."""
    return operated.cluster.users["alice"]


@pytest.fixture
def fate(operated: Operated, alice: Account) -> Fate:
    """Give jobs that log, and the site of all users."""
    return Fate(alice, operated.site)


def joined(operated: Operated, fate: Fate, job: str) -> dict[str, Any]:
    """Return what the site has of a job once all is delivered, and see that nothing stays."""
    operated.wait_delivered(job)
    enrich = ("cmfd", "slurm", "enrich", "--quiet", f"--site={operated.site}", job)
    operated.root.run("runuser", "-u", "cmfd", "--", *enrich)
    wait_for(lambda: not left(fate), "nothing is left", every_s=0.2)
    return fate.show(job)


def left(fate: Fate) -> list[str]:
    """Return what there is of the user on the nodes, but for the directories of journals."""
    own = f"/journals/{fate.user.uid}"
    return [one for one in fate.cluster.leftovers(fate.user.name) if not one.endswith(own)]


def stands(shown: dict[str, Any]) -> tuple[Any, ...]:
    """Return how a run stands."""
    run = shown["run"]
    return run["user"], run["status"], run["job_state"], run["missing_nodes"]


def test_completed(operated: Operated, fate: Fate) -> None:
    """All is well."""
    job = fate.submit("return", *TASKS)
    assert fate.user.wait(job).state == "COMPLETED"

    shown = joined(operated, fate, job)
    assert stands(shown) == ("alice", "completed", "COMPLETED", [])
    assert ends(shown) == [("completed", 0, None)] * 4
    assert fate.has_all(shown["run"]["run"], *RANKS)


@pytest.mark.timeout(300)
def test_timeout(operated: Operated, fate: Fate) -> None:
    """SLURM ends it; what it logged is with a service that stays."""
    job = fate.submit("wait", *TASKS, "-t1")
    assert fate.user.wait(job, 240).state == "TIMEOUT"

    shown = joined(operated, fate, job)
    assert stands(shown) == ("alice", "failed", "TIMEOUT", [])
    assert ends(shown) == [("cancelled", None, 15)] * 4
    assert fate.has_all(shown["run"]["run"], *RANKS)


def test_node_fail(operated: Operated, fate: Fate) -> None:
    """A node goes off: its last checkpoint is there, it is named, and it completes the run."""
    cluster = operated.cluster
    nodes = cluster.nodes[1:]
    lost = nodes[1]
    job = fate.submit("wait", "-N2", "-n2", f"-w{','.join(nodes)}", "--no-requeue")
    fate.wait_up(2)

    def n_published() -> int:
        return fate.n_known(job, 1) if operated.run_of(job) else 0

    wait_for(n_published, "a checkpoint", every_s=0.5)
    n_before = n_published()
    cluster.crash(lost)
    down = ("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=power")
    operated.root.run(*down)
    assert fate.user.wait(job).state == "NODE_FAIL"

    def missing() -> list[str]:
        run = operated.run_of(job)
        return run["missing_nodes"] if run else []

    wait_for(lambda: missing() == [lost], "the other node delivers", every_s=0.5)
    assert fate.has_all(job, 0)
    found = fate.steps(job, 1)
    assert found == list(range(len(found)))
    assert n_before <= len(found)

    cluster.start(lost)
    operated.systemctl(lost, "start", "cmfd")
    shown = joined(operated, fate, job)
    assert stands(shown) == ("alice", "failed", "NODE_FAIL", [])
    assert ends(shown) == [("cancelled", None, 15), ("lost", None, None)]
    assert fate.has_all(job, 0, 1)


def test_requeued(operated: Operated, fate: Fate) -> None:
    """A job that goes back into the queue is two runs, each of which names the other."""
    job = fate.submit("restart", *TASKS, "--requeue")
    fate.wait_up(4)
    fate.user.run("scontrol", "requeue", job)
    assert fate.user.wait(job).state == "COMPLETED"

    last = joined(operated, fate, job)
    (before,) = last["other_starts"]
    first = fate.show(before["run"])
    assert stands(first) == ("alice", "cancelled", "REQUEUED", [])
    assert stands(last) == ("alice", "completed", "COMPLETED", [])
    assert [other["run"] for other in first["other_starts"]] == [last["run"]["run"]]
    assert ends(first) == [("cancelled", None, 15)] * 4
    assert ends(last) == [("completed", 0, None)] * 4
    for restart, shown in enumerate((first, last)):
        assert fate.has_all(shown["run"]["run"], *RANKS, restart=restart)
