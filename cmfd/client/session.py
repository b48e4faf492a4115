"""
What one process holds: its journal, its sender, and the executions it takes part in.

There is one session a process. It opens with the first record, closes at exit,
and starts anew in a forked child, whose records are a journal of their own.
"""

from __future__ import annotations

import atexit
import os
import resource
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from msgspec import structs

from cmfd import config, identity
from cmfd.client.background import Background
from cmfd.client.journal import JournalFullError, JournalWriter, Stream
from cmfd.client.sender import Sender
from cmfd.client.warn import tell, warn_once
from cmfd.errors import CmfdError, JournalError
from cmfd.filesystems import filesystem_of
from cmfd.model import Status
from cmfd.wire import journal as form
from cmfd.wire.endpoint import endpoint, socket_path
from cmfd.wire.messages import Group, ProcessState, Series

if TYPE_CHECKING:
    from collections.abc import Callable

    from cmfd.client.execution import Execution
    from cmfd.wire.messages import Record

_READING_S = 30.0  # how often a running process reports its CPU time and memory
_LEAVE_S = 2.0  # the journal is as safe; a busy daemon takes it from the file
_CONNECT_S = 0.2
_HASH_S, _HASH_MOST_S = 30.0, 300.0  # for the next file or part of one; for all of them
_DESCRIBE_S = 3.0  # the environment, for a process that ends before it is known
_OVERTIME_S = 1.0  # to write down what is known by then
_MAX_GROUPS = 256
_NOT_KNOWN = '{"code":{"problem":"not known in time: a file system, git or the node was too slow"}}'
_TRIES = 5


