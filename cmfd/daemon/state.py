"""
The daemon's state: everything it knows, and everything that decides what it does.

Law: `NodeState.handle` is the only thing that changes the state, and its
effects are the only things that reach the world. No clock is read here, no
socket, file or database touched: time comes in with the stimulus, and the
world as stimuli. So any order of events can be tried in a test.

Theory of operation. A message, a dying process, a signal is a stimulus;
`handle` returns effects; the loop carries them out, and what becomes of them
comes back as stimuli. The state has six parts: `Reception` (who may say what),
`Intake` (what clients send until it is on disk), `Instances` (processes and
their journals), `Jobs` (what root tells of them), `EnergyDesk` (when energy is
read), `Runs` (what is sealed, when).
`NodeState` says which of them hears of what, and when the daemon ends.

Times are those of a monotonic clock, in nanoseconds.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cmfd.daemon.effects import Announce, Effect, Exit, FindJobs, FindJournals, Purge
from cmfd.daemon.energy_desk import EnergyDesk
from cmfd.daemon.figures import Figures
from cmfd.daemon.instances import Instances
from cmfd.daemon.intake import Intake
from cmfd.daemon.jobs import Jobs
from cmfd.daemon.options import SECOND_NS
from cmfd.daemon.reception import Reception
from cmfd.daemon.runs import Runs
from cmfd.daemon.stimuli import (
    CommitFailed,
    Committed,
    EnergyFailed,
    EnergyRead,
    EnergyStored,
    Introduced,
    JobsFound,
    JournalGone,
    JournalHeld,
    JournalPiece,
    JournalsFound,
    JournalUnreadable,
    LedgersSealed,
    LookFailed,
    Malformed,
    MergeEnded,
    ProcessExited,
    Published,
    PublishFailed,
    Received,
    Reloaded,
    RunsSeen,
    Started,
    StopAsked,
    StoredSeen,
    Tick,
    Unwatchable,
    Vanished,
)
from cmfd.wire.messages import Slice, StatusRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cmfd.daemon.options import Options
    from cmfd.daemon.stimuli import Stimulus

log = logging.getLogger(__name__)

STOP_PATIENCE_NS = 20 * SECOND_NS
"""A daemon that was told to end does so within this time, come what may."""
STUCK_PATIENCE_NS = 3600 * SECOND_NS
"""How much longer it stays for packs that their site does not take."""
FIRST_PURGE_NS = 5 * SECOND_NS
PURGE_INTERVAL_NS = 3600 * SECOND_NS
FULL_PURGE_INTERVAL_NS = 10 * SECOND_NS
"""While somebody has no room, of whom what is published goes at once."""
FIND_INTERVAL_NS = 10 * SECOND_NS
"""How often to look for processes that died before they could say hello."""
JOBS_INTERVAL_NS = SECOND_NS
"""How often to look for what root tells of jobs."""


class NodeState:
    """
    The state of one daemon.

    Parameters
    ----------
    options : Options
        What it goes by.
    epoch : bytes
        16 bytes made anew at each start.
    now_ns : int
        The time of its start.
    """

    def __init__(self, options: Options, epoch: bytes, now_ns: int) -> None:
        self.options = options
        self.epoch = epoch
        self.figures = Figures()
        self.intake = Intake(options, self.figures)
        self.instances = Instances(self.intake, self.figures)
        self.jobs = Jobs(options, self.intake)
        self.energy = EnergyDesk(options, self.intake, self.jobs)
        self.runs = Runs(options, self.intake, self.instances, self.jobs, self.energy, self.figures)
        self._purge_ns = now_ns + FIRST_PURGE_NS
        self._find_ns = now_ns + FIND_INTERVAL_NS
        self._jobs_ns = now_ns + JOBS_INTERVAL_NS if options.system else None
        self._idle_since_ns: int | None = now_ns
        self._now_ns = now_ns
        self._stop_ns: int | None = None  # when it will not wait any longer
        self._ended = False
        self.reception = Reception(options, epoch, self.runs, self.document)
        self._handlers: Mapping[type, Callable[[Any, int], list[Effect]]] = {
            Received: self.reception.received,
            Malformed: self.reception.malformed,
            Introduced: self._introduced,
            Vanished: self.reception.vanished,
            Started: self._started,
            JournalsFound: self._journals_found,
            JobsFound: self._jobs_found,
            ProcessExited: self._process_exited,
            Unwatchable: self.instances.unwatchable,
            JournalHeld: self.instances.held,
            JournalPiece: self.instances.piece,
            JournalGone: self.instances.gone,
            JournalUnreadable: self.instances.unreadable,
            StoredSeen: self._stored_seen,
            Committed: self._committed,
            CommitFailed: self.intake.failed,
            RunsSeen: self.runs.seen,
            LookFailed: self.runs.look_failed,
            Published: self.runs.published,
            PublishFailed: self.runs.publish_failed,
            EnergyRead: self.energy.read,
            EnergyStored: self._energy_stored,
            EnergyFailed: self.energy.failed,
            LedgersSealed: self.energy.ledgers_sealed,
            MergeEnded: self.runs.merge_ended,
            Reloaded: self._reloaded,
            StopAsked: self._stop_asked,
            Tick: self._tick,
        }

    def handle(self, stimulus: Stimulus, now_ns: int) -> list[Effect]:
        """
        Take in something that happened.

        Parameters
        ----------
        stimulus : Stimulus
            What happened.
        now_ns : int
            When; never less than at the call before.

        Returns
        -------
        list of Effect
            What is to be done, in this order.
        """
        self._now_ns = now_ns
        if type(stimulus) is Received:
            if type(stimulus.message) is Slice:  # a million values a second come this way
                return self.reception.slice(stimulus, stimulus.message, now_ns)
            if type(stimulus.message) is not StatusRequest:
                self._idle_since_ns = None
        effects = self._handlers[type(stimulus)](stimulus, now_ns)
        return effects + self._go_on(now_ns)

    def _started(self, stimulus: Started, now_ns: int) -> list[Effect]:
        self.runs.look()
        return [*self.instances.found(stimulus, now_ns), Announce("READY=1")]

    def _journals_found(self, stimulus: JournalsFound, now_ns: int) -> list[Effect]:
        effects = self.instances.found(stimulus, now_ns)
        self.runs.journals_found()
        return effects

    def _introduced(self, stimulus: Introduced, now_ns: int) -> list[Effect]:
        self.energy.look()
        return self.reception.introduced(stimulus, now_ns)

    def _process_exited(self, stimulus: ProcessExited, now_ns: int) -> list[Effect]:
        self.energy.look()
        return self.instances.exited(stimulus, now_ns)

    def _jobs_found(self, stimulus: JobsFound, now_ns: int) -> list[Effect]:
        self.energy.look()
        for job in self.jobs.found(stimulus, now_ns):
            self.runs.job_over(job, now_ns)
        return []

    def _stored_seen(self, stimulus: StoredSeen, now_ns: int) -> list[Effect]:
        del now_ns
        self.intake.quotas.seen(stimulus.bytes_by_uid)
        return []

    def _committed(self, stimulus: Committed, now_ns: int) -> list[Effect]:
        for item, reason in stimulus.unusable:
            self.instances.damaged(item.instance, f"block {item.block} cannot be stored: {reason}")
        batch, effects = self.intake.committed(stimulus, now_ns)
        effects += self.instances.stored(batch)
        self.energy.stored_batch(batch)
        self.runs.stored(batch, now_ns)
        if self.intake.quotas.full():
            self._purge_ns = min(self._purge_ns, now_ns + FULL_PURGE_INTERVAL_NS)
        return effects

    def _energy_stored(self, stimulus: EnergyStored, now_ns: int) -> list[Effect]:
        self.runs.look()  # it may be of a run that was sealed before
        return self.energy.stored(stimulus, now_ns)

    # -- time, and the end -----------------------------------------------------------------

    def _reloaded(self, stimulus: Reloaded, now_ns: int) -> list[Effect]:
        del now_ns
        self.options = stimulus.options
        parts = (
            self.reception, self.intake, self.intake.quotas, self.jobs, self.energy, self.runs
        )  # fmt: skip
        for part in parts:
            part.options = stimulus.options
        log.info("settings were read again")
        return []

    def _stop_asked(self, stimulus: StopAsked, now_ns: int) -> list[Effect]:
        if self._stop_ns is not None:
            return []
        log.info("ending: %s", stimulus.reason)
        self._stop_ns = now_ns + STOP_PATIENCE_NS
        self.reception.closed = True
        self.instances.stopping = True
        self.intake.hurry(now_ns)
        self.energy.finish(now_ns)
        return [Announce("STOPPING=1")]

    def _tick(self, stimulus: Tick, now_ns: int) -> list[Effect]:
        del stimulus
        effects = self.intake.commit_due(now_ns)
        if now_ns >= self._purge_ns:
            full = self.intake.quotas.full()
            self._purge_ns = now_ns + (FULL_PURGE_INTERVAL_NS if full else PURGE_INTERVAL_NS)
            effects.append(Purge(full))
        if now_ns >= self._find_ns and self._stop_ns is None:
            self._find_ns = now_ns + FIND_INTERVAL_NS
            effects.append(FindJournals())
        if self._jobs_ns is not None and now_ns >= self._jobs_ns and self._stop_ns is None:
            self._jobs_ns = now_ns + JOBS_INTERVAL_NS
            effects.append(FindJobs())
        return effects

    def _go_on(self, now_ns: int) -> list[Effect]:
        """Do what has become possible; cheap, since it is called for nearly every stimulus."""
        if self._ended:
            return []
        effects = self.energy.go_on(now_ns)
        if self._stop_ns is not None and not self.runs.stopping and not self.energy.waits:
            self.runs.stop()
        effects += self.intake.grant_waiting(now_ns)
        effects += self.runs.go_on(now_ns)
        effects += self.instances.look_due(now_ns)
        return effects + self._end_if_done(now_ns)

    def _end_if_done(self, now_ns: int) -> list[Effect]:
        if self._stop_ns is not None:
            done = (
                not self.energy.waits and not self.runs.sealing and self.energy.finish(now_ns)
                and self.intake.quiet
            )  # fmt: skip
            if done or now_ns >= self._stop_ns:
                return self._end("stopped" if done else "stopped before all was published")
            return self.energy.go_on(now_ns)
        if self._busy():
            self._idle_since_ns = None
            self.energy.go_on_after_all()
            return []
        if self._idle_since_ns is None:
            self._idle_since_ns = now_ns
        idle_end_ns = self._idle_end_ns()
        if idle_end_ns is None or now_ns < idle_end_ns or self.runs.sealing:
            return []
        finished = self.energy.finish(now_ns) and self.intake.quiet
        return self._end("idle") if finished else self.energy.go_on(now_ns)

    def _busy(self) -> bool:
        writes = not self.intake.quiet and not self.energy.finishing
        return bool(self.intake.by_route or self.instances.table or writes or self.runs.busy)

    def _idle_end_ns(self) -> int | None:
        if self._idle_since_ns is None or not self.options.idle_ns:
            return None
        patience_ns = STUCK_PATIENCE_NS if self.runs.stuck else 0
        return self._idle_since_ns + self.options.idle_ns + patience_ns

    def _end(self, reason: str) -> list[Effect]:
        self._ended = True
        return [*self.runs.give_up(f"the daemon ended ({reason})"), Exit(reason)]

    def deadline_ns(self) -> int | None:
        """Return when a `Tick` is needed although nothing else happens; None: never."""
        waiting = (*self.intake.waiting_uids, *self.instances.waiting_uids)
        parts = (
            self.intake.deadline_ns(),
            self.intake.quotas.next_ns(waiting, self._now_ns),
            self.instances.deadline_ns(),
            self.energy.deadline_ns(),
            self.runs.deadline_ns(),
            None if self.energy.finishing else self._idle_end_ns(),
            self._stop_ns,
            self._purge_ns,
            self._find_ns if self._stop_ns is None else None,
            self._jobs_ns if self._stop_ns is None else None,
        )
        return min((part for part in parts if part is not None), default=None)

    # -- for people and tests --------------------------------------------------------------

    def document(self, uid: int) -> dict[str, object]:
        """
        Describe the state to a user.

        Parameters
        ----------
        uid : int
            Who asks: others than root and the daemon's own user see only what is theirs.
        """
        uids = None if uid in (0, self.options.own_uid) else {uid}
        problems = [self.intake.problem] if self.intake.problem else []
        if uids is None:
            problems += [f"{path}: {reason}" for path, reason in self.instances.problems.items()]
        return {
            "epoch": self.epoch.hex(),
            "system": self.options.system,
            "stopping": self._stop_ns is not None,
            "stays": not self.options.idle_ns,
            "queued_bytes": self.intake.queued_bytes,
            **self.figures.document(),
            "clients": self.intake.document(uids),
            "instances": self.instances.document(),
            "runs": self.runs.document(uids),
            "jobs": self.jobs.document(uids),
            "problems": problems,
        }

    def check(self) -> None:
        """Assert every invariant of the state."""
        self.intake.check()
        self.instances.check()
        self.jobs.check()
        self.runs.check()
        for instance, session in self.intake.by_instance.items():
            known = self.instances.table[instance]
            assert known.uid == session.uid, "a session belongs to its instance's user"
