"""Jobs of all kinds, each with programs that log and programs that know nothing of cmfd."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.cluster import Options
from support.cluster.processes import wait_for
from support.steps import Steps, facts, logged, parts
from support.tasks import CMFD_SRUN

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cluster import Account, Cluster

pytestmark = pytest.mark.slurm


@pytest.fixture
def steps(alice: Account) -> Steps:
    """Give a user's steps, and their site."""
    return Steps(alice, alice.shared / "site")


def check_idle(cluster: Cluster) -> None:
    """Check that SLURM wants to use all nodes, which no job has."""

    def states() -> set[str]:
        # One that did not answer for a moment (*) is asked again after a third of SlurmdTimeout. Of
        # very many on two cores, some other has not by then.
        many = len(cluster.nodes) > 64
        return {state.rstrip("*") if many else state for state in cluster.node_states().values()}

    wait_for(lambda: states() == {"idle"}, "all nodes are idle", 300, 0.1)


def check_array(cluster: Cluster, steps: Steps, n_tasks: int) -> None:
    """Run one of which every other task logs, and see that each is a run with all that it said."""
    script = f"""
    if ((SLURM_ARRAY_TASK_ID % 2)); then {steps.logs("logs")}; else {steps.does_not("not")}; fi
    """
    job = steps.submit(script, f"--array=1-{n_tasks}", "-n1")

    assert steps.user.wait(job, 60 + 4 * n_tasks).state == "COMPLETED"
    steps.wait_left()
    runs = {run["job"]: run for run in steps.merge()}
    assert set(runs) == {f"{job}_{task}" for task in range(1, n_tasks + 1)}
    for task in range(1, n_tasks + 1):
        run = runs[f"{job}_{task}"]
        assert (run["status"], run["missing_nodes"], run["n_executions"]) == ("completed", [], 1)
        assert [stage.partition(".")[2] for stage in run["stages"]] == [
            "logs" if task % 2 else "not"
        ]
    for task in range(1, n_tasks + 1, 2):
        assert steps.values(steps.show(f"{job}_{task}")) == logged(logs=1), task
    shown = steps.show(f"{job}_2")
    assert steps.values(shown) == {}
    assert (facts(shown)["array_job"], facts(shown)["array_task"]) == (int(job), 2)
    check_idle(cluster)


@pytest.mark.slow
def test_an_array(cluster: Cluster, steps: Steps) -> None:
    """Several tasks are on a node at once, and share a daemon that some end while others begin."""
    check_array(cluster, steps, 8)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_array_of_200(cluster: Cluster, steps: Steps) -> None:
    """Sixteen at a time."""
    check_array(cluster, steps, 200)


@pytest.mark.slow
def test_a_heterogeneous_job(cluster: Cluster, steps: Steps) -> None:
    """Steps of a component, and one over all: one run, which waits for all nodes of it."""
    script = f"""#!/bin/bash
#SBATCH -N1 -n1
#SBATCH hetjob
#SBATCH -N2 -n2
{steps.does_not("first", srun="--het-group=0")}
{steps.logs("second", srun="--het-group=1")}
{steps.logs("both", srun="--het-group=0,1")}
"""
    job = steps.submit(script)

    assert steps.user.wait(job).state == "COMPLETED", steps.user.output(job)
    steps.wait_left()
    (shown,) = steps.merged()
    found = {stage: (1 + (stage == "second") + 2 * (stage == "both"), "completed")
             for stage in ("first", "second", "both")}  # fmt: skip
    assert parts(shown) == found
    assert steps.values(shown) == logged(second=2, both=3)
    assert (shown["run"]["job"], shown["run"]["missing_nodes"]) == (job, [])
    assert len({process["host"] for process in shown["processes"]}) == 3
    check_idle(cluster)


