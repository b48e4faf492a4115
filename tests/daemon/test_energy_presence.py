"""Who is on a node, and what SLURM gave them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.daemons import wait_until

from cmfd.daemon.effects import JobHere, ReadEnergy
from cmfd.daemon.energy_presence import Allocations, Looks, Presence
from cmfd.energy.presence import Allocation, Measured
from cmfd.energy.readings import Reading, Roots
from cmfd.energy.usage import Cgroups, Usage
from cmfd.store.node import NodeStore

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.energy.readings import ReadingStatus

SECOND_NS = 1_000_000_000
SCONTROL = """\
#!/bin/sh
echo "$@" >>{directory}/asked
case $2 in
node) echo "NodeName=n1 CPUTot=8 CPULoad=0.1" ;;
*) printf 'JobId=7 JobName=x\\n   OverSubscribe=OK\\n'
    echo '     Nodes=n1 CPU_IDs=0-3 Mem=1024 GRES=gpu:1(IDX:1)' ;;
esac
"""


def a_controller(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for SLURM's."""
    directory.mkdir()
    (directory / "scontrol").write_text(SCONTROL.format(directory=directory))
    (directory / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


@pytest.mark.slow
def test_the_controller_is_asked_once_for_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked who is here; what the job has of a GPU is told by its place."""
    a_controller(tmp_path / "bin", monkeypatch)
    groups = Cgroups(Roots(cgroup=tmp_path), "n1")
    told: list[int] = []
    devices = [("GPU-a", 1000), ("GPU-b", 1000)]
    allocations = Allocations("n1", 4, devices, groups, lambda: told.append(1))
    assert allocations.of(["7"]) == Allocation()
    wait_until(lambda: told, "there is an answer")
    given = Allocation(cpus=4, memory_bytes=1 << 30, gpus=(("GPU-b", 1000),), exclusive=False)
    assert allocations.of(["7"]) == allocations.of(["7"]) == given
    assert allocations.cpus == 8
    asked = (tmp_path / "bin" / "asked").read_text().splitlines()
    assert asked == ["show node n1", "show job --details 7"]


def test_nobody_is_asked_where_a_job_is_held_to_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that may not use the network knows it all the same."""
    a_controller(tmp_path / "bin", monkeypatch)
    group = tmp_path / "system.slice" / "slurmstepd.scope" / "job_7"
    group.mkdir(parents=True)
    (group / "cpuset.cpus").write_text("0-3\n")
    (group / "memory.max").write_text(f"{1 << 30}\n")
    told: list[int] = []
    groups = Cgroups(Roots(cgroup=tmp_path), "n1")
    allocations = Allocations("n1", 4, (), groups, lambda: told.append(1))
    allocations.of(["7"])
    wait_until(lambda: told, "there is an answer")
    assert allocations.of(["7"]) == Allocation(4, 1 << 30, (), exclusive=True)
    assert not (tmp_path / "bin" / "asked").exists()


@pytest.mark.parametrize(
    ("said", "held_in", "believed"),
    [
        ("7", "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0", "7"),
        ("7", "4:cpuacct:/slurm/uid_1000/job_7/step_0", "7"),
        ("7", "0::/system.slice/slurmstepd.scope/job_77/step_0", ""),
        ("7", "0::/user.slice/user-1000.slice", ""),
        ("8", "0::/user.slice/user-1000.slice", "8"),
        ("7/../../../../tmp/evil", "0::/", ""),
        ("-o", "0::/", ""),
        ("", "0::/", ""),
    ],
)
def test_a_process_is_in_the_job_that_the_kernel_has_it_in(
    tmp_path: Path, said: str, held_in: str, believed: str
) -> None:
    """It cannot name another's job, of whose energy it would be given a part; nor a path."""
    (tmp_path / "cgroup/system.slice/slurmstepd.scope/job_7").mkdir(parents=True)
    process = tmp_path / "proc/42"
    process.mkdir(parents=True)
    (process / "environ").write_text(f"HOME=/\0SLURM_JOB_ID={said}\0")
    (process / "cgroup").write_text(f"{held_in}\n")
    roots = Roots(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")
    with closing(NodeStore(tmp_path / "node.db")):
        presence = Presence(roots, tmp_path / "node.db", "n1", 8, (), lambda: None)
        with closing(presence):
            assert presence._job_of(42) == believed


def test_processes_are_looked_at_each_third_time_and_when_something_changes() -> None:
    """At the end of a bucket, too, and when a counter goes or comes."""
    looks = Looks(60 * SECOND_NS)

    def is_due(at_s: int, *statuses: ReadingStatus) -> bool:
        readings = [
            Measured("rapl", "B", "count", Reading(str(n), "cpu", "counter", 0, None, 0, status))
            for n, status in enumerate(statuses)
        ]
        found = looks.is_due(at_s * SECOND_NS, readings)
        looks.note(at_s * SECOND_NS, looked=found)
        return found

    assert [at_s for at_s in range(5, 70, 5) if is_due(at_s, "ok")] == [5, 20, 35, 50, 60]
    assert not is_due(70, "ok")
    assert is_due(75, "gone")
    assert is_due(80, "ok")
    assert is_due(85, "ok", "ok")
    assert not is_due(90)
    assert is_due(30, "ok"), "the clock was set back"


def test_only_where_control_groups_tell_processes_are_left_out(tmp_path: Path) -> None:
    """A run without one is known by its processes alone."""
    run = b"r" * 16
    group = tmp_path / "system.slice" / "slurmstepd.scope" / "job_7"
    order = ReadEnergy(1, (JobHere(run, "7", 1000),), {})
    with closing(NodeStore(tmp_path / "node.db")):
        presence = Presence(Roots(cgroup=tmp_path), tmp_path / "node.db", "n1", 4, (), lambda: None)
        with closing(presence):
            presence.works(order)
            assert presence.usages(also_processes=False) == ({}, {})
            group.mkdir(parents=True)
            (group / "cpu.stat").write_text("usage_usec 3\n")
            assert presence.usages(also_processes=False) == ({run: Usage(3000)}, None)
            assert presence.usages() == ({run: Usage(3000)}, {})
