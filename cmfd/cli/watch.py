"""
`cmfd merge --watch`: a service that merges whatever comes in, and sees jobs to their end.

Where SLURM's controller puts jobs that have ended into the site's directory `queue`, each is kept
there until all of its nodes have delivered and what SLURM's accounting says of it is joined, or
until that is no longer to be expected. So a service that was away has forgotten nothing.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from cmfd import config, identity
from cmfd.daemon.sites import fixed_part
from cmfd.errors import CmfdError, ConfigError, SiteBusyError
from cmfd.merge import inbox
from cmfd.merge.batch import merge_site
from cmfd.merge.index import has_index
from cmfd.merge.layout import init_site
from cmfd.merge.lock import merge_lock
from cmfd.query.delivery import nodes_of_run
from cmfd.query.index import open_index
from cmfd.report import units
from cmfd.report.text import printable_lines
from cmfd.slurm.hostlist import compress
from cmfd.slurm.spool import read_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.merge.report import MergeReport
    from cmfd.model import Id

QUEUE = "queue"
"""Directory of a site: a file for each job that has ended and is not seen to yet."""

ACCOUNTED_S = 10.0
"""How long after a job's end SLURM's accounting has everything of it."""

PATIENCE_S = 900.0
"""How long a job is kept in the queue at most, for nodes and accounting that are late."""


_MOST_TOLD = 100


@dataclass
class Waiting:
    """
    A job that has ended.

    Attributes
    ----------
    name : str
        What users call it, with its restart.
    run : bytes
        The run that it is.
    since_s : float
        When it was first seen here, on the monotonic clock.
    retry_s : float
        When SLURM is asked about it next.
    is_joined : bool
        Whether what SLURM says of it is in the site.
    missing : list of str or None
        The nodes that have not delivered, as was told last; None: nothing of it is here.
    """

    name: str
    run: Id
    since_s: float
    retry_s: float
    is_joined: bool = False
    missing: list[str] | None = None


class _EndedError(Exception):
    """The service was told to end."""


@dataclass
class Watch:
    """
    A site that is being watched.

    Parameters
    ----------
    path : Path
        The site; made one if it is none yet.
    is_ended : callable
        Waits for so many seconds, or until the service is told to end; tells whether it is.
    """

    path: Path
    is_ended: Callable[[float], bool]
    jobs: dict[str, Waiting] = field(default_factory=dict)
    _told: list[str] = field(default_factory=list)
    _hindrance: str = ""
    _has_merged: bool = False

    def run(self, interval_s: float) -> None:
        """Look again and again until it is told to end."""
        hindrance = ""
        while True:
            before, hindrance = hindrance, self.attempt()
            if hindrance and hindrance != before:
                tell(hindrance)
            if self.is_ended(interval_s):
                return

    def attempt(self) -> str:
        """Look once; return what hindered it: a site that is away comes back."""
        try:
            self.look(time.monotonic())
        except _EndedError:
            pass  # it is asked again by who waits
        except (CmfdError, OSError) as error:
            return str(error)
        return ""

    def look(self, now_s: float) -> None:
        """Merge what came in, and go on with the jobs that wait."""
        site = init_site(self.path)
        self._merge(site)
        self._read_queue(site, now_s)
        due = [job for job in self.jobs.values() if self._is_due(job, now_s)]
        if due and self._join(due, now_s):
            self._merge(site)
        self._settle(site, now_s)

    # -- merging ---------------------------------------------------------------------------

    def _merge(self, site: Site) -> None:
        if self._has_merged and not inbox.waiting(site):
            return
        done = merge_site(site.path, progress=self._check_end)
        self._has_merged = not done.busy_holder
        if done.absorbed:
            tell(f"{units.count(done.absorbed, 'pack')} merged")
        for problem in _problems(done):
            self._tell_once(problem)

    def _check_end(self, n_done: int, n_known: int) -> None:
        """End between two packs: a merge can stop anywhere."""
        del n_done, n_known
        if self.is_ended(0):
            raise _EndedError

    def _tell_once(self, problem: str) -> None:
        if problem not in self._told:
            self._told = [*self._told[-_MOST_TOLD:], problem]
            tell(problem)

    # -- jobs ------------------------------------------------------------------------------

    def _read_queue(self, site: Site, now_s: float) -> None:
        """Learn of jobs that have come, and forget those whose files are gone."""
        there = _queued(site)
        for name in set(self.jobs) - set(there):
            del self.jobs[name]
        for name in sorted(set(there) - set(self.jobs)):
            try:
                note = read_note(there[name])
            except FileNotFoundError:
                continue
            except (ConfigError, OSError) as error:
                self._tell_once(str(error))
                continue
            run = identity.run_of_job(note.cluster, note.job, note.restart)
            title = f"job {note.job}" + (f" restart {note.restart}" if note.restart else "")
            self.jobs[name] = Waiting(title, run, now_s, now_s + ACCOUNTED_S)

    @staticmethod
    def _is_due(job: Waiting, now_s: float) -> bool:
        return job.missing is not None and not job.is_joined and job.retry_s <= now_s

    def _join(self, due: Iterable[Waiting], now_s: float) -> bool:
        """Ask SLURM about jobs, all at once; tell whether something new was learned."""
        from cmfd.merge.enrich import enrich_runs  # noqa: PLC0415 - not without a queue

        by_run = {job.run: job for job in due}
        done = enrich_runs(self.path, list(by_run), keep_script=config.load().job_script)
        if done.hindrance and done.hindrance != self._hindrance:
            tell(f"SLURM's accounting cannot be asked about jobs: {done.hindrance}")
        self._hindrance = done.hindrance
        for run in (*done.joined, *done.unchanged):
            by_run[run].is_joined = True
        for run in (*done.unfinished, *done.unknown):
            job = by_run[run]
            job.retry_s = now_s + max(ACCOUNTED_S, now_s - job.since_s)
        return bool(done.joined)

    def _settle(self, site: Site, now_s: float) -> None:
        """Tell which nodes are missing, and let go of jobs that need nothing more."""
        if not self.jobs or not has_index(site):
            return
        with open_index(site.path) as db:
            for name, job in list(self.jobs.items()):
                found = nodes_of_run(db, job.run)
                self._note(job, None if found is None else found.missing)
                is_late = now_s - job.since_s >= PATIENCE_S
                if (job.is_joined and not job.missing) or is_late:
                    self._let_go(site, name, job)

    @staticmethod
    def _note(job: Waiting, missing: list[str] | None) -> None:
        if missing is not None and missing != job.missing:
            state = f"{compress(missing)} not delivered yet" if missing else "all nodes delivered"
            tell(f"{job.name}, run {identity.short(job.run)}: {state}")
        job.missing = missing

    def _let_go(self, site: Site, name: str, job: Waiting) -> None:
        if job.missing:
            tell(
                f"{job.name}, run {identity.short(job.run)}: incomplete, {compress(job.missing)}"
                " did not deliver; it is merged if it comes after all"
            )
        if job.missing is not None and not job.is_joined:
            tell(f"{job.name}: SLURM does not say how it ended; later: cmfd slurm enrich")
        (site.path / QUEUE / name).unlink(missing_ok=True)
        del self.jobs[name]


def watch(path: Path, interval_s: float) -> None:
    """
    Merge what comes into a site until a signal ends it.

    Parameters
    ----------
    path : Path
        The site, or what says many, as `Settings.system_site`.
    interval_s : float
        How long to wait between two looks.

    Raises
    ------
    SiteBusyError
        Another process watches the site.
    """
    from cmfd.cli.watch_sites import WatchSites  # noqa: PLC0415 - which is made of `Watch`

    ending = (signal.SIGTERM, signal.SIGINT)
    told_to_end = False

    def is_ended(wait_s: float) -> bool:
        nonlocal told_to_end
        told_to_end = told_to_end or signal.sigtimedwait(ending, wait_s) is not None
        return told_to_end

    fixed = fixed_part(path)
    with _alone(fixed if fixed != path else init_site(path).path):
        # Taken between two packs only, where a merge can stop.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        try:
            tell(f"watching {path}")
            service = Watch(path, is_ended) if fixed == path else WatchSites(path, is_ended)
            service.run(interval_s)
            tell("told to end; what comes in waits in the inbox")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell(line: str) -> None:
    """Write a line for whoever looks after the service."""
    click.echo(f"cmfd: {printable_lines(line)}", err=True)


@contextmanager
def _alone(site: Path) -> Iterator[None]:
    """Be the one process that watches a site while the block runs."""
    with ExitStack() as lock:
        try:
            lock.enter_context(merge_lock(site / "watch.lock"))
        except SiteBusyError as error:
            raise SiteBusyError(f"{site} is watched already: {error}") from error
        yield


def _queued(site: Site) -> dict[str, Path]:
    """Return the jobs' files by name; those that are still being written begin with a dot."""
    try:
        found = list((site.path / QUEUE).iterdir())
    except FileNotFoundError:
        return {}
    return {path.name: path for path in found if not path.name.startswith(".")}


def _problems(done: MergeReport) -> list[str]:
    return [f"{path}: {reason}" for path, reason in (*done.quarantined, *done.skipped)]
