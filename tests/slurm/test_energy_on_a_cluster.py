"""
Energy on a real cluster: three overlapping jobs of two users on shared nodes.

Each node has a counter that SLURM's own plugin reads as well, so SLURM's figure is a real check.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.cluster import Cluster, Options
from support.operated import Operated

from cmfd.energy.sampler import Memory
from cmfd.identity import run_of_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

CPUS, IDLE_W = 4, 40
SETTINGS = f"energy_interval_s = 1.0\nenergy_bucket_s = 1.0\nenergy_idle_w = {IDLE_W}.0\n"
BUSY = "exec python3 -c 'while True: pass'"


@pytest.fixture(scope="module")
def operated(make_cluster: Callable[[Options], Cluster]) -> Operated:
    """Give two nodes with counters, set up for all users."""
    options = Options(n_nodes=2, cpus=CPUS, proctrack="cgroup", gather="cgroup", watts=100)
    operated = Operated(make_cluster(options))
    cluster = operated.cluster
    for node in cluster.nodes:
        operated.root.run("mkdir", "-p", "/etc/slurm", node=node)
        link = ("ln", "-s", str(cluster.slurm_conf), "/etc/slurm/slurm.conf")
        operated.root.run(*link, node=node)
        with cluster.machines[node].path("/etc/cmfd/cmfd.toml").open("a") as file:
            file.write(SETTINGS)
        operated.systemctl(node, "restart", "cmfd")
    return operated


class Node:
    """What a node's daemon stored, read when it has ended."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.row_factory = sqlite3.Row
            self.rows = db.execute("SELECT * FROM energy ORDER BY t0_ns").fetchall()
            (document,) = db.execute("SELECT data FROM energy_memory").fetchone()
        self.memory = msgspec.msgpack.decode(document, type=Memory)

    def counted_uj(self) -> int:
        """Return what the counter said last."""
        ((_, reading),) = self.memory.readings
        return reading.value

    def uj(self, *owners: str, since_ns: int = 0) -> int:
        return sum(r["uj"] for r in self.rows if r["owner"] in owners and r["t0_ns"] >= since_ns)


def stored(operated: Operated, name: str, copies: Path) -> Node:
    """Copy a node's store while its daemon is down."""
    copy = copies / name
    copy.write_bytes(operated.path(name, "node.db").read_bytes())
    return Node(copy)


def stop(operated: Operated, copies: Path) -> dict[str, Node]:
    """End the daemons, which store all there is."""
    copies.mkdir()
    for node in operated.cluster.nodes:
        operated.systemctl(node, "stop", "cmfd")
    return {node: stored(operated, node, copies) for node in operated.cluster.nodes}


def test_three_jobs_of_two_users_are_given_what_the_counters_moved(
    operated: Operated, tmp_path: Path
) -> None:
    """To the microjoule; each has what a calculation by hand gives it, and SLURM agrees."""
    cluster = operated.cluster
    alice, bob = cluster.users["alice"], cluster.users["bob"]
    first, second = cluster.nodes
    before = stop(operated, tmp_path / "before")
    for node in cluster.nodes:
        operated.systemctl(node, "start", "cmfd")
    jobs = {
        alice.submit(f'srun timeout 9 sh -c "{BUSY}"; true', "-N2", "-n2"): {first: 1, second: 1},
        bob.submit("srun sleep 7", f"-w{first}", "-n1", "-c2"): {first: 2},
        bob.submit(f'srun timeout 7 sh -c "{BUSY}"; true', f"-w{second}", "-n1"): {second: 1},
    }
    runs = {run_of_job(cluster.name, job, 0): given for job, given in jobs.items()}
    for job in jobs:
        assert alice.wait(job).state == "COMPLETED"
        operated.wait_delivered(job)
    after = stop(operated, tmp_path / "after")

    for node in cluster.nodes:
        since_ns = before[node].memory.utc_ns
        moved_uj = after[node].counted_uj() - before[node].counted_uj()
        assert after[node].uj("counter", since_ns=since_ns) == moved_uj
        assert after[node].uj("run", "idle", "system", since_ns=since_ns) == moved_uj
        _check_by_hand(
            after[node], {run: given[node] for run, given in runs.items() if node in given}
        )
    site = _at_site(operated)
    for node in cluster.nodes:
        parts = [site[node, owner] for owner in ("run", "idle", "system")]
        assert sum(parts) == site[node, "counter"] == after[node].uj("counter")
    for job, given in jobs.items():
        _check_with_slurm(operated, job, [after[node] for node in given])


def _check_by_hand(node: Node, cpus: dict[bytes, int]) -> None:
    """
    Recalculate every second in which nothing changed.

    In the first two that all jobs are there, the controller may not have said yet what the last
    one was given; in the last one, jobs end.
    """
    seconds: dict[int, dict[Any, sqlite3.Row]] = defaultdict(dict)
    for row in node.rows:
        seconds[row["t0_ns"]][row["run"] if any(row["run"]) else row["owner"]] = row
    steady = [rows for rows in seconds.values() if {*cpus, "system"} <= set(rows)][2:-1]
    assert len(steady) >= 3
    for rows in steady:
        counted, dur_ns = rows["counter"]["uj"], rows["counter"]["dur_ns"]
        static = min(counted, IDLE_W * 10**6 * dur_ns // 10**9)
        used = {key: rows[key]["cpu_ns"] for key in (*cpus, "system")}
        for run, given in cpus.items():
            assert abs(rows[run]["static_uj"] - Fraction(static * given, CPUS)) < 1
            by_use = Fraction((counted - static) * used[run], sum(used.values()))
            assert abs(rows[run]["uj"] - rows[run]["static_uj"] - by_use) < 1


def _at_site(operated: Operated) -> dict[tuple[str, str], int]:
    """Return what the site has, by node and owner."""
    operated.root.run(
        "runuser", "-u", "cmfd", "--", "cmfd", "merge", "--quiet", f"--site={operated.site}"
    )
    with closing(sqlite3.connect(operated.site / "index.db")) as db:
        query = "SELECT node, owner, sum(uj) FROM energy_rows WHERE role = 'count' GROUP BY 1, 2"
        return {(node, owner): uj for node, owner, uj in db.execute(query)}


def _check_with_slurm(operated: Operated, job: str, nodes: list[Node]) -> None:
    """
    Compare with SLURM's ConsumedEnergy, which gives each job all that its nodes took meanwhile.

    It begins with the first step, and has what was read within a second or two of the ends.
    """
    run = run_of_job(operated.cluster.name, job, 0)
    words = ("sacct", "-n", "-X", "-P", "--format=ConsumedEnergyRaw", "-j", job)
    slurm_j = float(operated.root.run(*words).stdout)
    own_j, all_j = 0.0, 0.0
    for node in nodes:
        mine = [row for row in node.rows if row["run"] == run]
        t0_ns, t1_ns = mine[0]["t0_ns"], mine[-1]["t0_ns"] + mine[-1]["dur_ns"]
        counters = (row for row in node.rows if row["owner"] == "counter")
        all_j += sum(row["uj"] for row in counters if t0_ns <= row["t0_ns"] < t1_ns) / 1e6
        own_j += sum(row["uj"] for row in mine) / 1e6
    assert own_j < slurm_j
    assert slurm_j == pytest.approx(all_j, rel=0.35)
