"""
Energy on a real cluster: three overlapping jobs of two users on shared nodes.

Each node has a counter that SLURM's own plugin reads as well, so SLURM's figure is a real check.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from support.cluster import Cluster, Options
from support.operated import Operated

from cmfd.energy.sampler import Memory
from cmfd.identity import run_of_job
from cmfd.slurm.figures import duration_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

CPUS, IDLE_W, WATTS = 4, 40, 100
SETTINGS = f"energy_interval_s = 1.0\nenergy_bucket_s = 1.0\nenergy_idle_w = {IDLE_W}.0\n"
BUSY = "exec python3 -c 'while True: pass'"


@pytest.fixture(scope="module")
def operated(make_cluster: Callable[[Options], Cluster]) -> Operated:
    """Give two nodes with counters, set up for all users."""
    options = Options(n_nodes=2, cpus=CPUS, proctrack="cgroup", gather="cgroup", watts=WATTS)
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


class Second(NamedTuple):
    """What a calculation by hand gives runs of one second, in microjoules."""

    t0_ns: int
    by_hand: dict[bytes, Fraction]


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
        alice.submit(f'srun timeout 16 sh -c "{BUSY}"; true', "-N2", "-n2"): {first: 1, second: 1},
        bob.submit("srun sleep 14", f"-w{first}", "-n1", "-c2"): {first: 2},
        bob.submit(f'srun timeout 14 sh -c "{BUSY}"; true', f"-w{second}", "-n1"): {second: 1},
    }
    runs = {run_of_job(cluster.name, job, 0): given for job, given in jobs.items()}
    for job in jobs:
        assert alice.wait(job).state == "COMPLETED"
        operated.wait_delivered(job)
    after = stop(operated, tmp_path / "after")

    seconds = {}
    for node in cluster.nodes:
        since_ns = before[node].memory.utc_ns
        moved_uj = after[node].counted_uj() - before[node].counted_uj()
        assert after[node].uj("counter", since_ns=since_ns) == moved_uj
        assert after[node].uj("run", "idle", "system", since_ns=since_ns) == moved_uj
        there = {run: given[node] for run, given in runs.items() if node in given}
        seconds[node] = _check_by_hand(after[node], there)
    site = _at_site(operated)
    for node in cluster.nodes:
        parts = [site[node, owner] for owner in ("run", "idle", "system")]
        assert sum(parts) == site[node, "counter"] == after[node].uj("counter")
    _check_reports(operated, after, runs)
    _check_report_by_hand(operated, after, seconds)
    for job, given in jobs.items():
        _check_with_slurm(operated, job, [after[node] for node in given])


def _check_by_hand(node: Node, cpus: dict[bytes, int]) -> list[Second]:
    """
    Recalculate every second in which nothing changed, and return what was given away in it.

    In the first two that all jobs are there, the controller may not have said yet what the last
    one was given; in the last one, jobs end.
    """
    found = []
    seconds: dict[int, dict[Any, sqlite3.Row]] = defaultdict(dict)
    for row in node.rows:
        seconds[row["t0_ns"]][row["run"] if any(row["run"]) else row["owner"]] = row
    steady = [rows for rows in seconds.values() if {*cpus, "system"} <= set(rows)][2:-1]
    assert len(steady) >= 6
    for rows in steady:
        counted, dur_ns = rows["counter"]["uj"], rows["counter"]["dur_ns"]
        static = min(counted, IDLE_W * 10**6 * dur_ns // 10**9)
        used = {key: rows[key]["cpu_ns"] for key in (*cpus, "system")}
        for run, given in cpus.items():
            assert abs(rows[run]["static_uj"] - Fraction(static * given, CPUS)) < 1
            by_use = Fraction((counted - static) * used[run], sum(used.values()))
            assert abs(rows[run]["uj"] - rows[run]["static_uj"] - by_use) < 1
        by_hand = {
            run: Fraction(static * given, CPUS)
            + Fraction((counted - static) * used[run], sum(used.values()))
            for run, given in cpus.items()
        }
        found.append(Second(rows["counter"]["t0_ns"], by_hand))
    return found


def _report(operated: Operated, kind: str, *options: str) -> Any:
    """Return a report on the site's runs."""
    words = ("cmfd", "report", kind, "--json", f"--site={operated.site}", *options)
    return json.loads(operated.root.run(*words).stdout)


