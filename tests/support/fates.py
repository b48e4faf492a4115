"""Jobs whose tasks log until the job meets its fate, and what a site then has of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.cluster import recorded
from support.cluster.processes import wait_for
from support.tasks import CMFD, CMFD_SRUN

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Account, Cluster

LOGS = """
import os, signal, sys, time
import cmfd

end, restart = sys.argv[1], os.environ.get("SLURM_RESTART_COUNT", "0")
rank = int(os.environ["SLURM_PROCID"])
is_last = rank == int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) - 1
mine = f"{restart}-{rank}"
said = os.open(f"said-{mine}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
handled = []

def handle(number, frame):
    with open(f"handled-{mine}", "a") as file:
        file.write("once\\n")
    handled.append(number)

if end == "handle":
    signal.signal(signal.SIGUSR1, handle)
if end == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with cmfd.start(stage="logs") as ex:
    for step in range(10**6):
        ex.metric("x", rank + step / 1e6, step=step)
        os.write(said, b"x")
        if step == 100:
            open(f"up-{mine}", "w").close()
            if is_last and end == "exit":
                sys.exit(3)
            if is_last and end == "segv":
                os.kill(os.getpid(), signal.SIGSEGV)
            if is_last and end == "eat":
                held = []
                while True:
                    held.append(b"x" * (1 << 20))
            if end in ("return", "exit", "segv", "eat") or (end == "restart" and restart != "0"):
                break
        if handled:
            sys.exit(7)
        if step > 100:
            time.sleep(0.02)
"""
"""Each task notes beside what calls of `metric` have returned, and then ends as it is told."""

SRUN = f"srun {CMFD_SRUN}"
SCRIPT = f"exec {CMFD_SRUN}"
CMFD_RUN = f"srun {CMFD} run"
"""Ways to launch it: as a step, as all that the job's script is, with `cmfd run` as a step."""

KNOWS_NOTHING = """
import os, signal, sys, time

end, rank = sys.argv[1], int(os.environ["SLURM_PROCID"])
is_last = rank == int(os.environ["SLURM_STEP_NUM_TASKS"]) - 1
open(f"up-0-{rank}", "w").close()
if is_last and end == "exit":
    sys.exit(3)
if is_last and end == "segv":
    os.kill(os.getpid(), signal.SIGSEGV)
if end == "wait":
    time.sleep(600)
"""


@dataclass
class Fate:
    """
    Jobs of a user, and a site for them.

    Parameters
    ----------
    user : Account
        Whose jobs.
    site : Path
        Where they are recorded.
    logs : bool
        Whether the program logs; else it knows nothing of cmfd.
    """

    user: Account
    site: Path
    logs: bool = True

    @property
    def cluster(self) -> Cluster:
        """Where the jobs run."""
        return self.user.cluster

    def submit(self, end: str, *options: str, launch: str = SRUN, **settings: str) -> str:
        """Submit a job that launches a program whose tasks log, and then end so."""
        program = self.user.write("program.py", LOGS if self.logs else KNOWS_NOTHING)
        command = f"{launch} --stage logs -- {sys.executable} {program} {end}"
        env = {"CMFD_SITE": str(self.site), "CMFD_COMMAND": CMFD, "CMFD_IDLE_S": "2", **settings}
        return self.user.submit(command, *options, env=env)

    def wait_up(self, n_tasks: int, restart: int = 0) -> None:
        """Wait until all tasks have logged a hundred values."""
        up = [self.user.shared / f"up-{restart}-{rank}" for rank in range(n_tasks)]
        wait_for(lambda: all(path.exists() for path in up), "all tasks log")

    def bring_in(self) -> None:
        """Merge what was published, once nothing of the jobs is left on the nodes."""
        left: list[str] = []

        def nothing_left() -> bool:
            left[:] = self.cluster.leftovers(self.user.name)
            return not left

        try:
            wait_for(nothing_left, "nothing is left", every_s=0.2)
        except TimeoutError:
            raise AssertionError(f"this is left: {left}") from None
        self.user.run("cmfd", "merge", "--wait", "--quiet", f"--site={self.site}")

    def n_published(self, job: str, rank: int) -> int:
        """Merge what was published while a job runs; return how many values of a rank those are."""
        self.user.run("cmfd", "merge", "--wait", "--quiet", f"--site={self.site}", check=False)
        return self.n_known(job, rank)

    def n_known(self, job: str, rank: int) -> int:
        """Return how many values of a rank a site has; none of a job that it does not know."""
        words = ("cmfd", "metrics", job, "x", f"--rank={rank}", "--json", f"--site={self.site}")
        done = self.user.run(*words, check=False)
        return len(json.loads(done.stdout)) if done.returncode == 0 else 0

    def fetch(self, job: str) -> None:
        """Bring in all of a job that its nodes still have, as its user does it."""
        words = ("cmfd", "slurm", "merge-after", f"--site={self.site}", job)
        self.user.wait(self.user.run(*words).stdout.strip())
        queue = ("squeue", "--noheader", "--me")
        wait_for(lambda: not self.user.run(*queue).stdout, "nodes have delivered", every_s=0.2)
        self.bring_in()

    def run(self, job: str) -> dict[str, Any]:
        """Return what the site has of a job's last start, after asking SLURM for the job's end."""
        site = f"--site={self.site}"
        self.user.run("cmfd", "slurm", "enrich", "--quiet", site, job)
        return self.show(job)

    def show(self, name: str) -> dict[str, Any]:
        """Return what the site has of a run."""
        return recorded.show(self.user, self.site, name)

    def status(self, job: str) -> dict[str, Any]:
        """Return how far the records of a job have come."""
        words = ("cmfd", "slurm", "status", "--json", f"--site={self.site}", job)
        (found,) = json.loads(self.user.run(*words).stdout)["jobs"]
        assert isinstance(found, dict)
        return found

    def steps(self, run: str, rank: int) -> list[int]:
        """Return which values of a rank the site has, as it has them."""
        words = ("cmfd", "metrics", run, "x", f"--rank={rank}", "--json", f"--site={self.site}")
        points = json.loads(self.user.run(*words).stdout)
        assert all(point["value"] == rank + point["step"] / 1e6 for point in points)
        return [point["step"] for point in points]

    def n_said(self, rank: int, restart: int = 0) -> int:
        """Return how many values a rank has logged: so many calls have returned."""
        return (self.user.shared / f"said-{restart}-{rank}").stat().st_size

    def has_all(self, run: str, *ranks: int, restart: int = 0) -> bool:
        """Tell whether a site has each value that was logged, once; one may be of the last call."""
        for rank in ranks:
            found, n_said = self.steps(run, rank), self.n_said(rank, restart)
            assert found == list(range(len(found)))
            assert n_said <= len(found) <= n_said + 1
        return True


def ends(shown: dict[str, Any], role: str = "wrapper") -> list[tuple[Any, ...]]:
    """Return how each task ended, by rank."""
    tasks = sorted((task for task in shown["processes"] if task["role"] == role),
                   key=lambda task: task["rank"])  # fmt: skip
    return [(task["status"], task["exit_code"], task["signal"]) for task in tasks]
