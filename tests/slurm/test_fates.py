"""Every fate of a job on a real cluster, and what the site has of it then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.cluster import recorded
from support.cluster.processes import wait_for
from support.fates import CMFD_RUN, SCRIPT, SRUN, Fate, ends

if TYPE_CHECKING:
    from support.cluster import Account, Cluster

pytestmark = pytest.mark.slurm

TASKS = ("-N2", "-n4")
RANKS = range(4)

both = pytest.mark.parametrize(
    "logs", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["logs", "knows-nothing"]
)


@pytest.fixture
def fate(alice: Account) -> Fate:
    """Give jobs that log, and a site for them."""
    return Fate(alice, alice.shared / "site")


def check(fate: Fate, job: str, state: str, status: str) -> dict[str, Any]:
    """See that a job's only run is whole in the site, and no node the worse for it."""
    shown = fate.run(job)
    run = shown["run"]
    assert [one["run"] for one in recorded.runs(fate.user, fate.site)] == [run["run"]]
    assert (run["status"], run["job_state"], run["missing_nodes"]) == (status, state, [])
    (execution,) = shown["executions"]
    assert execution["stage"] == "logs"
    if fate.logs:
        assert fate.has_all(run["run"], *range(execution["n_ranks"]))
    told = fate.status(job)
    assert (told["missing_nodes"], told["waiting_packs"]) == ([], 0)
    assert len(told["delivered_nodes"]) == run["n_nodes"]
    assert set(fate.cluster.node_states().values()) <= {"idle", "mixed"}
    return shown


@pytest.mark.slow
@both
def test_completed(fate: Fate, *, logs: bool) -> None:
    """All is well."""
    fate.logs = logs
    job = fate.submit("return", *TASKS)
    assert fate.user.wait(job).state == "COMPLETED"
    fate.bring_in()

    shown = check(fate, job, "COMPLETED", "completed")
    assert shown["executions"][0]["status"] == "completed"
    assert ends(shown) == [("completed", 0, None)] * 4
    assert ends(shown, "rank") == [("completed", None, None)] * (4 if logs else 0)


@both
@pytest.mark.parametrize(
    ("end", "how"),
    [("exit", (3, None)), pytest.param("segv", (None, 11), marks=pytest.mark.slow)],
    ids=["exit-3", "segfault"],
)
def test_failed(fate: Fate, end: str, how: tuple[int | None, int | None], *, logs: bool) -> None:
    """The last of the ranks did, which is known; the others' part is whole."""
    fate.logs = logs
    job = fate.submit(end, *TASKS)
    assert fate.user.wait(job).state == "FAILED"
    fate.bring_in()

    shown = check(fate, job, "FAILED", "failed")
    assert shown["executions"][0]["status"] == "failed"
    well = ("completed", 0, None)
    assert ends(shown) == [well, well, well, ("failed", *how)]


@pytest.mark.slow
@both
def test_cancelled(fate: Fate, *, logs: bool) -> None:
    """By its user, with what SLURM sends to all of its processes."""
    fate.logs = logs
    job = fate.submit("wait", *TASKS)
    fate.wait_up(4)
    fate.user.cancel(job)
    assert fate.user.wait(job).state == "CANCELLED"
    fate.bring_in()

    shown = check(fate, job, "CANCELLED", "cancelled")
    assert shown["executions"][0]["status"] == "cancelled"
    assert ends(shown) == [("cancelled", None, 15)] * 4


def signal_once(fate: Fate, launch: str) -> str:
    """Send a signal to all of a job, whose tasks wait for it, and see that each hears it once."""
    job = fate.submit("handle", "-N2", "-n2", launch=launch)
    fate.wait_up(2)
    fate.user.cancel("--signal=USR1", job)
    assert fate.user.wait(job).exit_code == "7:0"
    handled = [fate.user.shared / f"handled-0-{rank}" for rank in range(2)]
    assert [path.read_text() for path in handled] == ["once\n"] * 2
    return job


def check_handled(fate: Fate) -> None:
    """See that what a program does because of a signal is recorded to the last word."""
    job = signal_once(fate, SRUN)
    fate.bring_in()
    shown = check(fate, job, "FAILED", "failed")
    assert ends(shown) == ends(shown, "rank") == [("failed", 7, None)] * 2


