"""
Who is on the node: jobs as root tells of them, and processes as they say themselves.

A job's processor time is that of its control group; where it has none, that of the processes that
are known. What a job was given the controller is asked once, on a thread of its own.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.buckets import number_of
from cmfd.energy.lives import Life
from cmfd.energy.presence import WHOLE_GPU, Allocation, Work
from cmfd.energy.usage import Cgroups, Processes, Usage
from cmfd.errors import SlurmError
from cmfd.slurm import commands
from cmfd.slurm.allocation import Given, ask_cpus, ask_given
from cmfd.store.connection import connect, named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from cmfd.daemon.effects import ReadEnergy
    from cmfd.energy.buckets import Number
    from cmfd.energy.presence import Measured
    from cmfd.energy.readings import ReadingStatus, Roots

log = logging.getLogger(__name__)

_SPREAD_S = 1.0
"""Nodes of a large job do not all ask at the same time."""
_MOST_TRIES = 5
_MOST_LEFT_OUT = 2


class Members(NamedTuple):
    """Processes of a run."""

    run: bytes
    jobs: tuple[str, ...]
    processes: dict[int, set[bytes]]
    """Instances that each is: one, as a rule."""


class Presence:
    """
    Finds out who is here, and what they have used.

    Parameters
    ----------
    roots : Roots
        Where procfs and control groups are.
    node_db : Path
        What processes said is in there.
    node : str
        This node, as SLURM calls it.
    n_cpus : int
        How many processors it has.
    devices : sequence of (str, int)
        GPUs and parts of GPUs in SLURM's order: domain, and thousandths of it.
    changed : callable
        Called, from any thread, when more is known of what a job was given.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where all of it is
        self, roots: Roots, node_db: Path, node: str, n_cpus: int,
        devices: Sequence[tuple[str, int]], changed: Callable[[], object],
    ) -> None:  # fmt: skip
        self._db = connect(node_db, readonly=True)
        queries = named("node/queries")
        self._sql, self._lives_sql = queries["present"], queries["lives"]
        self._cgroups, self._tree = Cgroups(roots, node), Processes(roots)
        self._roots = roots
        self._changed = changed
        self._allocations = Allocations(node, n_cpus, devices, self._cgroups, self._know_more)
        self._members: list[Members] = []
        self._before_now: list[Members] = []
        self._process_ns: dict[int, int] = {}
        self._run_ns: dict[bytes, int] = {}  # by their processes
        self._instance_ns: dict[bytes, int] = {}
        self._jobs: dict[int, str] = {}
        self._order: ReadEnergy | None = None  # what `_works` is an answer to
        self._works: tuple[Work, ...] = ()

    def _know_more(self) -> None:
        """Look again at what jobs were given."""
        self._order = None
        self._changed()

    @property
    def cpus(self) -> int:
        """How many CPUs there are to allocate, as far as SLURM was asked as it counts them."""
        return self._allocations.cpus

    def works(self, order: ReadEnergy) -> tuple[Work, ...]:
        """
        Return who is here now.

        With the same order as before nobody has come or gone: an order follows whatever is stored
        of that.
        """
        if order is self._order:
            self._before_now = self._members
            return self._works
        self._order = order
        jobs: dict[bytes, tuple[str, ...]] = {}
        for job in order.jobs:
            jobs[job.run] = (*jobs.get(job.run, ()), job.number)
        members = {run: Members(run, numbers, {}) for run, numbers in jobs.items()}
        executions: dict[bytes, set[bytes]] = {}
        for instance, run, execution in self._db.execute(self._sql):
            executions.setdefault(run, set()).update({execution} if execution else ())
            pid = order.processes.get(instance)
            if pid is not None:
                one = members.setdefault(run, Members(run, (), {}))
                one.processes.setdefault(pid, set()).add(instance)
        self._before_now, self._members = self._members, [
            one if one.jobs else one._replace(jobs=self._jobs_of(one)) for one in members.values()
        ]  # fmt: skip
        self._forget()
        self._works = tuple(
            Work(
                one.run, self._allocations.of(one.jobs),
                tuple(sorted(executions.get(one.run, ()))),
            )
            for one in sorted(self._members, key=lambda one: one.run)
        )  # fmt: skip
        return self._works

    def _jobs_of(self, one: Members) -> tuple[str, ...]:
        return tuple(sorted({job for pid in one.processes if (job := self._job_of(pid))}))

    def _job_of(self, pid: int) -> str:
        """Return the job that a process of this user is in; empty: none, or another user's."""
        if pid not in self._jobs:
            try:
                text = (self._roots.proc / str(pid) / "environ").read_bytes()
            except OSError:
                text = b""
            pairs = (item.partition(b"=") for item in text.split(b"\0"))
            job = os.fsdecode({key: value for key, _, value in pairs}.get(b"SLURM_JOB_ID", b""))
            self._jobs[pid] = job if self._may_be_in(pid, job) else ""
        return self._jobs[pid]

    def _may_be_in(self, pid: int, job: str) -> bool:
        """
        Tell whether a process may be in the job that it says.

        Its environment is what its user made of it: it must be a number, and where the job has a
        control group, that is where the kernel has the process.
        """
        if not (job.isascii() and job.isdecimal()):
            return False
        if not self._cgroups.has(job):
            return True
        try:
            text = (self._roots.proc / str(pid) / "cgroup").read_text("utf-8", errors="replace")
        except OSError:
            return False
        return any(f"job_{job}" in line.split("/") for line in text.splitlines())

    def _forget(self) -> None:
        pids = {pid for one in self._members for pid in one.processes}
        self._jobs = {pid: job for pid, job in self._jobs.items() if pid in pids}
        self._allocations.keep({job for one in self._members for job in one.jobs})

    def usages(
        self, *, also_processes: bool = True
    ) -> tuple[dict[bytes, Usage], dict[bytes, int] | None]:
        """
        Return what runs and processes have used that are here, or were until now.

        Of processes, what they used since they were first read counts; None where they need not
        be looked at, since all runs have control groups.
        """
        members = self._members if self._before_now is self._members else self._with_those_before()
        runs = {one.run: usage for one in members if (usage := self._of_groups(one)) is not None}
        if not also_processes and len(runs) == len(members):
            return runs, None
        found = self._tree.read({pid for one in members for pid in one.processes})
        self._add_up(members, found)
        for one in members:
            if one.run not in runs and one.processes:
                memory = sum(found[pid].memory_bytes or 0 for pid in one.processes if pid in found)
                runs[one.run] = Usage(self._run_ns[one.run], memory)
        if members is not self._members:
            self._cgroups.keep({job for one in self._members for job in one.jobs})
        return runs, self._instance_ns

    def _of_groups(self, one: Members) -> Usage | None:
        if len(one.jobs) == 1:
            return self._cgroups.usage(one.jobs[0])
        groups = [usage for job in one.jobs if (usage := self._cgroups.usage(job)) is not None]
        return _sum(groups) if groups else None

    def _with_those_before(self) -> list[Members]:
        """Return who is here, and who was until now."""
        members = {one.run: one for one in (*self._before_now, *self._members)}
        for one in self._before_now:
            processes = {**one.processes, **members[one.run].processes}
            members[one.run] = members[one.run]._replace(processes=processes)
        return list(members.values())

    def _add_up(self, members: Collection[Members], found: Mapping[int, Usage]) -> None:
        """Add what processes used since the last time to them and their runs."""
        before, runs, instances = self._process_ns, self._run_ns, self._instance_ns
        self._process_ns = {pid: usage.cpu_ns for pid, usage in found.items()}
        self._run_ns, self._instance_ns = {}, {}
        for one in members:
            run_ns = runs.get(one.run, 0)
            for pid, several in one.processes.items():
                now_ns = self._process_ns.get(pid, 0)
                moved_ns = max(0, now_ns - before.get(pid, now_ns))
                run_ns += moved_ns
                for instance in several:
                    self._instance_ns[instance] = instances.get(instance, 0) + moved_ns
            self._run_ns[one.run] = run_ns

    def lives(self, since_ns: int) -> list[Life]:
        """Return when executions ran, of those that did since a time (UTC)."""
        return list(map(Life._make, self._db.execute(self._lives_sql, {"since_ns": since_ns})))

    def close(self) -> None:
        """Close all files."""
        self._cgroups.close()
        self._tree.close()
        self._db.close()


