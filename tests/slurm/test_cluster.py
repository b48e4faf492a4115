"""The test cluster is what it claims to be: machines apart, users who are nobody special, SLURM."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cluster import numbers
from support.cluster.machine import readable
from support.cluster.processes import has_ended, namespace, wait_for

if TYPE_CHECKING:
    from support.cluster import Account, Cluster

pytestmark = pytest.mark.slurm

HELD = """
import os, socket, sys, time
with open("/var/tmp/mine", "w"), open("/dev/shm/mine", "w"):
    pass
server = socket.socket(socket.AF_UNIX)
server.bind("/var/tmp/socket")
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
"""


def test_a_job_runs_on_all_nodes(cluster: Cluster, alice: Account) -> None:
    """As its user, under the nodes' own names, with the nodes' own disks."""
    said = alice.srun("-N4", "-n4", "bash", "-c", "echo $(hostname) $(id -un) $(ls -A /var/tmp)")

    assert sorted(said.stdout.splitlines()) == [f"{name} alice" for name in cluster.nodes]


def test_nodes_share_what_a_cluster_shares(cluster: Cluster, alice: Account) -> None:
    """The shared file system, and nothing else: /tmp, /var/tmp, /dev/shm and /etc are a node's."""
    first, second = cluster.nodes[:2]
    for place in ("/tmp", "/var/tmp", "/dev/shm", str(alice.shared)):
        alice.run("touch", f"{place}/here", node=first)
    cluster.root_user.run("touch", "/etc/here", node=first)

    for place in ("/tmp", "/var/tmp", "/dev/shm", "/etc"):
        assert alice.run("test", "-e", f"{place}/here", node=second, check=False).returncode == 1
        assert cluster.machines[first].path(f"{place}/here").exists()
        assert not Path(place, "here").exists()
    assert (alice.shared / "here").exists()
    alice.run("test", "-e", f"{alice.shared}/here", node=second)
    cluster.machines[first].path("/etc/here").unlink()


def test_users_run_the_cmfd_under_test(cluster: Cluster, alice: Account) -> None:
    """Whoever may enter the directories on this machine that the tests' Python is in."""
    program = "import cmfd, sys; print(cmfd.__file__, sys.executable)"
    said = alice.run(sys.executable, "-c", program, node=cluster.nodes[0]).stdout.split()

    import cmfd

    assert said == [cmfd.__file__, sys.executable]


def test_users_cannot_read_each_others_homes(alice: Account, bob: Account) -> None:
    """Nor become root."""
    alice.run("touch", f"{alice.home}/secret")

    assert bob.run("cat", f"{alice.home}/secret", check=False).returncode == 1
    assert bob.run("setpriv", "--reuid=0", "true", check=False).returncode == 127


@pytest.mark.slow
def test_a_job_ends_as_it_ends(alice: Account) -> None:
    """What sacct says of it: state, exit code, steps."""
    fine = alice.submit("srun true; echo done", "-n2")
    failed = alice.submit("exit 3", "--job-name=bad")
    late = alice.submit("sleep 100", "--begin=now+1hour")
    alice.cancel(late)

    assert alice.wait(fine).state == "COMPLETED"
    assert [row["JobID"] for row in alice.wait(fine).rows] == [fine, f"{fine}.batch", f"{fine}.0"]
    assert alice.output(fine) == "done\n"
    end = alice.wait(failed)
    assert (end.state, end.exit_code, end.rows[0]["JobName"]) == ("FAILED", "3:0", "bad")
    assert alice.wait(late).state == "CANCELLED"


@pytest.mark.slow
def test_two_users_share_a_node(cluster: Cluster, alice: Account, bob: Account) -> None:
    """At the same time, on its different cores."""
    node = cluster.nodes[2]
    jobs = [
        user.submit(f"touch {cluster.shared}/{user.name}.is-there; sleep 100", f"-w{node}", "-n2")
        for user in (alice, bob)
    ]
    wait_for(lambda: len(list(cluster.shared.glob("*.is-there"))) == 2, "both run", 20)

    assert cluster.processes_of("alice", node)
    assert cluster.processes_of("bob", node)
    alice.cancel(jobs[0])
    bob.cancel(jobs[1])
    assert {alice.wait(job).state for job in jobs} == {"CANCELLED"}
    assert not cluster.leftovers("alice") + cluster.leftovers("bob")
    for path in cluster.shared.glob("*.is-there"):
        path.unlink()


@pytest.mark.slow
def test_what_a_job_leaves_behind_is_seen(cluster: Cluster, alice: Account) -> None:
    """Processes, sockets and files, on disk and in memory."""
    node = cluster.nodes[1]
    program = alice.write("held.py", HELD)
    alice.wait(alice.submit(f"{sys.executable} {program}", f"-w{node}"))

    found = cluster.leftovers("alice")
    assert [line for line in found if "held.py" in line]
    files = {line for line in found if "held.py" not in line}
    assert files == {f"{node}: /var/tmp/mine", f"{node}: /var/tmp/socket", f"{node}: /dev/shm/mine"}

    cluster.tidy()
    assert not cluster.leftovers("alice")