@pytest.mark.slow
def test_steps_one_after_another_and_side_by_side(cluster: Cluster, steps: Steps) -> None:
    """Each is an execution; of those on the same nodes, one delivers while another logs."""
    both = "--overlap -N2 -n2"
    script = f"""
    {steps.does_not("before", srun=both)}
    {steps.logs("short", srun=both)} &
    {steps.logs("long", "long", srun=both)} &
    {steps.does_not("not", "not", srun=both)} &
    wait
    {steps.logs("after", srun=both)}
    """
    job = steps.submit(script, "-N2", "-n4")
    for mark in ("long", "not"):
        steps.wait_up(mark, 2)

    def short_is_delivered() -> bool:
        return any(parts(run).get("short") == (2, "completed") for run in steps.merged())

    wait_for(short_is_delivered, "the short step is delivered", every_s=0.5)
    (meanwhile,) = steps.merged()
    assert steps.values(meanwhile)["short"] == logged(short=2)["short"]
    assert meanwhile["run"]["status"] == "running"
    for mark in ("long", "not"):
        steps.go_on(mark)

    assert steps.user.wait(job).state == "COMPLETED", steps.user.output(job)
    steps.wait_left()
    (shown,) = steps.merged()
    names = ("before", "short", "long", "not", "after")
    assert parts(shown) == dict.fromkeys(names, (2, "completed"))
    assert steps.values(shown) == logged(short=2, long=2, after=2)
    assert (shown["run"]["status"], shown["run"]["missing_nodes"]) == ("completed", [])
    check_idle(cluster)


@pytest.mark.slow
def test_two_users_on_one_node(cluster: Cluster, alice: Account, bob: Account) -> None:
    """At the same time, with jobs of one name: neither sees the other, on the node or at a site."""
    node = cluster.nodes[0]
    both = {user.name: Steps(user, user.home / "site") for user in (alice, bob)}
    jobs = {}
    for name, steps in both.items():
        srun = "--exact -n1"
        script = f"{steps.logs('logs', 'l', srun)} & {steps.does_not('not', 'n', srun)} & wait"
        jobs[name] = steps.submit(script, f"-w{node}", "-n2", "--job-name=same")
    for steps in both.values():
        steps.wait_up("l", 1)
        steps.wait_up("n", 1)
    for user, other in ((alice, bob), (bob, alice)):
        directory = f"/var/tmp/cmfd-{other.uid}"
        wait_for(cluster.machines[node].path(f"{directory}/daemon.sock").exists, "a daemon runs")
        for command in (
            ("ls", directory), ("cat", f"{directory}/daemon.log"), ("touch", f"{directory}/x"),
        ):  # fmt: skip
            assert user.run(*command, node=node, check=False).returncode != 0, command
        text = user.run("cmfd", "status", "--json", node=node).stdout
        assert directory not in text
        assert f"/var/tmp/cmfd-{user.uid}" in text
        done = user.run("cmfd", "status", node=node, check=False, env={"CMFD_NODE_DIR": directory})
        assert "journals of" not in done.stdout, done
    for steps in both.values():
        steps.go_on("l")
        steps.go_on("n")

    for user, other in ((alice, bob), (bob, alice)):
        steps = both[user.name]
        assert user.wait(jobs[user.name]).state == "COMPLETED"
        steps.wait_left()
        (shown,) = steps.merged()
        run = shown["run"]
        assert (run["user"], run["uid"], run["job"]) == (user.name, user.uid, jobs[user.name])
        assert parts(shown) == {"logs": (1, "completed"), "not": (1, "completed")}
        assert steps.values(shown) == logged(logs=1)
        site = f"--site={steps.site}"
        assert other.run("cmfd", "runs", site, check=False).returncode != 0
        assert other.run("cmfd", "merge", site, check=False).returncode != 0
    check_idle(cluster)