def _sum(usages: Sequence[Usage]) -> Usage:
    memory = [usage.memory_bytes for usage in usages if usage.memory_bytes is not None]
    return Usage(sum(usage.cpu_ns for usage in usages), sum(memory) if memory else None)


class Looks:
    """
    When processes are looked at, where the control groups of jobs tell what these use.

    While nobody comes or goes each third time will do: what executions have of their run is found
    for a longer time at once. A bucket's end is looked at, and when a counter comes or goes.

    Parameters
    ----------
    bucket_ns : int
        How long a bucket is.
    """

    def __init__(self, bucket_ns: int) -> None:
        self._bucket_ns = bucket_ns
        self._bucket: Number | None = None
        self._n_left_out = 0
        self._statuses: dict[tuple[str, str], ReadingStatus] = {}

    def is_due(self, utc_ns: int, readings: Iterable[Measured]) -> bool:
        """Tell whether it is time, with what was read just now."""
        statuses = {(one.source, one.reading.domain): one.reading.status for one in readings}
        is_same = statuses.items() <= self._statuses.items()
        self._statuses |= statuses
        bucket = number_of(utc_ns, self._bucket_ns)
        return not is_same or bucket != self._bucket or self._n_left_out >= _MOST_LEFT_OUT

    def note(self, utc_ns: int, *, looked: bool) -> None:
        """Note whether they were looked at."""
        self._n_left_out = 0 if looked else self._n_left_out + 1
        if looked:
            self._bucket = number_of(utc_ns, self._bucket_ns)