def _check_reports(
    operated: Operated, nodes: dict[str, Node], runs: dict[bytes, dict[str, int]]
) -> None:
    """Both reports have the same joules, which are those of the counters."""
    energy = _report(operated, "energy", "--by", "run")
    mine = {bytes.fromhex(one["names"]["run"]): one for one in energy["groups"]}
    for run in runs:
        own_uj = sum(row["uj"] for node in nodes.values() for row in node.rows if row["run"] == run)
        assert round(mine[run]["energy"]["energy_j"] * 1e6) == own_uj
    of_nodes = _report(operated, "energy", "--by", "node")
    for node, one in nodes.items():
        days = [day for day in of_nodes["reconciliation"] if day["node"] == node]
        assert all(day["difference_j"] == 0 for day in days)
        assert round(sum(day["counter_j"] for day in days) * 1e6) == one.uj("counter")
    of_users = _report(operated, "energy", "--by", "user")
    parts = (of_users["total"]["energy"], of_users["idle"], of_users["system"])
    whole_j = sum(part["energy_j"] for part in parts)
    assert round(whole_j * 1e6) == sum(one.uj("counter") for one in nodes.values())
    carbon = _report(operated, "carbon", "--by", "run")
    assert len(carbon["groups"]) == len(mine)
    for one in carbon["groups"]:
        found = mine[bytes.fromhex(one["names"]["run"])]
        assert one["energy"]["energy_j"] == found["energy"]["energy_j"]
    of_nodes_too = _report(operated, "carbon", "--by", "node")
    assert of_nodes_too["reconciliation"] == of_nodes["reconciliation"]


def _check_report_by_hand(
    operated: Operated, nodes: dict[str, Node], seconds: dict[str, list[Second]]
) -> None:
    """Give runs by hand what a report gives them, but for their first and last seconds."""
    found = _report(operated, "energy", "--by", "run")
    for one in found["groups"]:
        run = bytes.fromhex(one["names"]["run"])
        by_hand = Fraction(round(one["energy"]["energy_j"] * 1e6))
        for name, steady in seconds.items():
            known = {second.t0_ns: second.by_hand.get(run, 0) for second in steady}
            mine = [row for row in nodes[name].rows if row["run"] == run]
            by_hand -= sum(row["uj"] for row in mine if row["t0_ns"] not in known)
            by_hand -= sum(known.values())
        assert abs(by_hand) <= 2 * sum(map(len, seconds.values()))


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
    Compare with SLURM's ConsumedEnergy, which gives each step all that its nodes took meanwhile.

    Its plugin reads the same counter, once a second: of a step's first and last second some may not
    be in it, and `sacct` says whole seconds only. So it may be off by two seconds' energy of each
    node, which does not grow with the step.

    The processor time that the calculation by hand goes by is what SLURM says of the job's steps.
    """
    fields = "JobID,Start,End,ConsumedEnergyRaw,TotalCPU"
    words = ("sacct", "-n", "-P", f"--format={fields}", "-j", job)
    lines = operated.root.run("env", "SLURM_TIME_FORMAT=%s", *words).stdout.splitlines()
    steps = {line.split("|")[0]: line.split("|")[1:] for line in lines}
    t0_s, t1_s, slurm_j = map(float, steps[f"{job}.0"][:3])
    counters_j = sum(
        _overlap_s(row, t0_s, t1_s) * row["uj"] / row["dur_ns"] * 1e3
        for node in nodes for row in node.rows if row["owner"] == "counter"
    )  # fmt: skip
    assert slurm_j == pytest.approx(counters_j, abs=2 * WATTS * len(nodes))
    run = run_of_job(operated.cluster.name, job, 0)
    own = [row for node in nodes for row in node.rows if row["run"] == run]
    used_s = sum(duration_s(step[3]) or 0.0 for name, step in steps.items() if "." in name)
    assert sum(row["cpu_ns"] for row in own) / 1e9 == pytest.approx(used_s, rel=0.1, abs=2.0)
    own_j = sum(row["uj"] for row in own) / 1e6
    assert own_j < slurm_j  # ours is a share of it: others were there, too


def _overlap_s(row: sqlite3.Row, t0_s: float, t1_s: float) -> float:
    began_s, dur_s = float(row["t0_ns"]) / 1e9, float(row["dur_ns"]) / 1e9
    return max(0.0, min(began_s + dur_s, t1_s) - max(began_s, t0_s))