@pytest.mark.slow
def test_a_step_within_an_allocation(cluster: Cluster, steps: Steps) -> None:
    """Typed on the head, one after another: steps of one run, each with its own end."""
    script = f"{steps.logs('logs')}; {steps.does_not('not')}; srun -n1 {CMFD_SRUN} -- false"
    words = ("salloc", "--quiet", "-N2", "-n2", "bash", "-c", script)
    done = steps.user.run(*words, env=steps.env, check=False)

    assert done.returncode == 1, done
    steps.wait_left()
    (shown,) = steps.merged()
    assert parts(shown) == {
        "logs": (2, "completed"), "not": (2, "completed"), "false": (1, "failed"),
    }  # fmt: skip
    assert steps.values(shown) == logged(logs=2)
    assert (shown["run"]["status"], shown["run"]["missing_nodes"]) == ("failed", [])
    assert shown["run"]["job"]
    check_idle(cluster)


def check_two_jobs(cluster: Cluster, steps: Steps, *options: str, tag: str = "") -> None:
    """Run two at once on the same nodes, and see that each is whole as soon as it has ended."""
    jobs, marks = {}, {name: (f"l{tag}{name}", f"n{tag}{name}") for name in ("one", "two")}
    for name, (logs, does_not) in marks.items():
        srun = "--overlap -n2"
        script = (
            f"{steps.logs('logs', logs, srun)} & {steps.does_not('not', does_not, srun)} & wait"
        )
        jobs[name] = steps.submit(script, "-n2", *options)
    for mark in (*marks["one"], *marks["two"]):
        steps.wait_up(mark, 2)
    for name, job in jobs.items():
        for mark in marks[name]:
            steps.go_on(mark)
        assert steps.user.wait(job).state == "COMPLETED", steps.user.output(job)
        found = {shown["run"]["job"]: shown for shown in steps.merged()}
        assert parts(found[job]) == dict.fromkeys(("logs", "not"), (2, "completed"))
        assert steps.values(found[job]) == logged(logs=2)
        assert found[job]["run"]["missing_nodes"] == []
    steps.wait_left()
    check_idle(cluster)


@pytest.mark.slow
def test_jobs_of_one_user_share_a_node(cluster: Cluster, steps: Steps) -> None:
    """And its cores: one ends, and delivers its own, while the other goes on with the daemon."""
    check_two_jobs(cluster, steps, "-pshared", f"-w{cluster.nodes[0]}", "--oversubscribe")


@pytest.mark.slow
def test_jobs_of_one_user_where_control_groups_end_them(cgroup_cluster: Cluster) -> None:
    """The first one's end ends the daemon, which the second had as well."""
    alice = cgroup_cluster.users["alice"]
    steps = Steps(alice, alice.shared / "site")
    check_two_jobs(cgroup_cluster, steps, f"-w{cgroup_cluster.nodes[0]}", "--mem=500")


@pytest.mark.slow
def test_a_job_with_nodes_of_its_own(cluster: Cluster, steps: Steps) -> None:
    """Whether it asks for that or its partition gives no other."""
    for words in (("--exclusive",), ("-pexclusive",)):
        script = f"{steps.logs('logs', 'l', '--overlap -n4')} & {steps.does_not('not')}; wait"
        job = steps.submit(script, "-N2", *words)
        steps.wait_up("l", 4)
        steps.go_on("l")
        assert steps.user.wait(job).state == "COMPLETED", steps.user.output(job)
        steps.wait_left()
        shown = next(run for run in steps.merged() if run["run"]["job"] == job)
        n_not = parts(shown)["not"][0]
        assert parts(shown) == {"logs": (4, "completed"), "not": (n_not, "completed")}
        assert steps.values(shown) == logged(logs=4)
        assert shown["run"]["missing_nodes"] == []
        steps.user.run("rm", "go-l")
    check_idle(cluster)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_jobs_with_a_tmp_of_their_own(make_cluster: Callable[[Options], Cluster]) -> None:
    """
    Two at once on the same nodes, with node directories that only they see, and with one in common.

    What is in a job's own directory is gone when it ends: by then all is at the site.
    """
    cluster = make_cluster(
        Options(
            n_nodes=2, one_cpu=True,
            lines=("JobContainerType=job_container/tmpfs", "PrologFlags=Contain"),
            files={"job_container.conf": "AutoBasePath=true\nBasePath=/var/jobs\n"},
        )
    )  # fmt: skip
    alice = cluster.users["alice"]
    job = alice.submit("touch /tmp/here /dev/shm/here; ls /tmp /dev/shm")
    assert alice.wait(job).state == "COMPLETED"
    assert alice.output(job).split() == ["/dev/shm:", "here", "/tmp:", "here"]
    for tag, node_dir in (("t", "/tmp/cmfd"), ("s", "/dev/shm/cmfd"), ("", "")):
        steps = Steps(alice, alice.shared / f"site-{tag}", node_dir)
        check_two_jobs(cluster, steps, "-N2", tag=tag)


