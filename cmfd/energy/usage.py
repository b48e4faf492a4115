"""
Who used how much of a node: processor time and memory of jobs, of processes, and of all.

A job's figures are those of its control group, version 2 or 1. Where there is none, the
processes that are known are added up, with what they started. Files stay open and are read with
``pread``; of a group or process that is gone, the last figures stay.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.sources.files import File
from cmfd.slurm import figures

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from cmfd.energy.readings import Roots

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""What `/proc` counts processor time in."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DEEPEST = 64
_MOST_BELOW = 1000
"""Processes that known ones started, of which files are kept open."""
_FIRST_LINE_BYTES, _STAT_BYTES, _CHILDREN_BYTES = 64, 1024, 1 << 16
_READ = os.O_RDONLY | os.O_CLOEXEC
_NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes a number near the greatest there is where there is no limit."""


class Usage(NamedTuple):
    """What somebody has used by now: processor time since a beginning, memory at this time."""

    cpu_ns: int
    memory_bytes: int | None = None


class Node:
    """
    What all of a node used.

    Parameters
    ----------
    roots : Roots
        Where procfs is.
    """

    def __init__(self, roots: Roots) -> None:
        self._stat = File(roots.proc / "stat")
        self._meminfo = File(roots.proc / "meminfo")
        self.cpus = sum(1 for name in _words(roots.proc / "stat") if _is_processor(name))
        """How many processors are online."""
        self.memory_bytes = self._memory()[b"MemTotal"]

    def usage(self) -> Usage:
        """
        Return processor time since boot, and memory that is in use.

        Processors wait for input or for another guest of their host without drawing power for
        it, so ``idle``, ``iowait`` and ``steal`` do not count.
        """
        user, nice, system, _, _, irq, softirq, *_ = map(int, self._stat.read().split(None, 8)[1:8])
        memory = self._memory()
        used_bytes = memory[b"MemTotal"] - memory.get(b"MemAvailable", memory[b"MemFree"])
        return Usage((user + nice + system + irq + softirq) * TICK_NS, used_bytes)

    def _memory(self) -> dict[bytes, int]:
        lines = (line.split() for line in self._meminfo.read().splitlines()[:3])
        return {words[0].rstrip(b":"): int(words[1]) << 10 for words in lines}

    def close(self) -> None:
        """Close its files."""
        self._stat.close()
        self._meminfo.close()


