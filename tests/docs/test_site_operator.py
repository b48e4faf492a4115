"""What the how-to for a whole cluster tells its operator to type does what it says."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.cluster import Account, Cluster, Options
from support.console import Shown, commands_of
from support.operated import lend_systemctl

if TYPE_CHECKING:
    from collections.abc import Iterator

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "site-operator.md"
SERVICES_S = 90
"""How long what the services do may take, on a busy machine."""

PROMPT = r"(?:root|alice)@(?:head|node|all)[#$]"


@pytest.fixture
def fresh() -> Iterator[Cluster]:
    """Give a cluster as SLURM alone has it, with the paths that the how-to uses."""
    # A short path: those of slurmd's sockets, below it, have 108 bytes at most.
    place = Path(tempfile.mkdtemp(prefix="cmfd-cluster-", dir="/var/tmp"))
    cluster = Cluster.up(place / "root", Options(n_nodes=2))
    try:
        lend_systemctl(cluster)
        for node in (None, *cluster.nodes):
            cluster.root_user.run("mkdir", "-p", "/project", "/etc/slurm", node=node)
            cluster.root_user.run("mount", "--bind", str(cluster.shared), "/project", node=node)
        cluster.root_user.run("ln", "-s", str(cluster.slurm_conf), "/etc/slurm/slurm.conf")
        yield cluster
    finally:
        cluster.down()
        place.rmdir()


def restart_slurmctld(cluster: Cluster) -> None:
    """Do what systemd would."""
    cluster.services.stop("slurmctld")
    cluster.services.start("slurmctld")
    cluster.wait_ready()


class Done(NamedTuple):
    """What came of a command, and whether that is what the how-to says."""

    output: str
    exit_code: int
    is_right: bool


def run(account: Account, node: str | None, shown: Shown) -> Done:
    """Run a command on a machine."""
    done = account.run("bash", "-c", f"exec 2>&1\n{shown.command}", node=node, check=False)
    is_right = done.returncode == 0 and shown.fits(done.stdout)
    return Done(done.stdout, done.returncode, is_right)


def run_shown(cluster: Cluster, shown: Shown) -> list[str]:
    """Run a command where its prompt says; returns what is wrong with what came of it."""
    if shown.command == "systemctl restart slurmctld":
        restart_slurmctld(cluster)
        return []
    user, _, place = shown.prompt[:-1].partition("@")
    account = cluster.root_user if user == "root" else cluster.users[user]
    nodes: list[str | None] = [] if place == "node" else [None]
    nodes += [] if place == "head" else cluster.nodes
    patience_s = SERVICES_S if shown.command.startswith("cmfd ") and user != "root" else 0
    wrong = []
    for node in nodes:
        deadline_s = time.monotonic() + patience_s
        while not (done := run(account, node, shown)).is_right and time.monotonic() < deadline_s:
            time.sleep(0.5)
        if not done.is_right:
            said = f"{shown.prompt} {shown.command}\n{done.output}({done.exit_code})"
            wrong.append("\n".join((said, *complaints(cluster))))
    return wrong


def complaints(cluster: Cluster) -> list[str]:
    """Return what SLURM's daemons on the nodes took for errors: users are not told."""
    logs = sorted((cluster.root / "log").glob("slurmd-*.log"))
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    return [line for line in lines if "error" in line]


@pytest.mark.slow
def test_the_how_to_for_a_whole_cluster_does_what_it_says(fresh: Cluster) -> None:
    """Every command, in order, on the machines that its prompt names."""
    shown = commands_of(HOWTO, PROMPT)
    assert len(shown) > 30
    assert not re.search(r"^```(sh|bash)", HOWTO.read_text("utf-8"), re.MULTILINE)

    wrong = [line for item in shown for line in run_shown(fresh, item)]

    assert not wrong, "\n\n".join(wrong)
