"""
What was logged before a kill is not lost, and nothing counts twice.

Real ranks, a real daemon and real mergers are killed at instants of a random
generator's choosing; afterwards every value whose logging call had returned
must be at the site, once.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.mergers import digest_of
from support.oracle import connection_to

from cmfd.merge.batch import merge_site
from cmfd.store.columns import decode
from cmfd.wire.endpoint import listener

if TYPE_CHECKING:
    from pathlib import Path

RANK = """
import mmap, os, sys
import cmfd
name, progress, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
done = memoryview(mmap.mmap(os.open(progress, os.O_RDWR), 8)).cast("q")
ex = cmfd.start("laws", name)
ex.param("who", name)
print("go", flush=True)
for i in range(n):
    if i % 3:
        ex.metric("m", float(i), step=i)
    else:
        ex.metrics({"m": float(i), "twin": -float(i)}, step=i)
    if i % 500 == 0:
        ex.param(f"p{i}", i)
    done[0] = i + 1  # said only after the calls returned
    if i % 64 == 0:
        os.sched_yield()
"""


@dataclass
class Rank:
    """A process that logs, and what it had logged when it died."""

    name: str
    progress: Path
    process: subprocess.Popen[bytes]

    @property
    def returned(self) -> int:
        """How many rounds of logging calls have returned."""
        return int.from_bytes(self.progress.read_bytes(), "little")


@dataclass
class Node:
    """A node with its daemon, its ranks and its site."""

    path: Path
    ranks: list[Rank] = field(default_factory=list)
    daemon: subprocess.Popen[bytes] | None = None
    mergers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """The surroundings of every process of this node."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CMFD_")}
        return {
            **inherited, "CMFD_NODE_DIR": str(self.path / "node"), "CMFD_SITE": str(self.site),
            "CMFD_RUN": "0" * 30 + "42", "CMFD_AUTOSTART": "false", "CMFD_AUTO_MERGE": "false",
            "CMFD_SEAL_GRACE_S": "0.1", "CMFD_CHECKPOINT_INTERVAL_S": "0.3", "CMFD_IDLE_S": "600",
            "CMFD_FLUSH_INTERVAL_S": "0.02", "CMFD_COMMIT_INTERVAL_S": "0.02",
        }  # fmt: skip

    @property
    def site(self) -> Path:
        """Where everything ends up."""
        return self.path / "site"

    def cmfd(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of cmfd."""
        return subprocess.Popen(
            [sys.executable, "-m", "cmfd", *arguments], env=self.env, cwd=self.path,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def start_rank(self, n: int) -> Rank:
        """Start a rank, and return when it begins to log."""
        name = f"rank{len(self.ranks)}"
        progress = self.path / f"{name}.progress"
        progress.write_bytes(bytes(8))
        process = subprocess.Popen(
            [sys.executable, "-c", RANK, name, str(progress), str(n)], env=self.env, cwd=self.path,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        self.ranks.append(Rank(name, progress, process))
        return self.ranks[-1]

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """Kill a process, as a batch system or the kernel would."""
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def end(self) -> None:
        """Kill all that still runs."""
        for process in (self.daemon, *self.mergers, *(rank.process for rank in self.ranks)):
            if process is not None and process.poll() is None:
                self.kill(process)
        for rank in self.ranks:
            assert rank.process.stdout is not None
            rank.process.stdout.close()

    def steps(self) -> dict[str, Counter[int]]:
        """Count the steps of metric ``m`` at the site, by rank; values must equal steps."""
        found: dict[str, Counter[int]] = {rank.name: Counter() for rank in self.ranks}
        with closing(connection_to(self.site / "index.db")) as db:
            for stage, name, data in db.execute(
                "SELECT e.stage, s.name, c.data FROM chunk AS c"
                " JOIN series AS s ON s.id = c.series_id"
                " JOIN execution AS e ON e.id = s.execution_id"
            ):
                columns = decode(data)
                sign = 1 if name == "m" else -1
                assert (columns.values == sign * columns.steps).all()
                if name == "m":
                    found[stage].update(columns.steps.tolist())
        return found

    def check(self) -> None:
        """Every value whose call had returned is there once; at most one more, half-said, is."""
        found = self.steps()
        for rank in self.ranks:
            returned, steps = rank.returned, found[rank.name]
            assert set(steps.values()) <= {1}, f"{rank.name}: values counted twice"
            assert set(steps) - set(range(returned)) <= {returned}, f"{rank.name}: values of nobody"
            missing = set(range(returned)) - set(steps)
            assert not missing, (
                f"{rank.name}: {len(missing)} of {returned} lost, {sorted(missing)[:5]}"
            )


@pytest.fixture
def node(tmp_path: Path) -> object:
    made = Node(tmp_path)
    yield made
    made.end()


def a_round(node: Node, rng: random.Random) -> None:
    """Start ranks, and kill ranks, daemon and merger at random instants while they log."""
    if node.daemon is None or node.daemon.poll() is not None:
        node.daemon = node.cmfd("daemon")
    ranks = [node.start_rank(1_000_000) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.5:
        node.mergers.append(node.cmfd("merge", "--site", str(node.site), "--quiet"))
    victims = [*(rank.process for rank in ranks)]
    if rng.random() < 0.6:
        victims.append(node.daemon)
    if node.mergers and rng.random() < 0.7:
        victims.append(node.mergers[-1])
    rng.shuffle(victims)
    for victim in victims:
        time.sleep(rng.random() * 0.3)  # the instant of the kill: any will do, by design
        node.kill(victim)


def kill_and_count(node: Node, seed: int, rounds: int) -> None:
    """Kill for some rounds, then let everything come to rest, and count."""
    rng = random.Random(seed)
    for _ in range(rounds):
        a_round(node, rng)
    node.kill(node.daemon)
    if rng.random() < 0.5:  # a daemon takes in what is left ...
        node.daemon = node.cmfd("daemon")
        wait_until_journals_are_gone(node)
        node.daemon.terminate()
        assert node.daemon.wait(60) == 0
    merge_site(node.site, [node.path / "node"], wait=True)  # ... or the merge does
    node.check()
    digest = digest_of(node.site)
    merge_site(node.site, [node.path / "node"], wait=True)
    assert digest_of(node.site) == digest, "merging again changed the content"


def wait_until_journals_are_gone(node: Node) -> None:
    """Wait for a daemon to listen, and to adopt the journals of the dead."""
    deadline = time.monotonic() + 60
    node_dir = node.path / "node"
    while listener(node_dir) is None or any((node_dir / "journals").iterdir()):
        assert time.monotonic() < deadline, "journals were not adopted"
        time.sleep(0.05)


def test_kills_in_any_order_lose_nothing(node: Node) -> None:
    """A few rounds, every time."""
    kill_and_count(node, seed=1, rounds=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_kills_in_any_order_lose_nothing_over_many_rounds(node: Node, seed: int) -> None:
    """Twelve nodes of twelve rounds."""
    kill_and_count(node, seed, rounds=12)


def test_without_any_daemon_the_journals_are_complete(node: Node) -> None:
    """`cmfd merge` takes them."""
    for n in (1, 5_000, 40_000):
        assert node.start_rank(n).process.wait(60) == 0

    merge_site(node.site, [node.path / "node" / "journals"])

    node.check()
    assert {name: len(steps) for name, steps in node.steps().items()} == {
        "rank0": 1, "rank1": 5_000, "rank2": 40_000
    }  # fmt: skip


@pytest.mark.slow
def test_sixty_four_processes_at_once(node: Node) -> None:
    """A full node's ranks against one daemon; all committed when they have ended."""
    node.daemon = node.cmfd("daemon")
    for _ in range(64):
        node.start_rank(3_000)
    for rank in node.ranks:
        assert rank.process.wait(120) == 0
    wait_until_journals_are_gone(node)
    node.daemon.terminate()
    assert node.daemon.wait(60) == 0

    merge_site(node.site)

    node.check()
    assert all(len(steps) == 3_000 for steps in node.steps().values())


@pytest.mark.slow
def test_a_clock_that_is_set_back_loses_nothing(node: Node) -> None:
    """Times go back by an hour in the middle of a job; every value is kept in its place."""
    code = RANK.replace(
        "import cmfd\n",
        "import time\nreal, calls = time.time_ns, [0]\n"
        "def stepped():\n    calls[0] += 1\n    return real() - (calls[0] > 700) * 3600 * 10**9\n"
        "time.time_ns = stepped\nimport cmfd\n",
    )
    node.daemon = node.cmfd("daemon")
    progress = node.path / "progress"
    progress.write_bytes(bytes(8))
    done = subprocess.run(
        [sys.executable, "-c", code, "rank0", str(progress), "2000"], env=node.env, cwd=node.path,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert done.stdout == b"go\n"
    wait_until_journals_are_gone(node)
    node.daemon.terminate()
    node.daemon.wait(60)

    merge_site(node.site)

    node.ranks.append(Rank("rank0", progress, node.daemon))
    assert len(node.steps()["rank0"]) == 2_000
    node.ranks.clear()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk")
def test_a_full_disk_hurts_no_job_and_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """A 6 MiB disk for journals and node store: the job runs on and knows what it dropped."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=True)
    node = Node(disk)
    try:
        node.daemon = node.cmfd("daemon")
        rank = node.start_rank(400_000)
        assert rank.process.wait(120) == 0, "the job failed for its metadata"
        node.kill(node.daemon)
        room = tmp_path / "site"
        merge_site(room, [disk / "node"])
        with closing(connection_to(room / "index.db")) as db:
            (kept,) = db.execute(
                "SELECT sum(c.n_values) FROM chunk AS c JOIN series AS s ON s.id = c.series_id"
            ).fetchone()
            (dropped,) = db.execute("SELECT max(dropped) FROM process_state").fetchone()
        n_values = 400_000 + len(range(0, 400_000, 3))
        assert kept + dropped == n_values
        assert kept > 0
    finally:
        node.end()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_mmap_is_what_the_progress_counters_rely_on(tmp_path: Path) -> None:
    """The counter these tests trust survives a kill as journals do: the kernel keeps the page."""
    path = tmp_path / "counter"
    path.write_bytes(bytes(8))
    pid = os.fork()
    if pid == 0:
        with path.open("r+b") as file:
            memoryview(mmap.mmap(file.fileno(), 8)).cast("q")[0] = 7
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert path.read_bytes()[0] == 7