@pytest.mark.slow
def test_a_signal_that_the_program_handles(fate: Fate) -> None:
    """SLURM sends it to every process of the step; it comes once."""
    check_handled(fate)


@pytest.mark.slow
def test_a_signal_to_a_program_under_cmfd_run(fate: Fate) -> None:
    """The same."""
    signal_once(fate, CMFD_RUN)


def check_deaf(fate: Fate) -> None:
    """Cancel a program that does not listen: it is killed, and whatever stands beside it, too."""
    job = fate.submit("deaf", "-N2", "-n2")
    fate.wait_up(2)
    fate.user.cancel(job)
    assert fate.user.wait(job).state == "CANCELLED"
    fate.fetch(job)

    shown = check(fate, job, "CANCELLED", "cancelled")
    assert shown["executions"][0]["status"] == "lost"
    assert ends(shown) == [("lost", None, None)] * 2


@pytest.mark.slow
def test_killed(fate: Fate) -> None:
    """By SLURM, which waits no longer: its user fetches what nobody had time to deliver."""
    check_deaf(fate)


@both
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_timeout(fate: Fate, *, logs: bool) -> None:
    """SLURM ends it, and tells it so a moment before."""
    fate.logs = logs
    job = fate.submit("wait", *TASKS, "-t1")
    assert fate.user.wait(job, 240).state == "TIMEOUT"
    fate.bring_in()

    shown = check(fate, job, "TIMEOUT", "failed")
    assert ends(shown) == [("cancelled", None, 15)] * 4


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["where-the-script-runs", "another"])
def test_node_fail(fate: Fate, cluster: Cluster, which: int) -> None:
    """A node goes off: its last checkpoint is there, it is named, and it completes the run."""
    nodes = cluster.nodes[2:]
    job = fate.submit(
        "wait", "-N2", "-n2", f"-w{','.join(nodes)}", "--no-requeue", CMFD_CHECKPOINT_INTERVAL_S="1"
    )
    fate.wait_up(2)
    lost, other = nodes[which], 1 - which
    wait_for(lambda: fate.n_published(job, which), "a checkpoint", every_s=0.5)
    n_before = fate.n_published(job, which)
    cluster.crash(lost)
    down = ("scontrol", "update", f"NodeName={lost}", "State=DOWN", "Reason=power")
    cluster.root_user.run(*down)
    assert fate.user.wait(job).state == "NODE_FAIL"
    fate.bring_in()

    run = fate.run(job)["run"]
    assert (run["status"], run["job_state"], run["missing_nodes"]) == (
        "failed",
        "NODE_FAIL",
        [lost],
    )
    (listed,) = recorded.runs(fate.user, fate.site)
    assert listed["missing_nodes"] == fate.status(job)["missing_nodes"] == [lost]
    assert f"incomplete: {lost}" in fate.user.run("cmfd", "runs", f"--site={fate.site}").stdout
    assert fate.has_all(job, other)
    found = fate.steps(job, which)
    assert found == list(range(len(found)))
    assert n_before <= len(found)

    cluster.start(lost)
    fate.fetch(job)
    shown = check(fate, job, "NODE_FAIL", "failed")
    how = [("lost", None, None), ("cancelled", None, 15)]
    assert ends(shown) == (how if which == 0 else how[::-1])


def check_starts(fate: Fate, job: str, state: str, ranks: range) -> None:
    """See that both starts of a job are in the site, each with what it logged, and are linked."""
    last = fate.run(job)
    (before,) = last["other_starts"]
    first = fate.show(before["run"])
    assert (first["run"]["restart"], last["run"]["restart"]) == (0, 1)
    assert [other["run"] for other in first["other_starts"]] == [last["run"]["run"]]
    assert (first["run"]["status"], first["run"]["job_state"]) == ("cancelled", state)
    assert (last["run"]["status"], last["run"]["job_state"]) == ("completed", "COMPLETED")
    assert ends(first) == [("cancelled", None, 15)] * len(ranks)
    assert ends(last) == [("completed", 0, None)] * len(ranks)
    for restart, shown in enumerate((first, last)):
        assert shown["run"]["missing_nodes"] == []
        assert fate.has_all(shown["run"]["run"], *ranks, restart=restart)
    text = fate.user.run("cmfd", "show", job, f"--site={fate.site}").stdout
    assert f"{before['run'][:12]} before it ({state})" in text
    assert set(fate.cluster.node_states().values()) == {"idle"}


