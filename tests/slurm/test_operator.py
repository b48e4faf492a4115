"""A cluster that its operator has set up: what goes wrong with cmfd goes wrong for no job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.cluster import Cluster, Options
from support.cluster.processes import wait_for
from support.operated import UID, Operated
from support.steps import Steps, logged, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.cluster import Account

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
    other = alice.submit("true", "-w", node)
    assert alice.wait(other).state == "COMPLETED"
    operated.wait_delivered(other)  # pipes among what it is told do not keep the service


def test_a_queue_that_cannot_be_written_holds_nothing_up(operated: Operated) -> None:
    """The site's file system is away when the job ends."""
    alice = operated.cluster.users["alice"]
    operated.site.rename(operated.site.with_name("away"))
    try:
        assert alice.wait(alice.submit("true")).state == "COMPLETED"
    finally:
        operated.site.with_name("away").rename(operated.site)


LOG = """
import sys, time, cmfd
from pathlib import Path
for step in range(200):
    cmfd.metrics({"loss": 1 / (step + 1)}, step=step)
    if step == 100:
        Path(sys.argv[1]).touch()
        while not Path(sys.argv[2]).exists():
            time.sleep(0.01)
"""


def test_a_job_that_knows_nothing_of_cmfd_is_a_run_at_the_site(operated: Operated) -> None:
    """Its user did nothing; whose it is, and on which nodes it was, root said."""
    alice = operated.cluster.users["alice"]
    job = alice.submit("srun true", "-N3")
    alice.wait(job)
    run = operated.wait_delivered(job)
    assert (run["user"], run["uid"], run["cluster"]) == ("alice", alice.uid, operated.cluster.name)


def test_when_tasks_began_and_ended_is_known_of_a_job_that_knows_nothing_of_cmfd(
    operated: Operated,
) -> None:
    """Of each task on each node: so it is seen which was late."""
    alice = operated.cluster.users["alice"]
    slow = "test $SLURM_PROCID -ne 1 || sleep 1"
    at_limit = "SLURM_PROCID=9; ulimit -S -u 1; exec /etc/cmfd/hooks/task-epilog"
    job = alice.submit(f"srun true; srun bash -c '{slow}'; srun -N1 -n1 bash -c '{at_limit}'",
                       "-N2", "-n4")  # fmt: skip
    assert alice.wait(job).state == "COMPLETED", alice.output(job)
    assert not alice.output(job)
    run = operated.wait_delivered(job)
    told: dict[str, list[dict[str, int]]] = {}
    for fact in operated.show(run["run"])["facts"]:
        if fact["key"].startswith("slurm.tasks."):
            for task in fact["value"]:
                told.setdefault(task["step"], []).append(task)
    assert sorted(task["task"] for task in told["0"]) == list(range(4))
    assert sorted(task["task"] for task in told["1"]) == list(range(4))
    ran_ns = {task["task"]: task["ended_ns"] - task["began_ns"] for task in told["1"]}
    assert max(ran_ns, key=lambda task: ran_ns[task]) == 1
    assert [task["task"] for task in told["2"]] == [0, 9], "told without a process"
    assert [task["task"] for task in told["batch"]] == [0]
    there = [operated.path(node, "journals") for node in operated.cluster.nodes]
    name = f"*/*_{job}_0.tasks"
    wait_for(lambda: not any(list(path.glob(name)) for path in there), "the files are removed")


def test_a_job_that_ends_while_the_daemon_is_down_is_delivered_when_it_is_back(
    operated: Operated,
) -> None:
    """Killed, as by a lack of memory: what the job logged before and since is all there."""
    cluster = operated.cluster
    alice, node = cluster.users["alice"], cluster.nodes[0]
    program = alice.write("log.py", LOG)
    begun, go_on = alice.shared / "begun", alice.shared / "go-on"
    job = alice.submit(f"srun cmfd run -- python {program} {begun} {go_on}", "-w", node)
    wait_for(begun.exists, "it has logged")
    operated.systemctl(node, "kill", "--signal=KILL", "cmfd")
    go_on.touch()
    assert alice.wait(job).state == "COMPLETED"
    operated.systemctl(node, "start", "cmfd")
    run = operated.wait_delivered(job)
    assert run["status"] == "completed"
    (loss,) = operated.show(run["run"])["metrics"]
    assert (loss["n_values"], loss["name"]) == (200, "loss")


def test_a_daemon_that_begins_anew_under_a_running_job_loses_nothing(operated: Operated) -> None:
    """As when it is updated: the program goes on with the new one."""
    cluster = operated.cluster
    alice, node = cluster.users["alice"], cluster.nodes[0]
    program = alice.write("log.py", LOG)
    begun, go_on = alice.shared / "begun-2", alice.shared / "go-on-2"
    job = alice.submit(f"srun cmfd run -- python {program} {begun} {go_on}", "-w", node)
    wait_for(begun.exists, "it has logged")
    operated.systemctl(node, "restart", "cmfd")
    go_on.touch()
    assert alice.wait(job).state == "COMPLETED"
    run = operated.wait_delivered(job)
    (loss,) = operated.show(run["run"])["metrics"]
    assert loss["n_values"] == 200


def begin_steps(steps: Steps, *options: str, tag: str) -> str:
    """Submit a job of two steps side by side, one of which logs; wait until both are half-way."""
    srun = "--overlap -n2"
    logs, does_not = steps.logs("logs", f"l{tag}", srun), steps.does_not("not", f"n{tag}", srun)
    job = steps.submit(f"{logs} & {does_not} & wait", "-n2", *options)
    for mark in (f"l{tag}", f"n{tag}"):
        steps.wait_up(mark, 2)
    return job


