"""Commands of users, and jobs, on a test cluster."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.cluster.processes import wait_for

if TYPE_CHECKING:
    from support.cluster.cluster import Cluster

ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "TIMEOUT",
)  # fmt: skip
LAG_S = 120.0
JOB_S = 300.0


@dataclass(frozen=True)
class JobEnd:
    """What the accounting says of a job that has ended."""

    state: str
    exit_code: str
    rows: tuple[dict[str, str], ...]
    """All that sacct has of it: the job and its steps; of a requeued one, each start."""


class Account:
    """
    A user of a cluster, logged in on its head.

    Parameters
    ----------
    cluster : Cluster
        The cluster.
    name : str
        The user.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.uid = cluster.options.users.get(name, 0)
        self.home = cluster.root / "home" / name if self.uid else Path("/root")
        self.shared = cluster.root / "shared" / name
        """A directory in the shared file system that this user may write to."""

    def run(
        self, *command: str, node: str | None = None, check: bool = True, timeout_s: float = JOB_S,
        stdin: str | None = None, env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a command on the head, or on a node, in the user's shared directory."""
        words = self.cluster.words(self.name, command, node, env or {})
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=timeout_s, input=stdin,
            umask=0o022,
        )  # fmt: skip
        if check and done.returncode:
            text = f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            raise AssertionError(text)
        return done

    def popen(
        self, *command: str, node: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command; its standard streams are pipes."""
        words = self.cluster.words(self.name, command, node, env or {})
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, umask=0o022)

    def write(self, name: str, text: str, *, executable: bool = False) -> Path:
        """Write a file of the user's, in the user's shared directory."""
        path = self.shared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755 if executable else 0o644)
        for made in (path, path.parent):
            os.chown(made, self.uid, self.uid)
        return path

    def srun(
        self,
        *arguments: str,
        check: bool = True,
        timeout_s: float = JOB_S,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `srun` with these arguments."""
        return self.run("srun", *arguments, check=check, timeout_s=timeout_s, env=env)

    def submit(self, script: str, *options: str, env: dict[str, str] | None = None) -> str:
        """Submit a job and return its id; `script` is all of it, or what bash is to do."""
        text = script if script.startswith("#!") else f"#!/bin/bash\n{script}\n"
        command = ("sbatch", "--parsable", *options)
        return self.run(*command, stdin=text, env=env).stdout.strip().partition(";")[0]

    def output(self, job: str) -> str:
        """Return what a job's script printed, if its output is where SLURM puts it."""
        return (self.shared / f"slurm-{job}.out").read_text("utf-8")

    def cancel(self, *arguments: str) -> None:
        """Run `scancel`."""
        self.run("scancel", *arguments)

    def wait(self, job: str, timeout_s: float = JOB_S) -> JobEnd:
        """Wait until a job, or all of an array, has ended, on all its nodes, and is accounted."""
        return wait_for_job(self.cluster, job, timeout_s)


def queue(cluster: Cluster, job: str, what: str = "%T") -> list[str]:
    """Return what squeue says of a job, of each element of an array."""
    found = cluster.root_user.run(
        "squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", f"--format={what}",
        check=False,
    )  # fmt: skip
    return found.stdout.split("\n")[:-1]


def wait_for_job(cluster: Cluster, job: str, timeout_s: float) -> JobEnd:
    """Wait until a job has ended and is accounted; without accounting, until it has ended."""

    def is_over() -> bool:
        states = queue(cluster, job)
        return bool(states) and all(state in ENDED for state in states)

    def described() -> str:
        return cluster.root_user.run("scontrol", "show", "job", job, check=False).stdout

    try:
        wait_for(is_over, "it ends", timeout_s, every_s=0.1)
    except TimeoutError:
        raise AssertionError(f"job {job} did not end in {timeout_s:g} s:\n{described()}") from None
    if not cluster.options.accounting:
        return JobEnd(queue(cluster, job)[0], "", ())
    rows: list[dict[str, str]] = []

    def is_accounted() -> bool:
        before, rows[:] = rows.copy(), accounted(cluster, job)
        main = [row for row in rows if "." not in row["JobID"]]
        named = all(row["JobName"] != "allocation" and row["Partition"] for row in main)
        ended = all(row["State"].split()[0] in (*ENDED, "REQUEUED") for row in rows)
        # Of a job that slurmdbd has missed the state comes first, and how it ended later.
        ended = ended and all(row["End"] != "Unknown" for row in rows)
        is_settled = rows == before  # a step may come after its job
        return is_settled and bool(main) and named and ended and main[-1]["State"] != "REQUEUED"

    wait_for(is_accounted, f"job {job} is accounted", LAG_S, every_s=0.4)
    last = [row for row in rows if "." not in row["JobID"]][-1]
    return JobEnd(last["State"].split()[0], last["ExitCode"], tuple(rows))


def accounted(cluster: Cluster, job: str, *columns: str) -> list[dict[str, str]]:
    """Return the rows that sacct has of a job."""
    wanted = ["JobID", "JobName", "Partition", "State", "ExitCode", "Start", "End", "NodeList"]
    command = (
        "sacct", "--parsable2", "--duplicates", f"--jobs={job}",
        f"--format={','.join([*wanted, *columns])}",
    )  # fmt: skip
    head, *lines = cluster.root_user.run(*command).stdout.splitlines()
    return [dict(zip(head.split("|"), line.split("|"), strict=True)) for line in lines]