class Session:
    """
    The part of cmfd that lives in one process.

    Parameters
    ----------
    settings : Settings
        As `cmfd.config.load` gathers them.
    """

    def __init__(self, settings: config.Settings) -> None:
        self.settings = settings
        self.executions: WeakSet[Execution] = WeakSet()
        self.running: set[Execution] = set()
        """Those that have not ended; whoever drops one leaves its end to this process's."""
        self.forked = False
        self._fresh()

    def _fresh(self) -> None:
        self.instance = identity.uuid7()
        self.points = Stream(form.POINTS, form.POINT.size, 0)
        self.background = Background()
        self._undescribed: dict[Execution, int] = {}
        self.hashing = Background(_end_helpers)
        """A thread of its own: a file system that is away must not keep it waiting."""
        self.dropped = 0
        self._journal: JournalWriter | None = None
        self._failure: CmfdError | None = None
        self._sender: Sender | None = None
        self._lock = threading.RLock()
        self.defining = threading.RLock()
        """Held while a name gets its number, so that two threads give it one."""
        self._series_ids = count(1)
        self.n_groups = 0
        self._tokens = count(1)
        self._read_s = time.monotonic()
        self._latest_ns = 0
        self._closed = False

    # -- the journal -----------------------------------------------------------------------

    @property
    def journal(self) -> JournalWriter:
        """
        The journal, made at first use together with the thread that sends it.

        Raises
        ------
        CmfdError
            It cannot be made.
        """
        if self._journal is None:
            with self._lock:
                if self._failure is not None:
                    raise self._failure.with_traceback(None)  # which would grow with each raise
                if self._journal is None:
                    self._open_or_fail()
        assert self._journal is not None
        return self._journal

    def _open_or_fail(self) -> None:
        """Open, and remember a failure, so that it costs a job's every call but little."""
        try:
            self._open()
        except OSError as error:
            self._failure = JournalError(f"no journal can be kept: {error}; nothing is logged")
            raise self._failure from error
        except CmfdError as error:
            self._failure = error
            raise

    def _open(self) -> None:
        settings = self.settings
        self._journal = self._make_journal()
        _warn_of_network_storage(self._journal.path.parent)
        try:
            sender = Sender(
                self._journal,
                endpoint(settings.node_dir),
                settings.flush_interval_s,
                self._tick,
                on_refused=lambda reason: warn_once(
                    "refused", f"cmfd: the daemon refused this process: {reason}"
                ),
                service_dir=settings.node_dir if settings.system else None,
            )
            sender.start()
            self._sender = sender
        except (OSError, RuntimeError) as error:  # no descriptors left, or no threads
            warn_once(
                "threads",
                f"cmfd: {error}: the journal is kept, and taken in when this process has ended",
            )
        if self.forked:
            _close_when_multiprocessing_ends(self)

    @property
    def extent(self) -> dict[int, int]:
        """How much was logged; another answer as soon as there is more."""
        return {} if self._journal is None else self._journal.extent

    def _make_journal(self) -> JournalWriter:
        """Make the journal; once more, if the end of another job cleared the directory just now."""
        settings = self.settings
        left = _TRIES
        while True:
            try:
                return JournalWriter(
                    _journal_directory(settings),
                    self.instance,
                    limit_bytes=settings.journal_limit_bytes,
                    block_bytes=settings.block_bytes,
                    mode=0o640 if settings.system else 0o600,  # a service reads it as the group
                    wake=lambda: self._sender.wake() if self._sender else None,
                )
            except (CmfdError, OSError) as error:  # noqa: PERF203 - it is tried again
                left -= 1
                if not left or not isinstance(error.__cause__ or error, FileNotFoundError):
                    raise

    def append(self, record: Record) -> None:
        """Write an event record; it survives a kill once this returns."""
        self.journal.append(record)

    def series(self, execution: bytes, name: str, kind: str) -> int:
        """Give a metric of an execution its number in this journal."""
        number = next(self._series_ids)
        self.append(
            Series(at_ns=time.time_ns(), id=number, execution=execution, name=name, kind=kind)
        )
        return number

    def group(self, series: list[int]) -> Stream:
        """Make a stream for rows of these series."""
        number = self.n_groups = self.n_groups + 1
        self.append(Group(at_ns=time.time_ns(), id=number, series=series))
        return Stream(form.ROWS, form.row_struct(len(series)).size, number)

    def now_ns(self) -> int:
        """Return the time, for what the latest word counts of: a clock set back undoes none."""
        with self._lock:
            self._latest_ns = max(time.time_ns(), self._latest_ns + 1)
            return self._latest_ns

    @property
    def max_groups(self) -> int:
        """How many groups may each hold a block, so that these do not fill the journal."""
        n_blocks = self.settings.journal_limit_bytes // self.settings.block_bytes
        return min(_MAX_GROUPS, n_blocks // 4)

    def token(self) -> int:
        """Return a number that no other touch of this journal has."""
        return next(self._tokens)

    def drop(self, n_values: int, error: JournalFullError) -> None:
        """Count metric values that the full journal could not take."""
        self.dropped += n_values
        warn_once(
            "full",
            f"cmfd: {error}; metric values are dropped and counted until the daemon catches up "
            "(parameters and artifacts are kept)",
        )

    # -- regularly, on the sender's thread -------------------------------------------------

    def _tick(self) -> None:
        now_s = time.monotonic()
        if self._closed or now_s - self._read_s < _READING_S:
            return
        self._read_s = now_s
        try:
            for execution in list(self.running):
                self.report(execution, Status.RUNNING)
            if self._sender is not None and not self._sender.connected:
                self.journal.seal(whole=False)
        except CmfdError as error:
            if not self._closed:  # else it was closed just now, with a last report
                tell("reading", error)

    def report(
        self, execution: Execution, status: Status, exit_code: int | None = None,
        signal: int | None = None, usage: resource.struct_rusage | None = None,
    ) -> None:  # fmt: skip
        """Write this process's state in an execution, with its CPU time and memory."""
        at_ns = self.now_ns()  # before looking: the time of an end from now on is later
        if status is Status.RUNNING and execution.ended:
            return
        used = usage or resource.getrusage(resource.RUSAGE_SELF)
        # of a process, what it used since it took part: before that it served something else
        before_s = (0.0, 0.0) if usage else execution.used_before_s
        self.append(
            ProcessState(
                at_ns=at_ns,
                execution=execution.id,
                status=status.value,
                exit_code=exit_code,
                signal=signal,
                cpu_user_ns=round((used.ru_utime - before_s[0]) * 1e9),
                cpu_system_ns=round((used.ru_stime - before_s[1]) * 1e9),
                max_rss_bytes=used.ru_maxrss * 1024,
                dropped=self.dropped,
            )
        )

    # -- ending ----------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """
        Wait until the daemon has committed what was logged.

        Returns
        -------
        bool
            Whether it has. If not, nothing is lost that the journal took.
        """
        if self._sender is None:
            return self._journal is None and self._failure is None
        connect_s = _CONNECT_S if socket_path(self.settings.node_dir).exists() else 0.0
        return self._sender.drain(timeout_s, connect_s)

    def settle(self) -> None:
        """
        Finish hashing: all that the end of an execution waits for.

        Afterwards a program may change its files without changing what was recorded of them.
        """
        if not self.hashing.wait(_HASH_S, most_s=_HASH_MOST_S, progress=_n_bytes_hashed):
            warn_once(
                "hashing",
                f"cmfd: files were still being hashed after {_HASH_MOST_S:.0f} s, or "
                f"{_HASH_S:.0f} s without coming on; their paths, sizes and times are recorded, "
                "their digests are not",
            )
        if self._sender is not None:
            self._sender.wake()

    @property
    def is_over(self) -> bool:
        """Whether nothing can be recorded any more."""
        return self._closed

    def describe_later(self, execution: Execution, describe: Callable[[], object]) -> None:
        """Have an execution's environment recorded in the background."""
        self._undescribed[execution] = time.time_ns()
        self.background.submit(lambda: None if self._closed else describe())
        self.background.submit(lambda: self._undescribed.pop(execution, None))

    def _finish_describing(self) -> None:
        """
        Leave out what of the environment is not known soon; a file system may be away.

        That is recorded, not said: on a busy cluster, each of a job's many processes might say it.
        """
        self.background.deadline.hurry(_DESCRIBE_S)
        if not self.background.wait(_DESCRIBE_S + _OVERTIME_S):
            for execution, at_ns in list(self._undescribed.items()):
                execution.describe(_NOT_KNOWN, at_ns)  # the rest, if it comes, is later: it counts

    def close(self) -> None:
        """End every execution, flush, and let go of the journal."""
        if self._journal is None or self._closed:
            self._closed = True
            return
        status = Status.FAILED if getattr(sys, "last_value", None) else Status.COMPLETED
        for execution in list(self.running):
            execution.close(status)
        self.settle()
        self._finish_describing()
        self._closed = True
        self._journal.retire()
        committed = self.flush(_LEAVE_S)
        if self._sender is not None:
            self._sender.stop()
        if not committed:
            self._journal.seal(whole=True)
        self._journal.close(remove=committed and self._journal.settled)

    # -- forking ---------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a forked child: leave the parent's journal alone and start over on demand."""
        if self._journal is not None:
            self._journal.abandon()
        self.forked = True
        self._fresh()
        for execution in list(self.executions):
            execution.after_fork()


_session: Session | None = None
_making = threading.RLock()


def session() -> Session:
    """Return this process's session, made with the settings of its environment if need be."""
    global _session  # noqa: PLW0603 - one a process is what it is
    found = _session
    if found is None or found.is_over:
        with _making:  # of threads that come at once, one makes it
            found = _session
            if found is None or found.is_over:
                found = _session = Session(_settings())
                atexit.register(_close, found)
    return found


def _settings() -> config.Settings:
    """Return the settings, without those that are wrong."""
    settings, wrong = config.load_usable()
    if wrong:
        said = " ".join(map(str, wrong))
        warn_once("settings", f"cmfd: {said} It is passed over; all else applies.")
    return settings


def _journal_directory(settings: config.Settings) -> Path:
    """
    Return where this process's journal is to be; made if it is not there.

    Where a service takes journals, root makes each user's directory, when the user's job begins.
    """
    if settings.system:
        with suppress(OSError):
            if settings.own_journal_dir.stat().st_uid == os.getuid():
                return settings.own_journal_dir
        own = config.Settings().node_dir
        warn_once(
            "journals",
            f"cmfd: there is no {settings.own_journal_dir} for your journals: they are in {own}. "
            f"Should this process be killed, what it has not sent waits there: cmfd merge {own}",
        )
        settings = structs.replace(settings, system=False, node_dir=own, journal_dir=Path())
    config.ensure_node_dir(settings.node_dir)
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.journal_dir


def _warn_of_network_storage(directory: Path) -> None:
    found = filesystem_of(directory)
    if found.is_network:
        warn_once(
            "network",
            f"cmfd: journals would lie on {found.type} ({directory}), which other nodes share: "
            "logging is slower and a crash may lose more. Set CMFD_NODE_DIR to a directory on "
            "node-local disk.",
        )


def _close(which: Session) -> None:
    try:
        which.close()
    except Exception as error:  # noqa: BLE001 - law 1: the journal has what was logged
        tell("close", error)


def _close_when_multiprocessing_ends(which: Session) -> None:
    """Children of multiprocessing leave by ``os._exit``, past atexit, but run its finalizers."""
    util = sys.modules.get("multiprocessing.util")
    finalize = getattr(util, "Finalize", None)  # where the parent was just importing it, it is half
    if finalize is not None:
        finalize(None, _close, args=(which,), exitpriority=0)


def _after_fork() -> None:
    global _making  # noqa: PLW0603 - another thread may have held it
    _making = threading.RLock()
    if _session is not None:
        _session.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def _n_bytes_hashed() -> int:
    """Return how far hashing has come; nothing where nobody hashed."""
    files = sys.modules.get("cmfd.content.files")
    progress = getattr(files, "progress", None)  # the thread may be just importing it
    return progress.n_bytes if progress else 0


def _end_helpers() -> None:
    """Let no child of cmfd's be about where a program waits for its own."""
    process = sys.modules.get("cmfd.content.process")
    end = getattr(process, "end_helpers", None)  # another thread may be just importing it
    if end is not None:
        end()