def every_other_logs(steps: Steps) -> str:
    """Return a program that logs in every other task, and knows nothing of cmfd in the rest."""
    log, do_not = (
        command.partition(" -- ")[2] for command in (steps.logs("s"), steps.does_not("s"))
    )
    both = steps.user.write("both.sh", f"((SLURM_PROCID % 2)) || exec {log}\n{do_not}\n")
    return f"bash {both}"


def check_many_nodes(cluster: Cluster, steps: Steps, n_each: int, *, log: bool = True) -> None:
    """Run a step on all nodes; see that nothing is lost."""
    n_nodes = len(cluster.nodes)
    n_tasks = n_each * n_nodes
    program = every_other_logs(steps) if log else "true"
    script = f"srun --ntasks-per-node={n_each} {CMFD_SRUN} --stage all -- {program}"
    job = steps.submit(script, f"-N{n_nodes}", f"-n{n_tasks}")

    assert steps.user.wait(job, 900).state == "COMPLETED", steps.user.output(job)
    # On a busy machine nodes deliver after the job, and SLURM has complaints of its own.
    said = [line for line in steps.user.output(job).splitlines() if line.startswith("cmfd")]
    assert all("delivering takes too long" in line for line in said), said
    steps.wait_left(300)
    (shown,) = steps.merged()
    run = shown["run"]
    assert (run["job"], run["status"], run["n_nodes"]) == (job, "completed", n_nodes)
    assert run["missing_nodes"] == []
    assert parts(shown) == {"all": (n_tasks, "completed")}
    wrappers = [process for process in shown["processes"] if process["role"] == "wrapper"]
    assert sorted(process["rank"] for process in wrappers) == list(range(n_tasks))
    assert {process["exit_code"] for process in wrappers} == {0}
    found = [value for value in logged(all=n_tasks)["all"] if value[0] % 2 == 0]
    assert steps.values(shown) == ({"all": found} if log else {})
    check_idle(cluster)


def test_four_nodes(cluster: Cluster, steps: Steps) -> None:
    """With four tasks each."""
    check_many_nodes(cluster, steps, 4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_64_nodes(cluster_64: Cluster) -> None:
    """With four tasks each, and a daemon on each; all deliver at about the same time."""
    alice = cluster_64.users["alice"]
    check_many_nodes(cluster_64, Steps(alice, alice.shared / "site"), 4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_256_nodes(cluster_256: Cluster) -> None:
    """With a task each; without daemons, of which so many take two cores minutes to start."""
    alice = cluster_256.users["alice"]
    steps = Steps(alice, alice.shared / "site", daemons=False)
    check_many_nodes(cluster_256, steps, 1, log=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_256_nodes_with_daemons(cluster_256: Cluster) -> None:
    """The same of tasks of which every other logs, to a daemon on each node."""
    if "CMFD_TEST_LARGE" not in os.environ:
        pytest.skip("256 daemons keep two cores busy for ten minutes: set CMFD_TEST_LARGE=1")
    cluster_256.tidy()
    alice = cluster_256.users["alice"]
    check_many_nodes(cluster_256, Steps(alice, alice.shared / "site"), 1)
