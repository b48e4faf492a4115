"""A test cluster as its operator sets it up for all users."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import systemctl
from support.cluster.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cluster import Cluster

NODE_DIR = "/var/lib/cmfd"
UID = 417
"""Of the daemon's user, and its group, on all machines."""


def lend_systemctl(cluster: Cluster) -> None:
    """Put what stands in for systemd on all machines."""
    script = Path(systemctl.__file__)
    command = f'PYTHONPATH={script.parents[1]} exec {sys.executable} -m support.systemctl "$@"'
    for machine in (cluster.head, *cluster.machines.values()):
        path = machine.path("/usr/local/sbin/systemctl")
        path.write_text(f"#!/bin/sh\n{command}\n", "utf-8")
        path.chmod(0o755)


class Operated:
    """
    A cluster that its operator has set up.

    Parameters
    ----------
    cluster : Cluster
        One that is up, as SLURM alone has it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.root = cluster.root_user
        self.site = cluster.shared / "site"
        lend_systemctl(cluster)
        # Where services, whose environment says nothing, look for it.
        self.root.run("mkdir", "-p", "/etc/slurm")
        self.root.run("ln", "-s", str(cluster.slurm_conf), "/etc/slurm/slurm.conf")
        self._on_all(lambda node: self._install(node, str(self.site)))
        self._make_site()
        with cluster.slurm_conf.open("a", encoding="utf-8") as file:
            file.write("Include /etc/cmfd/slurm.conf\n")
        self.root.run("scontrol", "reconfigure")
        cluster.services.stop("slurmctld")
        cluster.services.start("slurmctld")
        cluster.wait_ready()
        for node in cluster.nodes:
            self.systemctl(node, "enable", "--now", "cmfd")

    def _on_all(self, action: Callable[[str | None], object]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(action, (None, *self.cluster.nodes)))

    def _install(self, node: str | None, site: str) -> None:
        self.root.run("cmfd", "slurm", "install", f"--site={site}", f"--uid={UID}", node=node)
        self.root.run("systemd-sysusers", "/etc/sysusers.d/cmfd.conf", node=node)
        self.root.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/cmfd.conf", node=node)

    def choose(self, site: str) -> None:
        """Have all published elsewhere."""
        self._on_all(lambda node: self._install(node, site))
        for node in self.cluster.nodes:
            self.systemctl(node, "restart", "cmfd")

    def _make_site(self) -> None:
        self.root.run("install", "-d", "-o", "cmfd", "-g", "cmfd", "-m", "2755", str(self.site))
        self.root.run("runuser", "-u", "cmfd", "--", "cmfd", "site", "init", str(self.site))
        queue = str(self.site / "queue")
        self.root.run("install", "-d", "-o", "slurm", "-g", "cmfd", "-m", "2770", queue)

    def systemctl(self, node: str | None, *words: str) -> str:
        """Run `systemctl` on a node, or on the head."""
        return self.root.run("systemctl", *words, node=node).stdout

    def run_of(self, job: str) -> dict[str, Any] | None:
        """Merge what was published, and return what the site has of a job's last start."""
        site = f"--site={self.site}"
        self.root.run("runuser", "-u", "cmfd", "--", "cmfd", "merge", "--quiet", site)
        found = self.root.run("cmfd", "runs", "--json", site).stdout
        runs = [run for run in json.loads(found) if run["job"] == job]
        return max(runs, key=lambda run: int(run["restart"]), default=None)

    def wait_delivered(self, job: str) -> dict[str, Any]:
        """Wait until all nodes of a job have delivered all; returns the run."""
        found: list[dict[str, Any]] = []

        def delivered() -> bool:
            run = self.run_of(job)
            found[:] = [run] if run else []
            return bool(run and not run["missing_nodes"])

        wait_for(delivered, f"all nodes deliver job {job}", every_s=0.5)
        return found[0]

    def show(self, run: str) -> dict[str, Any]:
        """Return all that the site has of a run."""
        words = ("cmfd", "show", "--json", f"--site={self.site}", run)
        shown: dict[str, Any] = json.loads(self.root.run(*words).stdout)
        return shown

    def told(self, node: str) -> set[str]:
        """Return the files of a node's job spool."""
        return {path.name for path in self.path(node, "jobs").iterdir()}

    def wait_told(self, node: str, *names: str) -> None:
        """Wait until files are in a node's job spool."""
        wait_for(lambda: set(names) <= self.told(node), f"{node} is told {names}")

    def wait_told_somewhere(self, name: str) -> str:
        """Wait until a file is in the job spool of some node; returns which."""
        nodes = self.cluster.nodes
        wait_for(lambda: any(name in self.told(node) for node in nodes), f"one is told {name}")
        return next(node for node in nodes if name in self.told(node))

    def path(self, node: str, name: str) -> Path:
        """Return where a path in a node's directory is seen from here, while the node is on."""
        return self.cluster.machines[node].path(f"{NODE_DIR}/{name}")
