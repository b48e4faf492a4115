"""
Jobs that the batch system announces on this node, as root tells of them.

Law: who owns a run that is named after a job is root's word, whoever spoke of it first. Such a run
goes on as long as its job is on the node, and what root told of it is kept until all that the job
left here is published.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmfd.daemon.effects import Effect, ForgetJob, Owner
from cmfd.identity import run_of_job
from cmfd.store.jobs import JobWord

if TYPE_CHECKING:
    from collections.abc import Collection

    from cmfd.daemon.intake import Intake
    from cmfd.daemon.options import Options
    from cmfd.daemon.stimuli import JobsFound
    from cmfd.slurm.spool import JobNote
    from cmfd.slurm.tasks import Task

log = logging.getLogger(__name__)

MOST_PAST = 10_000
"""Of so many jobs that are over it is known whose they were: something late may come of them."""


@dataclass(eq=False)
class Job:
    """
    One start of a job, or of one component of a het job, on this node.

    Attributes
    ----------
    run : bytes
        The run that it is; components of one job share it.
    ended : bool
        It has left the node.
    """

    name: str
    note: JobNote
    run: bytes
    ended: bool = False


class Jobs:
    """
    Every job that root told of and that is not published whole.

    Parameters
    ----------
    options : Options
        May be replaced at any time.
    intake : Intake
        Where what root says is written.
    """

    def __init__(self, options: Options, intake: Intake) -> None:
        self.options = options
        self.intake = intake
        self.by_name: dict[str, Job] = {}
        self.by_run: dict[bytes, list[Job]] = {}
        self._past: dict[bytes, Job] = {}

    def found(self, stimulus: JobsFound, now_ns: int) -> list[Job]:
        """Take in what root told; returns the jobs that are over with it."""
        over: list[Job] = []
        for seen in stimulus.jobs:
            job = self.by_name.get(seen.name) or self._begun(seen.name, seen.note)
            for earlier in () if seen.ended else self._earlier_starts(job):
                log.info("job %s began again: %s has left the node", job.name, earlier.name)
                over += self._told(earlier, earlier.note, ended=True, now_ns=now_ns)
            over += self._told(job, seen.note, ended=seen.ended, now_ns=now_ns, tasks=seen.tasks)
        return over

    def _told(
        self, job: Job, note: JobNote, *, ended: bool, now_ns: int, tasks: tuple[Task, ...] = ()
    ) -> list[Job]:
        """Take in that a job began or left the node; return it if its run is over with that."""
        word = JobWord(job.run, note, ended=ended, always=self.options.all_jobs, tasks=tasks)
        self.intake.tell(word, now_ns)
        if not ended or job.ended:
            return []
        job.ended = True
        return [job] if self.is_over(job.run) else []

    def _earlier_starts(self, job: Job) -> list[Job]:
        """Return starts of the same job that nobody said the end of: two are never on a node."""
        same, last = _start(job.note)
        starts = ((other, _start(other.note)) for other in self.by_name.values() if not other.ended)
        return [other for other, (whose, number) in starts if whose == same and number < last]

    def _begun(self, name: str, note: JobNote) -> Job:
        job = Job(name, note, run_of_job(note.cluster, note.job, note.restart))
        log.info("job %s of user %d is run %s", name, note.uid, job.run.hex())
        self.by_name[name] = job
        self.by_run.setdefault(job.run, []).append(job)
        return job

    def goes_on(self, run: bytes) -> bool:
        """Tell whether the job that a run is named after is on the node."""
        return any(not job.ended for job in self.by_run.get(run, ()))

    def is_over(self, run: bytes) -> bool:
        """Tell whether root said that the job of a run has left the node."""
        return run in self.by_run and not self.goes_on(run)

    def is_announced(self, run: bytes) -> bool:
        """Tell whether root told of a run, or need not: jobs have ids that can be worked out."""
        derived = run[6] >> 4 == 5  # a UUID's version
        told = run in self.by_run or run in self._past
        return told or not (derived and self.options.told_of_jobs)

    def owner(self, run: bytes, uid: int) -> Owner:
        """Say whose a run is, for the place where it is published."""
        job = next(iter(self.by_run.get(run, ())), None) or self._past.get(run)
        if job is None:
            return Owner(uid)
        note = job.note
        return Owner(note.uid, note.user, note.account, note.cluster)

    def forget_but(self, runs: Collection[bytes]) -> list[Effect]:
        """Forget the jobs that are over, but for those of runs that are not published whole."""
        done = [run for run in self.by_run if run not in runs and self.is_over(run)]
        self._past.update((run, self.by_run[run][0]) for run in done)
        for run in list(self._past)[:-MOST_PAST]:
            del self._past[run]
        return [
            ForgetJob(self.by_name.pop(job.name).name)
            for run in done
            for job in self.by_run.pop(run)
        ]

    def document(self, uids: set[int] | None) -> list[dict[str, object]]:
        """Describe the jobs; `uids`: only theirs."""
        return [
            {
                "job": job.note.job,
                "restart": job.note.restart,
                "run": job.run.hex(),
                "uid": job.note.uid,
                "ended": job.ended,
            }
            for job in self.by_name.values()
            if uids is None or job.note.uid in uids
        ]

    def check(self) -> None:
        """Assert the invariants."""
        listed = [job for jobs in self.by_run.values() for job in jobs]
        assert {id(job) for job in listed} == {id(job) for job in self.by_name.values()}
        assert all(self.by_run.values()), "no run is kept for a job that is forgotten"


def _start(note: JobNote) -> tuple[tuple[str, str], int]:
    """Return which job of which cluster a note is about, and which start of it."""
    return (note.cluster, note.component or note.job), note.restart