def end_steps(operated: Operated, steps: Steps, job: str, *, tag: str) -> None:
    """Let them go on, and see that all is delivered, once."""
    for mark in (f"l{tag}", f"n{tag}"):
        steps.go_on(mark)
    assert steps.user.wait(job).state == "COMPLETED", steps.user.output(job)
    for node in operated.cluster.nodes:
        operated.systemctl(node, "start", "cmfd")
    run = operated.wait_delivered(job)
    assert (run["status"], run["user"], run["uid"]) == (
        "completed",
        steps.user.name,
        steps.user.uid,
    )
    shown = operated.show(run["run"])
    assert parts(shown) == dict.fromkeys(("logs", "not"), (2, "completed"))
    assert steps.values(shown) == logged(logs=2)
    name = steps.user.name
    wait_for(lambda: not operated.cluster.processes_of(name), "all processes have ended")


def test_the_daemon_is_killed_under_steps_with_a_wrapper(operated: Operated) -> None:
    """On one of two nodes, until the job has ended: no task waits for it, and nothing is lost."""
    steps = Steps(operated.cluster.users["alice"], operated.site)
    job = begin_steps(steps, "-N2", f"-w{','.join(operated.cluster.nodes[:2])}", tag="killed")
    operated.systemctl(operated.cluster.nodes[0], "kill", "--signal=KILL", "cmfd")
    end_steps(operated, steps, job, tag="killed")


def test_steps_of_two_users_on_a_node(operated: Operated) -> None:
    """At the same time: each run has its own user's steps and values, and no other's."""
    cluster = operated.cluster
    both = [Steps(cluster.users[name], operated.site) for name in ("alice", "bob")]
    jobs = [begin_steps(steps, f"-w{cluster.nodes[1]}", tag="both") for steps in both]
    for steps, job in zip(both, jobs, strict=True):
        end_steps(operated, steps, job, tag="both")


def test_two_users_on_a_node_do_not_see_each_other(operated: Operated) -> None:
    """At the same time, through the same daemon: each run is its user's, in all that it has."""
    cluster = operated.cluster
    users, node = (cluster.users["alice"], cluster.users["bob"]), cluster.nodes[2]
    waiting = []
    for user in users:
        program = user.write("log.py", LOG)
        begun, go_on = user.shared / "begun-3", user.shared / "go-on-3"
        command = f"srun cmfd run --param who={user.name} -- python {program} {begun} {go_on}"
        waiting.append((user, user.submit(command, "-w", node, "-n1"), begun, go_on))
    for _, _, begun, _ in waiting:
        wait_for(begun.exists, "both log")
    for user, _, _, _ in waiting:
        status = json.loads(user.run("cmfd", "status", "--json", node=node).stdout)
        text = json.dumps(status)
        (other,) = {"alice", "bob"} - {user.name}
        assert str(user.uid) in text
        assert str(users[0].uid + users[1].uid - user.uid) not in text
        assert other not in text
    for user, job, _, go_on in waiting:
        go_on.touch()
        assert user.wait(job).state == "COMPLETED"
        run = operated.wait_delivered(job)
        assert (run["user"], run["uid"]) == (user.name, user.uid)
        assert [param["value"] for param in operated.show(run["run"])["params"]] == [user.name]


def test_a_node_that_loses_its_power_delivers_when_it_is_back(operated: Operated) -> None:
    """What was on its disk: the site waits for it by name, and then it is complete."""
    cluster = operated.cluster
    alice, node = cluster.users["alice"], cluster.nodes[2]
    program = alice.write("log.py", LOG)
    begun, go_on = alice.shared / "begun-4", alice.shared / "go-on-4"
    job = alice.submit(
        f"srun cmfd run -- python {program} {begun} {go_on}", "-N2", "--no-requeue",
        f"--nodelist={node}",
    )  # fmt: skip
    wait_for(begun.exists, "it has logged")
    cluster.crash(node)
    alice.wait(job)
    wait_for(lambda: (run := operated.run_of(job)) and run["missing_nodes"] == [node],
             "the other node delivers", every_s=0.5)  # fmt: skip
    cluster.start(node)
    operated.systemctl(node, "start", "cmfd")
    operated.wait_delivered(job)


def test_users_may_have_sites_that_nobody_else_reads(operated: Operated) -> None:
    """The service makes them, one merger sees to all, and joins what SLURM's accounting says."""
    cluster = operated.cluster
    alice, bob = cluster.users["alice"], cluster.users["bob"]
    operated.choose(f"{operated.site}/{{account}}/{{user}}")
    operated.systemctl(None, "start", "cmfd-merge")
    try:
        jobs = {user.name: user.submit("srun true", "-N2") for user in (alice, bob)}
        for user in (alice, bob):
            user.wait(jobs[user.name])
            site = f"--site={operated.site}/test/{user.name}"
            run = joined(user, site)
            assert (run["job"], run["user"]) == (jobs[user.name], user.name)
            other = bob if user is alice else alice
            assert other.run("cmfd", "runs", site, check=False).returncode != 0
            assert other.run("ls", f"{operated.site}/test", check=False).returncode != 0
        wait_for(lambda: not list((operated.site / "queue").glob("*")), "no job waits")
    finally:
        operated.systemctl(None, "stop", "cmfd-merge")
        operated.choose(str(operated.site))


def joined(user: Account, site: str) -> dict[str, str]:
    """Wait until a user's only run is at a site, with how SLURM says that it ended."""
    found: list[dict[str, str]] = []

    def is_joined() -> bool:
        done = user.run("cmfd", "runs", "--json", site, check=False)
        found[:] = json.loads(done.stdout) if done.returncode == 0 else []
        return [run["job_state"] for run in found] == ["COMPLETED"]

    wait_for(is_joined, "SLURM's accounting is joined", every_s=0.5)
    return found[0]
