"""
Carrying out what the state asks for: the hands to its head.

Each effect is done at once and answered with stimuli, but for seals, which the
worker answers later, and merges, which are processes of their own.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sqlite3
import subprocess
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import zmq

from cmfd import __version__, python
from cmfd.daemon import effects as e
from cmfd.daemon.border import attempt
from cmfd.daemon.journals import Journals, directory_of, found_by, inspect
from cmfd.daemon.notify import notify
from cmfd.daemon.options import LEDGER_USED_NS
from cmfd.daemon.spool import Spool
from cmfd.daemon.stimuli import (
    CommitFailed,
    Committed,
    EnergyFailed,
    EnergyStored,
    Introduced,
    JobsFound,
    JournalHeld,
    JournalsFound,
    LookFailed,
    MergeEnded,
    ProcessExited,
    RunsSeen,
    StopAsked,
    StoredSeen,
    Unwatchable,
    Vanished,
)
from cmfd.errors import StoreError
from cmfd.slurm.spool import DIRECTORY as JOBS
from cmfd.wire.messages import StatusReply, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cmfd.config import Settings
    from cmfd.daemon.energy import Energy
    from cmfd.daemon.lock import Lock
    from cmfd.daemon.stimuli import Stimulus
    from cmfd.daemon.watch import Watch
    from cmfd.daemon.worker import Worker
    from cmfd.store.node import JournalSlice, NodeStore

log = logging.getLogger(__name__)


class Performer:
    """
    Everything an effect can reach.

    Parameters
    ----------
    settings : Settings
        Where things are.
    socket : zmq.Socket
        ROUTER with ROUTER_MANDATORY, so that sending to who has gone fails.
    store : NodeStore
        Used by this thread only.
    worker : Worker
        Seals and publishes.
    watch : Watch
        Tells of processes that end.
    lock : Lock
        What makes this process the daemon.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - everything an effect can reach
        self,
        settings: Settings,
        socket: zmq.Socket[bytes],
        store: NodeStore,
        worker: Worker,
        watch: Watch,
        lock: Lock,
    ) -> None:
        self.settings = settings
        self.exit_reason = ""
        """Why the loop is to end, once it is."""
        self.energy: Energy | None = None
        """What reads energy; none: nothing does."""
        self._socket = socket
        self._store = store
        self._worker = worker
        self._watch = watch
        self._lock = lock
        self._started_s = time.monotonic()
        self._journals = Journals(store.committed)
        self._spool = Spool(settings.node_dir / JOBS, journals=settings.journal_dir)
        self._merges: dict[Path, subprocess.Popen[bytes]] = {}
        self._acts: Mapping[type, Callable[[Any], list[Stimulus]]] = {
            e.Send: self._send,
            e.Report: self._report,
            e.Introduce: self._introduce,
            e.Watch: self._add_watch,
            e.Unwatch: self._unwatch,
            e.FindJournals: self._find_journals,
            e.FindJobs: lambda _: self.jobs_found(),
            e.ForgetJob: self._forget_job,
            e.ReadJournal: lambda effect: [self._journals.read(effect)],
            e.LeaveJournal: self._leave_journal,
            e.Commit: self._commit,
            e.LookAtRuns: lambda _: [RunsSeen(tuple(store.unsealed_runs()))],
            e.Purge: self._purge,
            e.Seal: self._seal,
            e.ReadEnergy: self._read_energy,
            e.StoreEnergy: self._store_energy,
            e.SealLedgers: self._seal_ledgers,
            e.StartMerge: self._start_merge,
            e.Announce: self._announce,
            e.Exit: self._exit,
        }

    def perform(self, effect: e.Effect) -> list[Stimulus]:
        """Do it, and return what came of it so far."""
        try:
            return self._acts[type(effect)](effect)
        except sqlite3.Error as error:
            log.error("%s: the node store cannot be read: %s", type(effect).__name__, error)  # noqa: TRY400 - where in SQLite tells nothing
            return self._unread(effect, str(error))

    @staticmethod
    def _unread(effect: e.Effect, reason: str) -> list[Stimulus]:
        """Return what to say for an effect that needed the store: try again later."""
        if isinstance(effect, e.LookAtRuns):
            return [LookFailed(reason)]
        if isinstance(effect, e.ReadJournal):
            return [JournalHeld(effect.instance)]
        return []  # a client says hello again by itself

    def close(self) -> None:
        """Let go of what is open; merges go on by themselves."""
        self._journals.close()

    # -- messages --------------------------------------------------------------------------

    def _send(self, effect: e.Send) -> list[Stimulus]:
        try:
            self._socket.send_multipart([effect.route, encode(effect.message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # It does not read what it is sent, or it is not there any more.
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return [Vanished(effect.route)]
        return []

    def _report(self, effect: e.Report) -> list[Stimulus]:
        document = {
            "pid": os.getpid(),
            "version": __version__,
            "node_dir": str(self.settings.node_dir),
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "max_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            **effect.document,
            "energy": {"on": False} if self.energy is None else self.energy.document(effect.uid),
            "store": asdict(self._store.figures),
        }
        return self._send(e.Send(effect.route, StatusReply(document=json.dumps(document))))

    # -- processes and journals ------------------------------------------------------------

    def _introduce(self, effect: e.Introduce) -> list[Stimulus]:
        uid = effect.peer.uid
        seen = inspect(effect.journal, directory_of(self.settings, uid), effect.instance, uid)
        committed = self._store.committed(effect.instance)
        owner = self._store.owner(effect.instance)
        # Whose a run is must be known before somebody speaks of it.
        return [
            *self.jobs_found(),
            Introduced(
                effect.route,
                effect.peer,
                effect.instance,
                seen.journal,
                committed,
                owner,
                seen.problem,
            ),
        ]

    def _add_watch(self, effect: e.Watch) -> list[Stimulus]:
        try:
            told = self._watch.add(effect.instance, effect.pid)
        except ProcessLookupError:
            return [ProcessExited(effect.instance)]
        return [] if told else [Unwatchable(effect.instance)]

    def _unwatch(self, effect: e.Unwatch) -> list[Stimulus]:
        self._watch.remove(effect.instance)
        return []

    def _find_journals(self, effect: e.FindJournals) -> list[Stimulus]:
        del effect
        found = [*self.jobs_found(), JournalsFound(tuple(found_by(self.settings)))]
        if self._lock.is_mine:
            return found
        # Nobody finds it there any more, and another daemon may be in its place.
        return [*found, StopAsked(f"the node directory {self.settings.node_dir} was removed")]

    def jobs_found(self) -> list[Stimulus]:
        """Return what root told of jobs since the last time."""
        news = tuple(self._spool.news()) if self.settings.system else ()
        return [JobsFound(news)] if news else []

    def _forget_job(self, effect: e.ForgetJob) -> list[Stimulus]:
        self._spool.remove(effect.name)
        return []

    def _leave_journal(self, effect: e.LeaveJournal) -> list[Stimulus]:
        self._journals.leave(effect)
        return []

    def ended(self) -> list[Stimulus]:
        """Return which of the processes that are watched have ended."""
        return [ProcessExited(instance, time.time_ns()) for instance in self._watch.ended()]

    # -- the store -------------------------------------------------------------------------

    def _commit(self, effect: e.Commit) -> list[Stimulus]:
        started_ns = time.monotonic_ns()
        unusable: list[tuple[JournalSlice, str]] = []
        try:
            error = attempt(self._write, effect)
            if isinstance(error, StoreError):
                raise error
            if error is not None:
                log.error("batch %d: %r; trying slice by slice", effect.number, error)
                unusable = self._write_singly(effect)
        except StoreError as failure:
            return [CommitFailed(effect.number, str(failure))]
        took_ns = time.monotonic_ns() - started_ns
        return [Committed(effect.number, took_ns, tuple(unusable))]

    def _write(self, effect: e.Commit) -> None:
        for word in effect.jobs:
            self._store.announce(word)
        if effect.slices:
            self._store.append(effect.slices)
        for ended in effect.ended:
            at_ns = ended.at_ns or time.time_ns()
            self._store.mark_lost(ended.instance, at_ns)
            self._store.end_instance(ended.instance, at_ns)
        for ledger in effect.ledgers:
            used_ns = time.time_ns() if ledger.with_run else 0
            self._store.mark_ledger_sealed(ledger.site, ledger.upto, used_ns)
        for mark in effect.sealed:
            self._store.mark_sealed(mark.run, mark.upto, final=mark.final, at_ns=time.time_ns())
        self._store.commit()

    def _write_singly(self, effect: e.Commit) -> list[tuple[JournalSlice, str]]:
        """Write each part by itself; return the slices that the store cannot take."""
        number = effect.number
        words = [e.Commit(number, (), jobs=(word,)) for word in effect.jobs]
        slices = [e.Commit(number, (item,)) for item in effect.slices]
        ended = [e.Commit(number, (), ended=(one,)) for one in effect.ended]
        sealed = [e.Commit(number, (), sealed=(mark,)) for mark in effect.sealed]
        sealed += [e.Commit(number, (), ledgers=(mark,)) for mark in effect.ledgers]
        unusable: list[tuple[JournalSlice, str]] = []
        for part in (*words, *slices, *ended, *sealed):
            self._store.rollback()
            error = attempt(self._write, part)
            if isinstance(error, StoreError):
                raise error
            if error is None:
                continue
            unusable += [(item, repr(error)) for item in part.slices]
            if not part.slices:
                log.error("batch %d: left out: %s: %r", number, part, error)
        return unusable

    def _purge(self, effect: e.Purge) -> list[Stimulus]:
        before_ns = time.time_ns() - round(self.settings.retention_s * 1e9)
        try:
            runs = self._store.purge(before_ns, effect.full)
            self._store.commit()
        except StoreError as error:
            log.warning("old runs were not dropped: %s", error)
            return []
        if runs:
            log.info("dropped %d runs that were published long ago", len(runs))
        return [StoredSeen(self._store.bytes_by_uid())] if self.settings.system else []

    # -- energy ------------------------------------------------------------------------------

    def _read_energy(self, effect: e.ReadEnergy) -> list[Stimulus]:
        if self.energy is not None:
            self.energy.order(effect)
        return []

    def energy_read(self) -> list[Stimulus]:
        """Return what was read of the node's energy since the last time."""
        return [] if self.energy is None else [*self.energy.results()]

    def _store_energy(self, effect: e.StoreEnergy) -> list[Stimulus]:
        try:
            for reading in effect.readings:
                self._store.add_energy(reading.measured, reading.memory)
            self._store.commit()
        except StoreError as error:
            return [EnergyFailed(effect.number, str(error))]
        return [EnergyStored(effect.number)]

    def _seal_ledgers(self, effect: e.SealLedgers) -> list[Stimulus]:
        del effect
        # What nobody uses a service's node for matters to its operator, too.
        since_ns = 0 if self.settings.system else time.time_ns() - LEDGER_USED_NS
        self._worker.order(tuple(self._store.ledger_sites(since_ns)))
        return []

    # -- packs -----------------------------------------------------------------------------

    def _seal(self, effect: e.Seal) -> list[Stimulus]:
        self._worker.order(effect)
        return []

    def _start_merge(self, effect: e.StartMerge) -> list[Stimulus]:
        command = python.module("cmfd", "merge", "--site", str(effect.site), "--quiet")
        try:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            log.warning("cannot start %s: %s", command, error)
            return [MergeEnded(effect.site, 1)]
        self._merges[effect.site] = process
        return []

    def merges_ended(self) -> list[Stimulus]:
        """Return which merges have ended."""
        ended = [site for site, process in self._merges.items() if process.poll() is not None]
        return [MergeEnded(site, self._merges.pop(site).returncode) for site in ended]

    def _announce(self, effect: e.Announce) -> list[Stimulus]:
        try:
            notify(effect.state)
        except OSError as error:
            log.warning("the service manager was not told %s: %s", effect.state, error)
        return []

    def _exit(self, effect: e.Exit) -> list[Stimulus]:
        self.exit_reason = effect.reason
        return []