def _words(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            yield line.partition(" ")[0]


def _is_processor(name: str) -> bool:
    return name.startswith("cpu") and name != "cpu"


class Cgroups:
    """
    The control groups that SLURM makes for jobs.

    Parameters
    ----------
    roots : Roots
        Where control groups are.
    node : str
        This node, as SLURM calls it: where several share one machine, groups are named by it.
    """

    def __init__(self, roots: Roots, node: str) -> None:
        self._root = roots.cgroup
        self._node = node
        self._open: dict[str, _Group] = {}
        self._last: dict[str, Usage] = {}

    def usage(self, job: str) -> Usage | None:
        """
        Return what a job has used; None while it has no group.

        Parameters
        ----------
        job : str
            The number that SLURM names the group by.
        """
        group = self._open.get(job)
        if group is None:
            group = self._find(job)
            if group is None:
                return self._last.get(job)
            self._open[job] = group
        try:
            self._last[job] = group.usage()
        except OSError:  # the job has ended, and its group is removed
            self._open.pop(job).close()
        return self._last.get(job)

    def _find(self, job: str) -> _Group | None:
        with suppress(OSError):
            for files in self._files(job):
                return _Group(files.cpu, files.memory)
        return None

    def _files(self, job: str) -> Iterator[_Files]:
        """Yield where a job's figures are, if it has a group."""
        for name in (f"{self._node}_slurmstepd.scope", "slurmstepd.scope"):
            place = self._root / "system.slice" / name / f"job_{job}"
            if place.exists():
                yield _Files(
                    place / "cpu.stat", place / "memory.current", place / "cpuset.cpus",
                    place / "memory.max",
                )  # fmt: skip
        for name in (f"slurm_{self._node}", "slurm"):
            for place in self._root.glob(f"cpu*/{name}/uid_*/job_{job}/cpuacct.usage"):
                below = place.parent.relative_to(place.parents[3])
                memory = self._root / "memory" / below
                yield _Files(
                    place, memory / "memory.usage_in_bytes",
                    self._root / "cpuset" / below / "cpuset.cpus",
                    memory / "memory.limit_in_bytes",
                )  # fmt: skip

    def has(self, job: str) -> bool:
        """Tell whether a job has a group."""
        return next(self._files(job), None) is not None

    def limits(self, job: str) -> tuple[int, int | None] | None:
        """
        Return how many processors a job is held to, and how much memory; None: it is not held.

        Where SLURM holds jobs to what it gave them, this is what it gave.
        """
        with suppress(OSError, ValueError):
            for files in self._files(job):
                cpus = len(figures.numbers(files.cpus.read_text("ascii").strip()))
                if cpus:
                    return cpus, _limit(files.limit)
        return None

    def keep(self, jobs: Collection[str]) -> None:
        """Forget all jobs but these."""
        for job in [job for job in self._open if job not in jobs]:
            self._open.pop(job).close()
        self._last = {job: usage for job, usage in self._last.items() if job in jobs}

    def close(self) -> None:
        """Close all files."""
        self.keep(())


class _Files(NamedTuple):
    """Where a control group's figures and limits are."""

    cpu: Path
    memory: Path
    cpus: Path
    limit: Path


def _limit(path: Path) -> int | None:
    """Return a limit in bytes; None: there is none."""
    try:
        text = path.read_text("ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < _NO_LIMIT_BYTES else None


class _Group:
    """The files of one control group."""

    def __init__(self, cpu: Path, memory: Path) -> None:
        self._cpu = os.open(cpu, _READ)
        self._in_ns = cpu.name == "cpuacct.usage"
        self._memory = -1
        with suppress(OSError):  # memory is not accounted everywhere
            self._memory = os.open(memory, _READ)

    def usage(self) -> Usage:
        text = os.pread(self._cpu, _FIRST_LINE_BYTES, 0)
        cpu_ns = int(text) if self._in_ns else int(text.split(None, 2)[1]) * 1000
        if self._memory < 0:
            return Usage(cpu_ns, None)
        return Usage(cpu_ns, int(os.pread(self._memory, _FIRST_LINE_BYTES, 0)))

    def close(self) -> None:
        os.close(self._cpu)
        if self._memory >= 0:
            os.close(self._memory)


class _Process:
    """What the kernel says of a process, from files that stay open."""

    def __init__(self, proc: Path, pid: int) -> None:
        name = f"{proc}/{pid}"
        self._stat = os.open(f"{name}/stat", _READ)
        try:
            # Of what its main thread started: what other threads start is rare.
            self._children = os.open(f"{name}/task/{pid}/children", _READ)
        except OSError:
            self._children = -1

    def usage(self) -> tuple[int, int]:
        """
        Return the clock ticks of it and of those that it waited for, and its pages of memory.

        Raises
        ------
        OSError
            It has ended.
        """
        text = os.pread(self._stat, _STAT_BYTES, 0)
        # The name is in parentheses and may hold anything; fields after it are from the third on.
        fields = text[text.rindex(b")") + 1 :].split(None, 22)
        ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
        return ticks, int(fields[21])

    def children(self) -> list[int]:
        """Return what it started and has not ended."""
        try:
            text = os.pread(self._children, _CHILDREN_BYTES, 0)
        except OSError:
            return []
        return [int(word) for word in text.split()] if text else []

    def close(self) -> None:
        os.close(self._stat)
        if self._children >= 0:
            os.close(self._children)


class Processes:
    """
    Processes that are known, each with what it started that is not known by itself.

    Parameters
    ----------
    roots : Roots
        Where procfs is.
    """

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc
        self._open: dict[int, _Process] = {}
        self._below: dict[int, _Process] = {}  # what these started
        self._above: dict[int, int] = {}  # whose child a known process is, of the known ones
        self._sums: dict[int, Usage] = {}
        self._told_apart: dict[int, int] = {}  # of a process, what known ones below it were told

    def read(self, pids: Collection[int]) -> dict[int, Usage]:
        """
        Return what each process has used, with what it started.

        A process that ended keeps its last figures as long as it is asked for. What a known
        process used until it ended is its own, not also that of the process that waited for it.
        """
        known = pids if isinstance(pids, (set, frozenset)) else set(pids)
        above: dict[int, int] = {}
        before, self._below = self._below, {}
        found = {pid: self._tree(pid, known, above, before) for pid in known}
        for process in before.values():
            process.close()
        for pid in [pid for pid, usage in found.items() if usage is None]:
            self._ended(pid)
            if pid in self._sums:
                found[pid] = self._sums[pid]
        # Before the others are told: who waited for these has their time in his own already.
        for pid in self._sums.keys() - known:
            self._ended(pid)
        self._above |= above
        self._sums = {
            pid: self._own(pid, usage) for pid, usage in found.items() if usage is not None
        }
        return dict(self._sums)

    def _own(self, pid: int, usage: Usage) -> Usage:
        apart_ns = self._told_apart.get(pid)
        if apart_ns is None or pid not in self._open:
            return usage
        return usage._replace(cpu_ns=max(0, usage.cpu_ns - apart_ns))

    def _tree(
        self, pid: int, known: Collection[int], above: dict[int, int], before: dict[int, _Process]
    ) -> Usage | None:
        """Add up a process and what is below it, down to others that are known."""
        try:
            process = self._open.get(pid)
            if process is None:
                process = self._open[pid] = _Process(self._proc, pid)
            ticks, pages = process.usage()
        except OSError:
            return None
        waiting = [(child, 1) for child in process.children()]
        while waiting:
            child, depth = waiting.pop()
            if child in known:
                above[child] = pid
            elif depth < _DEEPEST and (said := self._started(child, before)) is not None:
                more_ticks, more_pages, below = said
                ticks, pages = ticks + more_ticks, pages + more_pages
                waiting += [(each, depth + 1) for each in below]
        return Usage(ticks * TICK_NS, pages * PAGE_BYTES)

    def _started(self, pid: int, before: dict[int, _Process]) -> tuple[int, int, list[int]] | None:
        """Return ticks, pages and children of a process that a known one started."""
        process = before.pop(pid, None)
        try:
            if process is None:
                process = _Process(self._proc, pid)
            said = (*process.usage(), process.children())
        except OSError:  # it has ended; another may have its number at the next time
            if process is not None:
                process.close()
            return None
        if len(self._below) < _MOST_BELOW:
            self._below[pid] = process
        else:
            process.close()
        return said

    def _ended(self, pid: int) -> None:
        """Note that a process is gone: who waited for it has its time in his own now."""
        process = self._open.pop(pid, None)
        if process is None:
            return
        process.close()
        above = self._above.pop(pid, None)
        if above is not None and pid in self._sums:
            apart = self._told_apart.pop(pid, 0) + self._sums[pid].cpu_ns
            self._told_apart[above] = self._told_apart.get(above, 0) + apart

    def close(self) -> None:
        """Close all files."""
        for process in (*self._open.values(), *self._below.values()):
            process.close()
        self._open.clear()
        self._below.clear()
