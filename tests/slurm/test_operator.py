"""A cluster that its operator has set up: what goes wrong with cmfd goes wrong for no job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.cluster import Cluster, Options
from support.cluster.processes import wait_for
from support.operator import UID, Operated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def three_nodes(make_cluster: Callable[[Options], Cluster]) -> Operated:
    """Give three nodes that are set up."""
    return Operated(make_cluster(Options(n_nodes=3)))


@pytest.fixture
def operated(three_nodes: Operated) -> Iterator[Operated]:
    """Give them to a test; at its end, SLURM must still want to use all of them."""
    yield three_nodes
    cluster = three_nodes.cluster
    cluster.wait_ready()
    assert set(cluster.node_states().values()) <= {"idle", "mixed", "allocated"}


@pytest.fixture
def without_daemons(operated: Operated) -> Iterator[Operated]:
    """Give them while all daemons are down: what root tells them stays in their spools."""
    for node in operated.cluster.nodes:
        operated.systemctl(node, "stop", "cmfd")
    yield operated
    for node in operated.cluster.nodes:
        operated.systemctl(node, "start", "cmfd")


def both(name: str) -> tuple[str, str]:
    """Return what the files of a job's start are called."""
    return f"{name}.begin", f"{name}.end"


def test_every_node_of_a_job_is_told_that_it_begins_and_ends(without_daemons: Operated) -> None:
    """Also a node on which the job starts no step; the journals' directory is the user's alone."""
    operated, cluster = without_daemons, without_daemons.cluster
    alice, bob = cluster.users["alice"], cluster.users["bob"]
    jobs = [user.submit("true", "-N3") for user in (alice, bob)]
    for user, job in zip((alice, bob), jobs, strict=True):
        assert user.wait(job).state == "COMPLETED"
        for node in cluster.nodes:
            operated.wait_told(node, *both(f"{cluster.name}_{job}_0"))
    for node in cluster.nodes:
        journals = f"/var/lib/cmfd/journals/{bob.uid}"
        assert bob.run("touch", f"{journals}/own", node=node).returncode == 0
        for command in (("ls", journals), ("touch", f"{journals}/x"), ("cat", f"{journals}/own")):
            assert alice.run(*command, node=node, check=False).returncode != 0
        own = operated.path(node, f"journals/{bob.uid}/own")
        assert own.stat().st_gid == UID
        own.unlink()
        assert alice.run("ls", "/var/lib/cmfd/jobs", node=node, check=False).returncode != 0


def test_a_job_that_goes_back_into_the_queue_is_two_starts(without_daemons: Operated) -> None:
    """On the nodes and in the site's queue, although SLURM tells the Epilogs the next number."""
    operated, cluster = without_daemons, without_daemons.cluster
    alice = cluster.users["alice"]
    job = alice.submit('test -n "$SLURM_RESTART_COUNT" || srun sleep 600', "-N2", "--requeue")
    node = cluster.nodes[0]
    began = f"{cluster.name}_{job}_0.begin"
    operated.wait_told(node, began)
    wait_for(lambda: cluster.processes_of("alice", node), "it runs")
    operated.root.run("scontrol", "requeue", job)
    assert alice.wait(job).state == "COMPLETED"
    names = {f"{cluster.name}_{job}_{n}" for n in (0, 1)}
    queue = operated.site / "queue"
    wait_for(lambda: names <= {path.name for path in queue.iterdir()}, "both are in the queue")
    for each in cluster.nodes[:2]:
        operated.wait_told(each, *(told for name in names for told in both(name)))


def test_components_of_a_job_say_what_they_are_components_of(without_daemons: Operated) -> None:
    """Each has a number of its own; their run's id is derived from the leader's."""
    operated, cluster = without_daemons, without_daemons.cluster
    alice = cluster.users["alice"]
    job = alice.submit("srun --het-group=0,1 true", "-n1", ":", "-n1")
    assert alice.wait(job).state == "COMPLETED"
    for component in (int(job), int(job) + 1):
        name = f"{cluster.name}_{component}_0.end"
        node = operated.wait_told_somewhere(name)
        lines = (operated.path(node, "jobs") / name).read_text().splitlines()
        assert {f"job={job}", f"component={component}"} <= set(lines)


def test_jobs_run_on_a_node_whose_directory_cannot_be_used(operated: Operated) -> None:
    """A broken disk: neither Prolog nor Epilog fails, and the job does what it should."""
    cluster = operated.cluster
    alice, node = cluster.users["alice"], cluster.nodes[1]
    operated.systemctl(node, "stop", "cmfd")
    operated.root.run("mv", "/var/lib/cmfd", "/var/lib/cmfd.away", node=node)
    try:
        job = alice.submit("echo done", "-w", node)
        assert alice.wait(job).state == "COMPLETED"
        assert alice.output(job) == "done\n"
    finally:
        operated.root.run("mv", "/var/lib/cmfd.away", "/var/lib/cmfd", node=node)
        operated.systemctl(node, "start", "cmfd")


def test_jobs_run_on_a_node_whose_disk_hangs(operated: Operated) -> None:
    """What the Prolog cannot write it goes on with by itself; SLURM waits for two seconds."""
    cluster = operated.cluster
    alice, node = cluster.users["alice"], cluster.nodes[1]
    job = alice.submit("echo done", "-w", node, "--hold")
    hanging = [f"/var/lib/cmfd/jobs.new/{cluster.name}_{job}_0.{kind}" for kind in ("begin", "end")]
    operated.root.run("mkfifo", *hanging, node=node)
    alice.run("scontrol", "release", job)
    assert alice.wait(job).state == "COMPLETED"
    assert alice.output(job) == "done\n"
    operated.root.run("cat", *hanging, node=node)
    wait_for(lambda: not list(operated.path(node, "jobs.new").iterdir()), "what hung is done")


def test_a_queue_that_cannot_be_written_holds_nothing_up(operated: Operated) -> None:
    """The site's file system is away when the job ends."""
    alice = operated.cluster.users["alice"]
    operated.site.rename(operated.site.with_name("away"))
    try:
        assert alice.wait(alice.submit("true")).state == "COMPLETED"
    finally:
        operated.site.with_name("away").rename(operated.site)