class Allocations:
    """
    What SLURM gave jobs on this node.

    Where it holds jobs to that, their control groups tell. Else, and for GPUs, the controller is
    asked, once for each job.

    Parameters
    ----------
    node : str
        As SLURM calls it.
    n_cpus : int
        How many processors the node has.
    devices : sequence of (str, int)
        As for `Presence`.
    groups : Cgroups
        Only asked what limits there are.
    changed : callable
        Called when there is an answer.
    """

    def __init__(
        self, node: str, n_cpus: int, devices: Sequence[tuple[str, int]], groups: Cgroups,
        changed: Callable[[], object],
    ) -> None:  # fmt: skip
        self._node = node
        self._devices = devices
        self._groups = groups
        self._changed = changed
        self._given: dict[str, Given] = {}
        self._tries: dict[str, int] = {}
        self._questions: SimpleQueue[str] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._controller_asked: set[str] = set()
        self._warned = False
        self.cpus = n_cpus

    def of(self, jobs: Iterable[str]) -> Allocation:
        """Return what is known of what a run's jobs (one, or the components of one) were given."""
        jobs = tuple(jobs)
        for job in jobs:
            if job not in self._tries:
                self._ask(job)
        known = [given for job in jobs if (given := self._given.get(job)) is not None]
        if not jobs or len(known) < len(jobs):
            return Allocation()
        memory = [given.memory_bytes for given in known if given.memory_bytes is not None]
        cpus = sum(given.cpus for given in known)
        return Allocation(
            cpus=cpus,
            memory_bytes=sum(memory) if memory else None,
            gpus=self._gpus(known),
            exclusive=cpus >= self.cpus or all(given.exclusive for given in known),
        )

    def _gpus(self, known: Sequence[Given]) -> tuple[tuple[str, int], ...] | None:
        if any(given.gpus is None for given in known):
            return None
        gpus: dict[str, int] = {}
        for number in (number for given in known for number in given.gpus or ()):
            if number < len(self._devices):
                domain, part = self._devices[number]
                gpus[domain] = min(WHOLE_GPU, gpus.get(domain, 0) + part)
        return tuple(sorted(gpus.items()))

    def _ask(self, job: str) -> None:
        self._tries[job] = self._tries.get(job, 0) + 1
        self._questions.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="cmfd-asks", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            jobs = [self._questions.get()]
            time.sleep(random.random() * _SPREAD_S)  # noqa: S311 - no secret
            jobs += [self._questions.get() for _ in range(self._questions.qsize())]
            for job in jobs:
                self._answer(job)
            self._changed()

    def _answer(self, job: str) -> None:
        """Find out what a job was given; its group may not be there yet, and is asked again."""
        held = self._groups.limits(job)
        needs_controller = held is None or bool(self._devices)
        given = self._from_controller(job) if needs_controller else None
        if held is not None:
            gpus = () if not self._devices else given.gpus if given is not None else None
            exclusive = given is not None and given.exclusive
            given = Given(held[0], held[1], gpus, exclusive=exclusive)
        if given is not None:
            self._given[job] = given
        elif self._tries.get(job, _MOST_TRIES) < _MOST_TRIES:
            self._ask(job)

    def _from_controller(self, job: str) -> Given | None:
        if job in self._controller_asked or commands.find("scontrol") is None:
            return None
        self._controller_asked.add(job)
        try:
            self.cpus = ask_cpus(self._node) or self.cpus
            return ask_given(job, self._node)
        except SlurmError as error:
            if not self._warned:  # once says all: jobs come and go
                log.warning("what job %s was given the controller does not say: %s", job, error)
            self._warned = True
            return None

    def keep(self, jobs: set[str]) -> None:
        """Forget all jobs but these."""
        self._controller_asked &= jobs
        for job in {*list(self._tries), *list(self._given)} - jobs:  # a thread adds to them
            self._tries.pop(job, None)
            self._given.pop(job, None)