@pytest.mark.slow
def test_requeued(fate: Fate) -> None:
    """A job that goes back into the queue is two runs, each of which names the other."""
    job = fate.submit("restart", *TASKS, "--requeue")
    fate.wait_up(4)
    fate.user.run("scontrol", "requeue", job)
    assert fate.user.wait(job).state == "COMPLETED"
    fate.bring_in()
    check_starts(fate, job, "REQUEUED", RANKS)


def preempt(fate: Fate, partition: str) -> str:
    """Have a job of a partition make room for another; returns it once that has ended."""
    nodes = f"-w{','.join(fate.cluster.nodes[:2])}"
    tasks = ("-N2", "-n8", nodes)
    job = fate.submit("restart", *tasks, f"--partition={partition}", "--requeue")
    fate.wait_up(8)
    urgent = fate.user.submit("true", *tasks, "--partition=high")
    assert fate.user.wait(urgent).state == "COMPLETED"
    return job


@pytest.mark.slow
def test_preempted_and_cancelled(fate: Fate) -> None:
    """For a job that is more urgent."""
    job = preempt(fate, "low")
    assert fate.user.wait(job).state == "PREEMPTED"
    fate.bring_in()
    shown = check(fate, job, "PREEMPTED", "cancelled")
    assert ends(shown) == [("cancelled", None, 15)] * 8


@pytest.mark.slow
def test_preempted_and_requeued(fate: Fate) -> None:
    """It begins anew when there is room again."""
    job = preempt(fate, "low-requeue")
    assert fate.user.wait(job).state == "COMPLETED"
    fate.bring_in()
    check_starts(fate, job, "PREEMPTED", range(8))


@pytest.fixture
def confined(cgroup_cluster: Cluster) -> Fate:
    """Give jobs where control groups limit their memory and end what they started."""
    cgroup_cluster.tidy()
    alice = cgroup_cluster.users["alice"]
    return Fate(alice, alice.shared / "site")


@pytest.mark.slow
def test_out_of_memory(confined: Fate) -> None:
    """The kernel ends a job that took too much, and not what stands beside it."""
    job = confined.submit("eat", "-N1", "-n1", "--mem=300", launch=SCRIPT)
    assert confined.user.wait(job).state == "OUT_OF_MEMORY"
    confined.bring_in()
    shown = check(confined, job, "OUT_OF_MEMORY", "failed")
    assert ends(shown) == [("failed", None, 9)]


@pytest.mark.slow
def test_a_step_out_of_memory(confined: Fate) -> None:
    """The job's script goes on, and fails; SLURM says why of the step."""
    job = confined.submit("eat", "-N2", "-n2", "--mem=300")
    assert confined.user.wait(job).state == "FAILED"
    confined.bring_in()
    shown = check(confined, job, "FAILED", "failed")
    assert ends(shown) == [("completed", 0, None), ("failed", None, 9)]
    (steps,) = (fact["value"] for fact in shown["facts"] if fact["key"] == "slurm.steps")
    assert {step["step"]: step["state"] for step in steps}["0"] == "OUT_OF_MEMORY"


@pytest.mark.slow
def test_cancelled_where_control_groups_track_processes(confined: Fate) -> None:
    """There SLURM signals what it has started itself, and that is not the program."""
    job = confined.submit("wait", "-N2", "-n2")
    confined.wait_up(2)
    confined.user.cancel(job)
    assert confined.user.wait(job).state == "CANCELLED"
    confined.bring_in()
    shown = check(confined, job, "CANCELLED", "cancelled")
    assert ends(shown) == [("cancelled", None, 15)] * 2


@pytest.mark.slow
def test_a_signal_where_control_groups_track_processes(confined: Fate) -> None:
    """SLURM sends it to what it has started itself; it comes once, too."""
    check_handled(confined)


@pytest.mark.slow
def test_a_signal_under_cmfd_run_where_control_groups_track_processes(confined: Fate) -> None:
    """The same."""
    signal_once(confined, CMFD_RUN)


@pytest.mark.slow
def test_killed_where_nothing_outlives_a_step(confined: Fate) -> None:
    """Not even a daemon: what was logged lies on the nodes until its user fetches it."""
    check_deaf(confined)
