"""What jobs, processes and a node used, as the kernel shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.daemons import wait_until

from cmfd.energy.readings import Roots
from cmfd.energy.usage import Cgroups, Node, Processes, Usage

if TYPE_CHECKING:
    from pathlib import Path

STAT = """\
cpu  1000 20 300 40000 500 60 7 8 9 0
cpu0 500 10 150 20000 250 30 3 4 9 0
cpu1 500 10 150 20000 250 30 4 4 0 0
intr 1 2 3
"""
MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    6000000 kB\n"


def test_a_node_is_busy_but_for_waiting(tmp_path: Path) -> None:
    """Neither idle time nor waiting for input nor what a hypervisor took draws its power."""
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "meminfo").write_text(MEMINFO)
    with closing(Node(Roots(proc=tmp_path))) as node:
        used = node.usage()
    assert (node.cpus, node.memory_bytes) == (2, 16_000_000 << 10)
    assert used == Usage((1000 + 20 + 300 + 60 + 7) * 10_000_000, 10_000_000 << 10)


@pytest.mark.parametrize("scope", ["slurmstepd.scope", "n1_slurmstepd.scope"])
def test_a_job_of_control_groups_version_2(tmp_path: Path, scope: str) -> None:
    """Also where several nodes share one machine, as in tests of clusters."""
    group = tmp_path / "system.slice" / scope / "job_7"
    groups = Cgroups(Roots(cgroup=tmp_path), "n1")
    assert groups.usage("7") is None
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n")
    (group / "memory.current").write_text("4096\n")
    assert groups.usage("7") == Usage(1_500_000, 4096)
    (group / "cpu.stat").write_text("usage_usec 2500\nuser_usec 2000\nsystem_usec 500\n")
    assert groups.usage("7") == Usage(2_500_000, 4096)
    groups.close()


def test_a_job_of_control_groups_version_1(tmp_path: Path) -> None:
    """Nanoseconds, and memory in a hierarchy of its own, or none."""
    below = "slurm/uid_1000/job_7"
    for name in ("cpuacct", "memory"):
        (tmp_path / name / below).mkdir(parents=True)
    (tmp_path / "cpuacct" / below / "cpuacct.usage").write_text("123456789\n")
    (tmp_path / "memory" / below / "memory.usage_in_bytes").write_text("8192\n")
    with closing(Cgroups(Roots(cgroup=tmp_path), "n1")) as groups:
        assert groups.usage("7") == Usage(123_456_789, 8192)
    (tmp_path / "memory" / below / "memory.usage_in_bytes").unlink()
    with closing(Cgroups(Roots(cgroup=tmp_path), "n1")) as groups:
        assert groups.usage("7") == Usage(123_456_789, None)


def test_what_a_job_is_held_to_is_what_it_was_given(tmp_path: Path) -> None:
    """No controller need be asked where SLURM holds jobs to their cores and memory."""
    groups = Cgroups(Roots(cgroup=tmp_path), "n1")
    new = tmp_path / "system.slice" / "slurmstepd.scope" / "job_7"
    new.mkdir(parents=True)
    assert groups.limits("7") is None
    (new / "cpuset.cpus").write_text("\n")
    assert groups.limits("7") is None
    (new / "cpuset.cpus").write_text("0-3,8\n")
    (new / "memory.max").write_text("max\n")
    assert groups.limits("7") == (5, None)
    old = "slurm_n1/uid_1000/job_8"
    for name in ("cpuacct", "cpuset", "memory"):
        (tmp_path / name / old).mkdir(parents=True)
    (tmp_path / "cpuacct" / old / "cpuacct.usage").write_text("1\n")
    (tmp_path / "cpuset" / old / "cpuset.cpus").write_text("1\n")
    (tmp_path / "memory" / old / "memory.limit_in_bytes").write_text(f"{1 << 30}\n")
    assert groups.limits("8") == (1, 1 << 30)
    (tmp_path / "memory" / old / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert groups.limits("8") == (1, None)


def test_a_group_that_vanished_keeps_its_last_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says ENODEV through a file that is still open."""
    group = tmp_path / "system.slice" / "slurmstepd.scope" / "job_7"
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("usage_usec 1500\n")
    groups = Cgroups(Roots(cgroup=tmp_path), "n1")
    assert groups.usage("7") == Usage(1_500_000)

    def gone(*_: object) -> bytes:
        raise OSError(19, "No such device")

    monkeypatch.setattr(os, "pread", gone)
    (group / "cpu.stat").unlink()
    group.rmdir()
    assert groups.usage("7") == Usage(1_500_000)
    assert groups.usage("7") == Usage(1_500_000)
    groups.keep(())
    assert groups.usage("7") is None


SPINS = "t = __import__('time'); e = t.process_time() + {}\nwhile t.process_time() < e: pass\n"


@pytest.mark.slow
def test_a_process_counts_with_what_it_started() -> None:
    """While its children run, and after it has waited for them."""
    text = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {SPINS.format(0.3)!r}])\n"
        "p.wait(); print('.', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process, closing(Processes(Roots())) as processes:  # fmt: skip
        wait_until(lambda: processes.read([process.pid])[process.pid].cpu_ns > 100_000_000, "spin")
        assert process.stdout is not None
        process.stdout.readline()
        used = processes.read([process.pid])[process.pid]
        assert 300_000_000 <= used.cpu_ns < 2_000_000_000
        assert used.memory_bytes
        process.communicate(b"\n")
        assert processes.read([process.pid])[process.pid].cpu_ns >= used.cpu_ns
        assert processes.read([]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("is_asked_for", [True, False])
def test_a_known_child_is_not_counted_twice(*, is_asked_for: bool) -> None:
    """What it used is its own, also when its parent has waited for it, asked for or not."""
    grandchild = (
        "import os, sys; print(os.getpid(), flush=True); input()\n" + SPINS.format(0.3) + "input()"
    )
    parent = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        "p.wait(); print('.', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process, closing(Processes(Roots())) as processes:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        first = processes.read([process.pid, child])
        process.stdin.write("\n")
        process.stdin.flush()
        wait_until(
            lambda: (
                processes.read([process.pid, child])[child].cpu_ns
                >= first[child].cpu_ns + 290_000_000
            ),
            "it spins",
        )
        used = processes.read([process.pid, child])
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        if is_asked_for:
            last = processes.read([process.pid, child])
            assert last[child] == used[child]
        again = processes.read([process.pid])
        assert again[process.pid].cpu_ns - first[process.pid].cpu_ns < 150_000_000
        process.communicate("\n")
