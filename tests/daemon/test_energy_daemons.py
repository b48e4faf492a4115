"""Daemons that count a node's energy: one of them, from where the last one stopped."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.daemons import Daemon, wait_until
from support.sysfs import CrayCounters

from cmfd.config import Settings
from cmfd.daemon.energy_election import Election
from cmfd.energy.sampler import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

Rows = list[sqlite3.Row]


@pytest.fixture
def counters(short_dir: Path) -> CrayCounters:
    """Make a node's counters, which move when the test says so."""
    return CrayCounters(short_dir / "sys")


@pytest.fixture
def make(daemons: Callable[..., Daemon], short_dir: Path) -> Callable[..., Daemon]:
    """Make daemons that read those counters ten times a second."""

    def make(**settings: Any) -> Daemon:
        chosen = {
            "energy": "true", "energy_sysfs": str(short_dir / "sys"), "energy_interval_s": "0.1",
            "energy_bucket_s": "0.5", **settings,
        }  # fmt: skip
        return daemons(**chosen)

    return make


def rows(daemon: Daemon) -> Rows:
    """Return what a daemon has stored."""
    with closing(sqlite3.connect(daemon.node_dir / "node.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM energy WHERE role = 'count'").fetchall()


def uj(found: Rows, *owners: str, component: str | None = None) -> int:
    """Add up."""
    return sum(
        row["uj"]
        for row in found
        if row["owner"] in owners and component in (None, row["component"])
    )


def memory(daemon: Daemon) -> Memory:
    """Return what it left for the next daemon."""
    with closing(sqlite3.connect(daemon.node_dir / "node.db")) as db:
        (document,) = db.execute("SELECT data FROM energy_memory").fetchone()
    return msgspec.msgpack.decode(document, type=Memory)


def counts(status: dict[str, Any]) -> bool:
    """Whether it counts, and has read once."""
    return bool(status["energy"]["counts"] and status["energy"].get("tick_s"))


@pytest.mark.slow
def test_what_the_counters_move_is_stored_to_the_microjoule(
    make: Callable[..., Daemon], counters: CrayCounters
) -> None:
    """Nobody is here, so all of it is idle; status tells which source it is from."""
    daemon = make().start()
    daemon.wait_for(counts, "it counts")
    counters.advance(energy=50, cpu_energy=20, memory_energy=5)
    daemon.wait_for(lambda said: _total(said, "counter") == 50_000_000, "it is seen")
    said = daemon.status()["energy"]
    assert daemon.stop() == 0

    found = rows(daemon)
    parts = {name: uj(found, "counter", component=name) for name in ("cpu", "dram", "other")}
    assert parts == {"cpu": 20_000_000, "dram": 5_000_000, "other": 25_000_000}
    assert uj(found, "idle") == uj(found, "counter")
    chosen = {
        one["source"]: (one["status"], one["grade"]) for one in said["sources"] if one["counts"]
    }
    assert chosen == {"pm_counters": ("available", "A")}
    with closing(sqlite3.connect(daemon.node_dir / "node.db")) as db:
        probes = dict(db.execute("SELECT source, status FROM energy_probe"))
        (n_nodes,) = db.execute("SELECT count(*) FROM node_hardware").fetchone()
    assert (probes["pm_counters"], probes["rapl"], n_nodes) == ("available", "absent", 1)


def _total(said: dict[str, Any], owner: str) -> int:
    totals = said["energy"].get("totals", ())
    return sum(one["uj"] for one in totals if one["owner"] == owner and one["role"] == "count")


@pytest.mark.slow
def test_a_daemon_that_is_killed_loses_no_energy(
    make: Callable[..., Daemon], counters: CrayCounters
) -> None:
    """The next one goes on from the counters as they were stored last."""
    first = make().start()
    first.wait_for(counts, "it counts")
    counters.advance(energy=10)
    wait_until(lambda: uj(rows(first), "counter") == 10_000_000, "it is stored")
    counters.advance(energy=7)
    first.kill()
    counters.advance(energy=1)
    second = make().start()
    second.wait_for(counts, "it counts")
    wait_until(lambda: uj(rows(second), "counter") == 18_000_000, "all of it is stored")
    assert second.stop() == 0
    assert uj(rows(second), "run", "idle", "system") == 18_000_000
    assert dict(memory(second).readings)["pm_counters"].at_boot_ns


@pytest.mark.slow
def test_of_two_daemons_one_counts(
    make: Callable[..., Daemon], counters: CrayCounters, short_dir: Path
) -> None:
    """The other says who does; when that one has ended, it counts."""
    first = make().start()
    first.wait_for(counts, "it counts")
    second = make(node_dir=short_dir / "other").start()
    second.wait_for(lambda said: "counts this node" in said["energy"]["reason"], "it stands by")
    assert first.process is not None
    assert f"process {first.process.pid} of user" in second.status()["energy"]["reason"]
    assert {who: doctor_on_who_counts(who) for who in (first, second)} == {
        first: ("ok", f"your daemon, process {first.process.pid}"),
        second: ("warn", f"another daemon of yours, process {first.process.pid}"),
    }
    counters.advance(energy=5)
    first.wait_for(lambda said: _total(said, "counter") == 5_000_000, "it is seen")
    assert not second.status()["energy"]["counts"]
    assert first.stop() == 0
    second.wait_for(counts, "the other counts")
    counters.advance(energy=3)
    second.wait_for(lambda said: _total(said, "counter") == 3_000_000, "it is seen")
    assert second.stop() == 0
    assert uj(rows(first), "counter") + uj(rows(second), "counter") == 8_000_000


def doctor_on_who_counts(daemon: Daemon) -> tuple[str, str]:
    """Return what `cmfd doctor --energy` says of it, where a daemon is."""
    words = [sys.executable, "-m", "cmfd", "doctor", "--energy", "--json"]
    environ = daemon.environ() | {"CMFD_ENERGY_DISABLED": "nvml,ipmi,amdsmi,redfish"}
    done = subprocess.run(words, env=environ, capture_output=True, check=True)
    (found,) = (one for one in json.loads(done.stdout) if one["check"] == "energy: who counts")
    return found["level"], found["what"]


def test_the_service_of_a_node_asks_nobody(tmp_path: Path) -> None:
    """A user who holds the name keeps no operator from counting, only his equals."""
    settings = Settings(energy_sysfs=tmp_path)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as squatter:
        squatter.bind(f"\0cmfd-energy:{tmp_path}")
        squatter.listen()
        election = Election(settings)
        assert not election.is_won()
        assert str(os.getpid()) in election.reason
        assert Election(msgspec.structs.replace(settings, system=True)).is_won()
    assert election.is_won()
    election.close()


def test_however_often_others_ask_they_learn_who_counts(tmp_path: Path) -> None:
    """Each of a node's many daemons asks again and again."""
    settings = Settings(energy_sysfs=tmp_path)
    with closing(Election(settings)) as first, closing(Election(settings)) as second:
        for _ in range(300):
            assert first.is_won()
            assert not second.is_won()
            assert f"process {os.getpid()} of user" in second.reason


@pytest.mark.slow
def test_a_program_that_is_run_is_given_what_it_took(
    make: Callable[..., Daemon], counters: CrayCounters, short_dir: Path
) -> None:
    """It, and its execution, by the processor time of their processes."""
    daemon = make(energy_idle_w="1").start()
    daemon.wait_for(counts, "it counts")
    before_j = counters.joules["energy"]
    script = "import time\nprint('.', flush=True)\ninput()\nwhile time.process_time() < 0.3: pass\n"
    script += "print('.', flush=True)\ninput()"
    site = str(short_dir / "site")
    command = ["-m", "cmfd", "run", "--quiet", f"--site={site}", "--", sys.executable, "-c", script]
    with subprocess.Popen(
        [sys.executable, *command], env=daemon.environ(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()

        def is_given_some(said: dict[str, Any]) -> bool:
            counters.advance(energy=1)
            return _total(said, "run") > 0

        daemon.wait_for(is_given_some, "it is known")
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        counters.advance(energy=100)
        process.communicate("\n")
    assert process.returncode == 0
    assert daemon.stop() == 0

    found = rows(daemon)
    mine = [row for row in found if row["owner"] == "run"]
    assert {row["method"] for row in mine if any(row["execution"])} == {"rank_pids"}
    moved_uj = (counters.joules["energy"] - before_j) * 1_000_000
    assert uj(found, "run", "idle", "system") == uj(found, "counter") == moved_uj
    words = [sys.executable, "-m", "cmfd", "merge", "--quiet", f"--site={site}"]
    subprocess.run(words, check=True, env=daemon.environ())
    with closing(sqlite3.connect(f"{site}/index.db")) as db:
        query = "SELECT owner, sum(uj) FROM energy_rows WHERE role = 'count' GROUP BY 1"
        assert json.dumps(dict(db.execute(query))) == json.dumps(
            {name: sum(r["uj"] for r in found if r["owner"] == name) for name in
             ("counter", "idle", "run", "system") if any(r["owner"] == name for r in found)}
        )  # fmt: skip


@pytest.mark.slow
def test_runs_of_a_daemon_that_stands_by_are_told_what_they_took(
    make: Callable[..., Daemon], counters: CrayCounters, short_dir: Path
) -> None:
    """By the figures of who counts, with their grade; it is added to nothing."""
    first = make().start()
    first.wait_for(counts, "it counts")
    second = make(node_dir=short_dir / "other").start()
    second.wait_for(lambda said: "counts this node" in said["energy"]["reason"], "it stands by")
    site = str(short_dir / "site")
    command = ["-m", "cmfd", "run", "--quiet", f"--site={site}", "--"]
    script = "print('.', flush=True)\nwhile True: pass"
    with subprocess.Popen(
        [sys.executable, *command, "timeout", "30", sys.executable, "-c", script],
        env=second.environ(), stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()

        def is_given_some() -> bool:
            counters.advance(energy=1)
            return uj(told(second), "run") > 0

        wait_until(is_given_some, "it is told")
        process.terminate()
    assert [daemon.stop() for daemon in (second, first)] == [0, 0]
    assert rows(second) == []
    found = told(second)
    assert {(row["owner"], row["source"], row["grade"]) for row in found} == {
        ("run", "pm_counters", "A")
    }
    assert 0 < uj(found, "run") <= uj(rows(first), "idle", "system")
    subprocess.run(
        [sys.executable, "-m", "cmfd", "merge", "--quiet", f"--site={site}"], check=True,
        env=second.environ(),
    )  # fmt: skip
    words = [sys.executable, "-m", "cmfd", "show", "last", f"--site={site}"]
    said = subprocess.run(words, check=True, env=second.environ(), capture_output=True, text=True)
    assert "grade A by pm_counters" in said.stdout
    assert "by the figures of another daemon" in said.stdout


def told(daemon: Daemon) -> Rows:
    """Return what a daemon has stored that is added to nothing."""
    with closing(sqlite3.connect(daemon.node_dir / "node.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM energy WHERE role = 'check'").fetchall()


LOOP = """
import sys, time, cmfd
with cmfd.start(pipeline="p", stage="train"):
    print(".", flush=True)
    input()
    for n in range(6):
        with cmfd.start(pipeline="p", stage=f"epoch-{n}") as epoch:
            for step in range(4):
                epoch.metric("samples", 100.0 * (n % 3 + 1), step)
            end_s = time.process_time() + 0.04 * (n % 3 + 1)
            while time.process_time() < end_s:
                pass
    print(".", flush=True)
    input()
"""


@pytest.mark.slow
def test_executions_between_two_readings_are_given_what_they_took(
    make: Callable[..., Daemon], counters: CrayCounters, short_dir: Path
) -> None:
    """
    A loop of epochs in one process: each has its part, by its processor time.

    Each is an execution, so that its card says what a step and a sample took: here the same in all,
    since an epoch of twice the samples takes twice the time.
    """
    daemon = make(energy_interval_s="5", energy_bucket_s="2", energy_idle_w="0.000001").start()
    daemon.wait_for(counts, "it counts")
    environ = {**daemon.environ(), "CMFD_SITE": str(short_dir / "site")}
    with subprocess.Popen(
        [sys.executable, "-c", LOOP], env=environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()

        def is_known(said: dict[str, Any]) -> bool:
            counters.advance(energy=1)
            return _total(said, "run") > 0

        begun_j = counters.joules["energy"]
        daemon.wait_for(is_known, "its run is known")
        moved_uj = round((counters.joules["energy"] - begun_j) * 1e6)
        daemon.wait_for(lambda said: _total(said, "counter") == moved_uj, "all of it is read")
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        counters.advance(energy=1000)
        process.communicate("\n")
    assert daemon.stop() == 0
    found = rows(daemon)
    assert uj(found, "run", "idle", "system") == uj(found, "counter") == moved_uj + 10**9
    with closing(sqlite3.connect(daemon.node_dir / "node.db")) as db:
        used_ns = dict(db.execute(USED))
    given_uj = {
        execution: sum(row["uj"] for row in found if row["execution"] == execution)
        for execution in used_ns
    }
    assert len(given_uj) == 6
    whole_uj, whole_ns = sum(given_uj.values()), sum(used_ns.values())
    assert whole_uj > uj(found, "run") / 2
    for execution, each_ns in used_ns.items():
        assert given_uj[execution] / whole_uj == pytest.approx(each_ns / whole_ns, rel=0.15)
    units = units_of_last(daemon, f"--site={short_dir}/site")
    for execution, each_uj in given_uj.items():
        one = units[execution.hex()]
        assert round(one["energy_j"] * 1e6) == each_uj
        assert (one["n_steps"], one["j_per_step"]) == (4, one["energy_j"] / 4)
        assert one["n_samples"] in {400, 800, 1200}
        whole_n = 2 * (400 + 800 + 1200)
        assert one["j_per_sample"] == pytest.approx(whole_uj / 1e6 / whole_n, rel=0.3)


def units_of_last(daemon: Daemon, site: str) -> dict[str, dict[str, Any]]:
    """Return what the card of the last run says of its executions."""
    cmfd = [sys.executable, "-m", "cmfd"]
    subprocess.run([*cmfd, "merge", "--quiet", site], check=True, env=daemon.environ())
    words = [*cmfd, "report", "energy", "last", "--json", site]
    said = subprocess.run(words, check=True, env=daemon.environ(), capture_output=True).stdout
    (card,) = json.loads(said)["cards"]
    return {one["execution"]: one for one in card["units"]}


USED = """
SELECT execution, cpu_user_ns + cpu_system_ns
FROM process_state JOIN execution USING (execution) WHERE stage LIKE 'epoch-%'
"""