@pytest.mark.slow
def test_a_node_without_power_fails_its_job_and_comes_back(
    cluster: Cluster, alice: Account
) -> None:
    """SLURM notices by itself; the node's disk is as it was, its memory is not."""
    node = cluster.nodes[3]
    here = "touch /var/tmp/here /dev/shm/here"
    job = alice.submit(f"srun {here}; touch is-there; sleep 300", f"-w{node}", "--no-requeue")
    wait_for((alice.shared / "is-there").exists, "it runs", 20)
    cluster.crash(node)
    cluster.root_user.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=crash")

    assert alice.wait(job).state == "NODE_FAIL"
    cluster.start(node)
    assert cluster.node_states()[node] == "idle"
    alice.run("test", "-e", "/var/tmp/here", node=node)
    assert alice.run("test", "-e", "/dev/shm/here", node=node, check=False).returncode == 1
    assert alice.srun(f"-w{node}", "hostname").stdout == f"{node}\n"


@pytest.mark.slow
def test_a_job_outlives_the_controller_and_the_accounting(cluster: Cluster, alice: Account) -> None:
    """They are stopped while it runs, and told when they are back."""
    job = alice.submit("touch is-there; until [ -e go ]; do sleep 0.1; done")
    wait_for((alice.shared / "is-there").exists, "it runs", 20)
    cluster.services.stop("slurmdbd")
    cluster.services.stop("slurmctld")
    alice.write("go", "")
    wait_for(lambda: not cluster.processes_of("alice"), "it has ended", 20)
    cluster.services.start("slurmctld")
    cluster.services.start("slurmdbd")

    assert alice.wait(job).state == "COMPLETED"


@pytest.mark.slow
def test_a_job_is_preempted(cluster: Cluster, alice: Account, bob: Account) -> None:
    """By one of a partition that goes first."""
    nodes = f"-N{len(cluster.nodes)}"
    low = alice.submit("touch is-there; sleep 300", "-plow", nodes, "--exclusive")
    wait_for((alice.shared / "is-there").exists, "it runs", 20)
    high = bob.submit("true", "-phigh", nodes, "--exclusive")

    assert bob.wait(high).state == "COMPLETED"
    assert alice.wait(low).state == "PREEMPTED"


@pytest.mark.slow
def test_the_shared_file_system_goes_away(cluster: Cluster, alice: Account) -> None:
    """On one node; what was there is there again when it is back."""
    node = cluster.nodes[0]
    alice.write("here", "text")
    with cluster.machines[node].without(str(alice.shared)):
        command = ("touch", f"{alice.shared}/there")
        assert cluster.root_user.run(*command, node=node, check=False).returncode == 1
        alice.run("test", "-e", f"{alice.shared}/here", node=cluster.nodes[1])

    assert alice.run("cat", "here", node=node).stdout == "text"


def test_what_only_root_may_read_is_copied_for_the_cluster(tmp_path: Path) -> None:
    """A checkout with a Python of its own, made under a strict umask."""
    tree = tmp_path / "tree"
    (tree / "cmfd").mkdir(parents=True)
    source = tree / "cmfd" / "__init__.py"
    source.write_text("here\n")
    source.chmod(0o644)
    assert readable(tree, tmp_path / "copies") == tree
    source.chmod(0o600)

    copy = readable(tree, tmp_path / "copies")
    assert copy != tree
    assert (copy / "cmfd" / "__init__.py").read_text() == "here\n"
    assert (copy / "cmfd" / "__init__.py").stat().st_mode & 0o777 == 0o644
    assert readable(tree, tmp_path / "copies") == copy


def test_nothing_of_a_cluster_is_seen_on_this_machine(cluster: Cluster) -> None:
    """No interface, no mount, no name; processes are seen, as all are."""
    kinds = ("net", "mnt", "uts", "ipc", "pid")
    for machine in [cluster.head, *cluster.machines.values()]:
        for kind in kinds:
            assert namespace(machine.pid, kind) != namespace(os.getpid(), kind)
    assert str(cluster.root) not in Path("/proc/self/mounts").read_text("utf-8")
    accounts = Path("/etc/passwd").read_text("utf-8")
    assert str(cluster.root) not in accounts


@pytest.mark.slow
def test_a_cluster_ends_with_the_process_that_made_it(tmp_path: Path) -> None:
    """However that ends; and the next one removes what it had."""
    root = tmp_path / "root"
    program = f"""if True:
    import os, signal
    from pathlib import Path
    from support.cluster import Cluster, Options
    cluster = Cluster.up(Path({str(root)!r}), Options(n_nodes=1, accounting=False))
    print(cluster.number, cluster.machines[cluster.nodes[0]].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tests, stdout=subprocess.PIPE, text=True, check=False
    )
    number, node = (int(word) for word in done.stdout.split())
    with open(numbers.PLACE / str(number)) as lock:  # noqa: PTH123 - a lock, not a text
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the last of its processes has ended
    assert has_ended(node)

    with ExitStack() as stack:
        for _ in range(number + 1):  # another cluster may have ended that had a lower one
            if root.exists():
                stack.callback(os.close, numbers.take(tmp_path / "other", kept=False)[1])
        assert not root.exists()
