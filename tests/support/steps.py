"""Steps under `cmfd-srun`, of programs that log and that do not, and what a site has of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.cluster import recorded
from support.cluster.processes import PATIENCE_S, wait_for
from support.tasks import CMFD, CMFD_SRUN

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Account

N_VALUES = 200
LOGS = f"""
import os, sys, time
import cmfd
mark, rank = sys.argv[1], int(os.environ["SLURM_PROCID"])
with cmfd.start() as ex:
    for step in range({N_VALUES}):
        ex.metric("x", float(1000 * rank + step), step=step)
        if mark != "-" and step == {N_VALUES // 2}:
            open(f"up-{{mark}}-{{rank}}", "w").close()
            while not os.path.exists(f"go-{{mark}}"):
                time.sleep(0.02)
"""
"""Each task logs; half-way through it says so in a file, and waits for one, if it has a mark."""

DOES_NOT = """
[ "$1" = - ] && exit
touch "up-$1-$SLURM_PROCID"
until [ -e "go-$1" ]; do sleep 0.05; done
"""
"""As that, of a program that knows nothing of cmfd."""


@dataclass
class Steps:
    """
    Steps of a user, recorded into a site.

    Parameters
    ----------
    user : Account
        Whose they are.
    site : Path
        Where it is.
    node_dir : str
        On each node; empty: the user's usual one.
    daemons : bool
        Whether nodes have one; else a step's last task on a node publishes what the journals have,
        and they stay there.
    """

    user: Account
    site: Path
    node_dir: str = ""
    daemons: bool = True

    @property
    def env(self) -> dict[str, str]:
        """What the user sets."""
        node_dir = {"CMFD_NODE_DIR": self.node_dir} if self.node_dir else {}
        daemons = {} if self.daemons else {"CMFD_AUTOSTART": "false"}
        return {"CMFD_SITE": str(self.site), "CMFD_COMMAND": CMFD, **node_dir, **daemons}

    def logs(self, stage: str, mark: str = "-", srun: str = "") -> str:
        """Return the command of a step whose tasks log."""
        program = self.user.write("logs.py", LOGS)
        return self._step(srun, stage, f"{sys.executable} {program} {mark}")

    def does_not(self, stage: str, mark: str = "-", srun: str = "") -> str:
        """Return the command of a step whose tasks know nothing of cmfd."""
        program = self.user.write("does-not.sh", DOES_NOT)
        return self._step(srun, stage, f"bash {program} {mark}")

    def _step(self, srun: str, stage: str, command: str) -> str:
        return f"srun {srun} {CMFD_SRUN} --stage {stage} -- {command}"

    def submit(self, script: str, *options: str) -> str:
        """Submit a job."""
        return self.user.submit(script, *options, env=self.env)

    def wait_up(self, mark: str, n_tasks: int) -> None:
        """Wait until all tasks are half-way through."""
        up = [self.user.shared / f"up-{mark}-{rank}" for rank in range(n_tasks)]
        wait_for(lambda: all(path.exists() for path in up), f"all tasks of {mark} run")

    def go_on(self, mark: str) -> None:
        """Have tasks go on that wait."""
        self.user.write(f"go-{mark}", "")

    def wait_left(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until nothing of the user is left on the nodes: no process, socket or file."""
        name, cluster = self.user.name, self.user.cluster
        left = cluster.leftovers if self.daemons else cluster.processes_of
        try:
            wait_for(lambda: not left(name), "nothing is left", timeout_s, every_s=0.1)
        except TimeoutError:
            assert left(name) == []  # which says what it is
            raise

    def merged(self) -> list[dict[str, Any]]:
        """Merge what is in the inbox, and nothing else; return all runs, in full."""
        return [self.show(run["run"]) for run in self.merge()]

    def merge(self) -> list[dict[str, Any]]:
        """Merge what is in the inbox, and nothing else; return all runs, in short."""
        self.user.run("cmfd", "merge", "--wait", "--quiet", f"--site={self.site}")
        return recorded.runs(self.user, self.site)

    def show(self, run: str) -> dict[str, Any]:
        """Return what the site has of a run."""
        return recorded.show(self.user, self.site, run)

    def values(self, shown: dict[str, Any]) -> dict[str, list[tuple[int, int, float]]]:
        """Return the values that a run has, by stage: rank, step, value."""
        stages = {part["execution"]: part["stage"] for part in shown["executions"]}
        if not shown["metrics"]:
            return {}
        words = ("cmfd", "metrics", shown["run"]["run"], "x", "--json", f"--site={self.site}")
        points = json.loads(self.user.run(*words).stdout)
        found: dict[str, list[tuple[int, int, float]]] = {}
        for point in sorted(points, key=lambda point: (point["rank"], point["step"])):
            said = (point["rank"], point["step"], point["value"])
            found.setdefault(stages[point["execution"]], []).append(said)
        return found


def logged(**n_ranks: int) -> dict[str, list[tuple[int, int, float]]]:
    """Return the values that so many ranks of these stages log."""
    return {
        stage: [(rank, step, 1000.0 * rank + step) for rank in range(n) for step in range(N_VALUES)]
        for stage, n in n_ranks.items()
    }


def parts(shown: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Return how many ranks each stage of a run has, and how it stands; a stage comes once."""
    found = {part["stage"]: (part["n_ranks"], part["status"]) for part in shown["executions"]}
    assert len(found) == len(shown["executions"])
    return found


def facts(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a run's job, without the prefix; not of its steps."""
    run = shown["run"]["run"]
    of_run = [fact for fact in shown["facts"] if fact["subject"] == run]
    return {fact["key"].removeprefix("slurm."): fact["value"] for fact in of_run}
