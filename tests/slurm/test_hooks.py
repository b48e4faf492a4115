"""SLURM's hooks, run as slurmd runs them: without PATH, by their absolute path."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from support.cluster.processes import wait_for

from cmfd.daemon.spool import Spool
from cmfd.errors import ConfigError
from cmfd.slurm.spool import read_note
from cmfd.slurm.tasks import MOST_TASKS, Task, read_tasks

HOOKS = Path(__file__).parents[2] / "slurm" / "hooks"
NAMES = sorted(path.name for path in HOOKS.iterdir() if not path.suffix)
JOB = {
    "SLURM_CLUSTER_NAME": "alps", "SLURM_JOB_ID": "4712", "SLURM_JOB_UID": str(os.getuid()),
    "SLURM_JOB_GID": str(os.getgid()), "SLURM_JOB_USER": "alice", "SLURM_JOB_ACCOUNT": "chem",
    "SLURM_JOB_PARTITION": "long", "SLURM_NODELIST": "node[01-04]", "SLURMD_NODENAME": "node02",
    "SLURM_JOB_RESTART_COUNT": "0",
}  # fmt: skip


class Node:
    """
    The directories of a node and of a controller, with the hooks beside them.

    Parameters
    ----------
    root : Path
        Where it is made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hooks = root / "hooks"
        self.hooks.mkdir(parents=True)
        self.node_dir, self.controller, self.site = root / "node", root / "ctl", root / "site"
        for path in (*(self.node_dir / name for name in ("jobs", "jobs.new", "journals")),
                     self.controller, self.site / "queue"):  # fmt: skip
            path.mkdir(parents=True)
        for path in HOOKS.iterdir():
            (self.hooks / path.name).write_bytes(path.read_bytes())
            (self.hooks / path.name).chmod(path.stat().st_mode)
        self.configure()

    def configure(self, **chosen: str) -> None:
        """Say what the hooks go by."""
        chosen = {
            "limit_s": "2", "node_dir": str(self.node_dir), "controller_dir": str(self.controller),
            "group": grp.getgrgid(os.getgid()).gr_name, "queue": f"{self.site}/queue", "config": "",
            **chosen,
        }  # fmt: skip
        text = "".join(f"{key}='{value}'\n" for key, value in chosen.items())
        (self.hooks / "hooks.conf").write_text(text, "utf-8")

    def run(self, hook: str, **variables: str) -> str:
        """Run a hook of a job; it has to say that all is well. Returns what it printed."""
        words = [str(self.hooks / hook)]
        done = subprocess.run(
            words, env={**JOB, **variables}, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0
        assert not done.stderr
        return done.stdout

    def told(self, name: str) -> dict[str, str]:
        """Return what a file of the spool says."""
        return read(self.node_dir / "jobs" / name)

    def jobs(self) -> set[str]:
        """Return the files of the spool."""
        return {path.name for path in (self.node_dir / "jobs").iterdir()}


def read(path: Path) -> dict[str, str]:
    """Return keys and values of a file."""
    lines = path.read_text("utf-8").splitlines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node."""
    return Node(tmp_path)


def test_prolog_and_epilog_tell_whose_job_began_and_ended_where(node: Node) -> None:
    """All that the daemon needs is in either file; the user's directory for journals is made."""
    node.run("prolog")
    assert node.jobs() == {"alps_4712_0.begin"}
    node.run("epilog")
    assert node.jobs() == {"alps_4712_0.begin", "alps_4712_0.end"}
    for name in node.jobs():
        told = node.told(name)
        assert told.pop("time_us").isdecimal()
        assert told.pop("boot") == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert told == {
            "cluster": "alps", "job": "4712", "component": "4712", "restart": "0", "user": "alice",
            "uid": str(os.getuid()), "gid": str(os.getgid()), "account": "chem",
            "partition": "long", "nodes": "node[01-04]", "node": "node02",
        }  # fmt: skip
    journals = node.node_dir / "journals" / str(os.getuid())
    assert journals.stat().st_mode & 0o7777 == 0o2770


def test_the_epilog_ends_the_start_that_the_prolog_began(node: Node) -> None:
    """SLURM tells the Epilog the number of the next start if the job goes back into the queue."""
    node.run("prolog")
    node.run("epilog", SLURM_JOB_RESTART_COUNT="1")
    assert node.jobs() == {"alps_4712_0.begin", "alps_4712_0.end"}
    node.run("prolog", SLURM_JOB_RESTART_COUNT="1")
    node.run("epilog", SLURM_JOB_RESTART_COUNT="1")
    assert node.jobs() == {f"alps_4712_{n}.{kind}" for n in (0, 1) for kind in ("begin", "end")}


def test_an_epilog_without_a_prolog_tells_only_what_is_certain(node: Node) -> None:
    """With a count of 0, it was the first start; with a higher one, nobody knows."""
    node.run("epilog", SLURM_JOB_ID="1", SLURM_JOB_RESTART_COUNT="3")
    assert not node.jobs()
    node.run("epilog", SLURM_JOB_ID="1")
    assert node.jobs() == {"alps_1_0.end"}


def test_components_of_a_job_are_told_apart_and_say_what_they_are_of(node: Node) -> None:
    """Two components may share a node; their run's id is derived from the leader's number."""
    for component in ("4712", "4713"):
        node.run("prolog", SLURM_JOB_ID=component, SLURM_HET_JOB_ID="4712")
    assert node.jobs() == {"alps_4712_0.begin", "alps_4713_0.begin"}
    second = node.told("alps_4713_0.begin")
    assert (second["job"], second["component"]) == ("4712", "4713")


def test_components_on_one_node_share_what_is_told_of_tasks(node: Node) -> None:
    """Until the last of them has left: tasks know no other number than the leader's."""
    of_job = {"SLURM_HET_JOB_ID": "4712"}
    spool = Spool(node.node_dir / "jobs", journals=node.node_dir / "journals")
    for component in ("4712", "4713"):
        node.run("prolog", SLURM_JOB_ID=component, **of_job)
    node.run("task-prolog", **TASK)
    node.run("epilog", **of_job)
    assert [len(seen.tasks) for seen in spool.news()] == [0, 1, 0]
    spool.remove("alps_4712_0")
    node.run("task-epilog", **TASK)
    node.run("epilog", SLURM_JOB_ID="4713", **of_job)

    (last,) = spool.news()
    (task,) = last.tasks
    assert task.began_ns
    assert task.ended_ns
    spool.remove("alps_4713_0")
    assert not node.jobs()
    assert not list((node.node_dir / "journals").rglob("*.tasks"))


@pytest.mark.parametrize("hook", NAMES)
def test_a_hook_ends_well_whatever_is_missing(node: Node, hook: str) -> None:
    """No variables, no directories, no settings, none of its own parts."""
    nothing = dict.fromkeys(JOB, "")
    node.run(hook, **nothing)
    node.run(hook, SLURM_JOB_ID="../../etc", SLURM_JOB_UID="$(reboot)")
    node.run(hook, SLURM_CLUSTER_NAME="../a b\n", SLURM_JOB_ACCOUNT="../..")
    for name in ("node_dir", "controller_dir", "queue"):
        node.configure(**{name: str(node.root / "missing")})
        node.run(hook)
        assert not (node.root / "missing").exists(), "a directory of the operator's is made by root"
    own = {**JOB, "SLURM_CLUSTER_NAME": f"c{os.getpid()}"}
    for name in ("hooks.conf", "common.bash", "tasks.bash"):
        (node.hooks / name).write_text("limit_s=nonsense; (")
        done = subprocess.run([str(node.hooks / hook)], env=own, check=False, capture_output=True)
        assert done.returncode == 0
        (node.hooks / name).unlink()
        done = subprocess.run([str(node.hooks / hook)], env=own, check=False, capture_output=True)
        assert done.returncode == 0
    time.sleep(0.2)  # it is not waited for
    assert not list(Path("/").glob(f"*c{os.getpid()}_*")), "without settings, nowhere is the root"
    made = {str(path) for path in node.root.rglob("*") if not path.is_relative_to(node.hooks)}
    assert not {path for path in made if set(path.removeprefix(str(node.root))) & set(" \n$()")}


@pytest.mark.parametrize(
    ("hook", "partial", "made"),
    [
        ("prolog", "node/jobs.new/alps_4712_0.begin", "node/jobs/alps_4712_0.begin"),
        ("epilog", "node/jobs.new/alps_4712_0.end", "node/jobs/alps_4712_0.end"),
        ("prolog-slurmctld", "ctl/.alps_4712.new", "ctl/alps_4712"),
        ("epilog-slurmctld", "site/queue/.alps_4712_0.new", "site/queue/alps_4712_0"),
    ],
)
def test_a_hook_does_not_wait_for_a_disk_that_hangs(
    node: Node, hook: str, partial: str, made: str
) -> None:
    """It ends, and lets go of SLURM's pipes; what it began is done once the disk answers."""
    os.mkfifo(node.root / partial)
    node.configure(limit_s="0.2")
    node.run(hook)
    assert not (node.root / made).exists()
    (node.root / partial).read_text("utf-8")  # now there is somebody to write to
    wait_for((node.root / made).exists, "the file is put in place")


@pytest.mark.parametrize("hook", ["task-prolog", "task-epilog"])
def test_a_task_does_not_wait_for_a_disk_that_hangs(node: Node, hook: str) -> None:
    """It runs; what is told of it is told once the disk answers."""
    node.run("prolog")
    told = node.node_dir / "journals" / str(os.getuid()) / "alps_4712_0.tasks"
    os.mkfifo(told)
    node.configure(limit_s="0.2")
    node.run(hook, **TASK)
    assert " 2 5 " in told.read_text("utf-8")  # now there is somebody to write to


def test_what_could_not_be_told_is_in_the_system_log(node: Node) -> None:
    """With the hook's name and the job's, so that an operator finds it."""
    (node.node_dir / "jobs").rmdir()
    log = node.root / "log"
    common = node.hooks / "common.bash"
    text = common.read_text("utf-8")
    assert "/usr/bin/logger " in text
    common.write_text(text.replace("/usr/bin/logger ", f"/usr/bin/logger -u {log} "), "utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(log))
        listener.settimeout(60)
        node.run("prolog")
        line = listener.recv(65536).decode()
    assert "cmfd[prolog]: job 4712: cannot write" in line
    assert "alps_4712_0.begin" in line


def test_a_job_is_queued_at_its_site_with_the_start_that_ended(node: Node) -> None:
    """Even when SLURM says one more, because the job begins anew; nothing else is left."""
    node.run("prolog-slurmctld", SLURM_JOB_RESTART_COUNT="2")
    node.run("epilog-slurmctld", SLURM_JOB_RESTART_COUNT="3")
    queued = node.site / "queue" / "alps_4712_2"
    assert list(queued.parent.iterdir()) == [queued]
    told = read(queued)
    assert (told["cluster"], told["job"], told["restart"]) == ("alps", "4712", "2")
    assert not list(node.controller.iterdir())


TASK = {"SLURM_STEP_ID": "2", "SLURM_PROCID": "5"}


def test_task_prolog_and_task_epilog_tell_when_a_task_began_and_ended(node: Node) -> None:
    """In a file of the user's own; the batch script is a task as well."""
    node.run("prolog")
    node.run("task-prolog")
    for _ in range(2):
        node.run("task-prolog", **TASK)
        node.run("task-epilog", **TASK)
    path = node.node_dir / "journals" / str(os.getuid()) / "alps_4712_0.tasks"
    assert path.stat().st_mode & 0o777 == 0o640
    batch, task = read_tasks(path, os.getuid())
    assert (batch.step, batch.task, batch.ended_ns) == ("batch", 0, None)
    assert (task.step, task.task) == ("2", 5)
    assert 0 < (batch.began_ns or 0) <= (task.began_ns or 0) <= (task.ended_ns or 0)
    assert not read_tasks(path, os.getuid() + 1)


def test_an_older_bash_knows_the_time(node: Node) -> None:
    """Before version 5 it has none of its own: a job would begin and end in 1970."""
    old = node.root / "old.bash"
    old.write_text("unset EPOCHREALTIME\n", "utf-8")
    node.run("prolog", BASH_ENV=str(old))
    assert len(node.told("alps_4712_0.begin")["time_us"]) == 16
    node.run("task-prolog", **TASK, BASH_ENV=str(old))
    (task,) = read_tasks(
        node.node_dir / "journals" / str(os.getuid()) / "alps_4712_0.tasks", os.getuid()
    )
    assert task.began_ns


def test_a_line_that_is_cut_says_no_time(tmp_path: Path) -> None:
    """Nor one that is not all written yet."""
    path = tmp_path / "x.tasks"
    line = "begin 0 1 1770000000000000\n"
    path.write_text(line + line.replace(" 1 ", " 2 ")[:-5])
    assert [task.task for task in read_tasks(path, os.getuid())] == [1]


def test_what_a_user_writes_among_the_times_is_passed_over(tmp_path: Path) -> None:
    """It is the user's file; and no more is read of it than a node can hold."""
    path = tmp_path / "x.tasks"
    good = "begin 0 1 7\nend 0 1 9\n"
    path.write_text(f"begin 0 {'1' * 40} 7\nbegin ../x 0 7\nend\n\xff\n{good}begin 0 1 8\n")
    assert read_tasks(path, os.getuid()) == (Task("0", 1, 7000, 9000),)
    path.write_text("".join(f"begin 0 {n} 1\n" for n in range(MOST_TASKS + 1)))
    assert len(read_tasks(path, os.getuid())) == MOST_TASKS
    path.unlink()
    assert not read_tasks(path, os.getuid())
    os.mkfifo(path)
    assert not read_tasks(path, os.getuid())


def test_task_prolog_says_where_the_settings_are_and_nothing_else(node: Node) -> None:
    """Only if a process would not find them, and not against the user's word."""
    assert not node.run("task-prolog")
    node.configure(config="/opt/cmfd/etc/cmfd/cmfd.toml")
    assert node.run("task-prolog") == "export CMFD_CONFIG=/opt/cmfd/etc/cmfd/cmfd.toml\n"
    assert not node.run("task-prolog", CMFD_CONFIG="/home/alice/own.toml")


def test_what_no_daemon_takes_does_not_grow_for_ever(node: Node) -> None:
    """Ends go after a month; beginnings, whose jobs may still run, after a year."""
    node.run("prolog")
    node.run("epilog")
    now_s = (node.node_dir / "jobs" / "alps_4712_0.end").stat().st_mtime
    for path in (node.node_dir / "jobs").iterdir():
        os.utime(path, (now_s - 32 * 86400,) * 2)
    node.run("epilog", SLURM_JOB_ID="5000")
    assert node.jobs() == {"alps_4712_0.begin", "alps_5000_0.end"}
    os.utime(node.node_dir / "jobs" / "alps_4712_0.begin", (now_s - 367 * 86400,) * 2)
    node.run("epilog", SLURM_JOB_ID="5000")
    assert node.jobs() == {"alps_5000_0.end"}


def test_a_pipe_in_the_spool_keeps_no_daemon_waiting(tmp_path: Path) -> None:
    """Nor does anything else there that is no file."""
    os.mkfifo(tmp_path / "alps_1_0.begin")
    with pytest.raises(ConfigError, match="no file"):
        read_note(tmp_path / "alps_1_0.begin")
