"""
The processes on this node and their journals, from hello to the last byte on disk.

Law: a journal is taken over only while its lock is the daemon's, and removed
only after a commit of all that was in it. See `cmfd.daemon.transitions`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from cmfd.daemon.effects import Effect, Ended, LeaveJournal, ReadJournal, Unwatch, Watch
from cmfd.daemon.options import SECOND_NS
from cmfd.daemon.transitions import Phase, Turn, turn_instance
from cmfd.daemon.turns import Turns

if TYPE_CHECKING:
    from cmfd.daemon.batch import Batch
    from cmfd.daemon.figures import Figures
    from cmfd.daemon.intake import Intake
    from cmfd.daemon.stimuli import (
        Introduced,
        JournalGone,
        JournalHeld,
        JournalPiece,
        JournalsFound,
        JournalUnreadable,
        ProcessExited,
        Started,
        Unwatchable,
    )

log = logging.getLogger(__name__)

FIRST_LOOK_NS = SECOND_NS // 50
"""A process that says goodbye removes its journal right after."""
LONGEST_LOOK_NS = 5 * SECOND_NS
PIECES_BYTES = 4 << 20
"""Journals are read no further ahead of the disk than this."""
MOST_OPEN = 32
"""Journals that are open at a time: each takes two descriptors."""


@dataclass(eq=False)
class Instance:
    """
    One process and its journal.

    Attributes
    ----------
    watched : bool
        The kernel will say when the process ends.
    restless : bool
        It said goodbye, or nobody would tell of its end: look again by and by.
    look_ns : int or None
        When to look at its journal next.
    ended_ns : int
        When its process ended, in UTC, as far as is known; else 0.
    was_read : bool
        The daemon holds its journal open and has read from it.
    damaged : bool
        Part of its journal could not be stored, so the file stays.
    """

    instance: bytes
    uid: int
    journal: str
    phase: Phase = Phase.LIVE
    watched: bool = False
    restless: bool = False
    look_ns: int | None = None
    delay_ns: int = FIRST_LOOK_NS
    ended_ns: int = 0
    was_read: bool = False
    damaged: bool = False

    def turn(self, turn: Turn) -> None:
        """Go on to the phase that follows; `TransitionError` if none does."""
        self.phase = turn_instance(self.phase, turn)


class Instances:
    """
    Every instance that is not known to have ended.

    Parameters
    ----------
    intake : Intake
        Where what is read from journals goes.
    figures : Figures
        Where to count.
    """

    def __init__(self, intake: Intake, figures: Figures) -> None:
        self.intake = intake
        self.figures = figures
        self.table: dict[bytes, Instance] = {}
        self.problems: dict[str, str] = {}
        """Journals that cannot be read, and why."""
        self.stopping = False
        """No more journals are read: whoever comes next does."""
        self._suspects = Turns()
        self._looks: list[tuple[int, bytes]] = []
        """A heap of when to look at whom; of an instance only that counts which it says itself."""
        self._n_open = 0
        self._backlog: dict[int, list[bytes]] = {}
        self._reading: Instance | None = None
        self._piece_in = 0  # the batch that the last piece of `_reading` went to

    # -- coming ----------------------------------------------------------------------------

    def found(self, stimulus: Started | JournalsFound, now_ns: int) -> list[Effect]:
        """Look at the journals of processes that have not said hello: it may be too late for it."""
        del now_ns
        for item in stimulus.journals:
            if item.instance not in self.table:
                self.table[item.instance] = Instance(item.instance, item.uid, item.journal)
                self.alarm(item.instance)
                self._backlog.setdefault(item.uid, []).append(item.instance)
        return []

    def has_backlog(self, uid: int) -> bool:
        """Tell whether journals of a user were found and wait; they may be of any of his runs."""
        backlog = self._backlog.get(uid, [])
        while backlog and self.settled(backlog[-1]):
            backlog.pop()
        return bool(backlog)

    @property
    def waiting_uids(self) -> list[int]:
        """Users some of whose journals wait to be looked at."""
        return self._suspects.uids

    def hello(self, stimulus: Introduced) -> list[Effect]:
        """
        Note that a process lives, and watch it.

        Raises
        ------
        TransitionError
            It is dead: its journal was free and is being taken over.
        """
        known = self.table.get(stimulus.instance)
        if known is None:
            known = Instance(stimulus.instance, stimulus.peer.uid, stimulus.journal)
            self.table[stimulus.instance] = known
        known.turn(Turn.HELLO)
        known.journal = stimulus.journal or known.journal
        known.restless = False
        known.watched = True
        known.look_ns = None
        return [Watch(known.instance, stimulus.peer.pid)]

    def unwatchable(self, stimulus: Unwatchable, now_ns: int) -> list[Effect]:
        """Look at its journal from time to time instead."""
        known = self.table.get(stimulus.instance)
        if known is not None:
            known.watched = False
            self._rest(known, now_ns)
        return []

    # -- going -----------------------------------------------------------------------------

    def alarm(self, instance: bytes, *, restless: bool = False) -> None:
        """Have the journal of an instance looked at; `restless`: again, if it still lives."""
        known = self.table[instance]
        known.restless = known.restless or restless
        was = known.phase
        known.turn(Turn.ALARM)
        known.look_ns = None
        if was is Phase.LIVE:
            self._suspects.add(known.uid, instance)

    def exited(self, stimulus: ProcessExited, now_ns: int) -> list[Effect]:
        """Look at once: its process ended, which freed the lock."""
        del now_ns
        known = self.table.get(stimulus.instance)
        if known is not None:
            known.watched = False
            known.ended_ns = stimulus.at_ns
            known.delay_ns = FIRST_LOOK_NS
            self.alarm(stimulus.instance, restless=True)
        return [Unwatch(stimulus.instance)]

    def held(self, stimulus: JournalHeld, now_ns: int) -> list[Effect]:
        """Let it live on."""
        known = self._answered(stimulus.instance)
        known.turn(Turn.HELD)
        if known.restless or not known.watched:
            self._rest(known, now_ns)
        return []

    def _rest(self, known: Instance, now_ns: int) -> None:
        known.look_ns = now_ns + known.delay_ns
        heappush(self._looks, (known.look_ns, known.instance))
        known.delay_ns = min(known.delay_ns * 2, LONGEST_LOOK_NS)

    def piece(self, stimulus: JournalPiece, now_ns: int) -> list[Effect]:
        """Take part of a dead process's journal."""
        assert self._reading is not None
        known = self._reading
        assert known.instance == stimulus.instance
        if known.phase is Phase.SUSPECTED:
            self.figures.counts.journals_adopted += 1
            log.info(
                "instance %s is dead: taking its journal %s", known.instance.hex(), known.journal
            )
        known.turn(Turn.FREE)
        self._n_open += not known.was_read
        known.was_read = True
        known.ended_ns = known.ended_ns or stimulus.touched_ns
        self._cut(known)
        self._piece_in = self.intake.pieces(stimulus.slices, now_ns)
        if stimulus.problem:
            self.damaged(stimulus.instance, stimulus.problem)
        if stimulus.last:
            self._drained(self._answered(stimulus.instance), now_ns)
        return []

    def gone(self, stimulus: JournalGone, now_ns: int) -> list[Effect]:
        """End it: it removed its journal itself."""
        self._drained(self._answered(stimulus.instance), now_ns)
        return []

    def unreadable(self, stimulus: JournalUnreadable, now_ns: int) -> list[Effect]:
        """End it as far as it is known; the file stays for a person to look at."""
        known = self._answered(stimulus.instance)
        self.damaged(stimulus.instance, stimulus.reason)
        self._drained(known, now_ns)
        return []

    def damaged(self, instance: bytes, reason: str) -> None:
        """Keep the journal of an instance of which something could not be stored."""
        known = self.table[instance]
        if not known.damaged:
            self.figures.counts.journals_unreadable += 1
            log.error("journal %s stays where it is: %s", known.journal, reason)
        known.damaged = True
        self.problems[known.journal] = reason

    def _drained(self, known: Instance, now_ns: int) -> None:
        known.turn(Turn.DRAINED)
        self._cut(known)
        self.intake.end(Ended(known.instance, known.ended_ns), now_ns)

    def _cut(self, known: Instance) -> None:
        session = self.intake.by_instance.get(known.instance)
        if session is not None:
            self.intake.close(session)

    def _answered(self, instance: bytes) -> Instance:
        known = self._reading
        assert known is not None
        assert known.instance == instance
        self._reading = None
        return known

    def stored(self, batch: Batch) -> list[Effect]:
        """Forget those whose end is on disk, and go on reading."""
        effects: list[Effect] = []
        for ended in batch.ended:
            known = self.table.pop(ended.instance)
            known.turn(Turn.STORED)
            effects.append(Unwatch(known.instance))
            if known.was_read:
                self._n_open -= 1
                effects.append(LeaveJournal(known.instance, remove=not known.damaged))
        reading_on = self._reading is not None and self._piece_in == batch.number
        if self._reading is not None and reading_on and not self.stopping:
            effects.append(self._read(self._reading))
        return effects

    # -- looking ---------------------------------------------------------------------------

    def deadline_ns(self) -> int | None:
        """Return when the next look is due."""
        while self._looks:
            look_ns, instance = self._looks[0]
            known = self.table.get(instance)
            if known is not None and known.look_ns == look_ns:
                return look_ns
            heappop(self._looks)  # looked at before its time, or forgotten
        return None

    def look_due(self, now_ns: int) -> list[Effect]:
        """Ask for the next look at a journal; one at a time."""
        while (look_ns := self.deadline_ns()) is not None and look_ns <= now_ns:
            self.alarm(heappop(self._looks)[1])
        if self.stopping or self._reading is not None:
            return []
        if self.intake.piece_bytes >= PIECES_BYTES or self._n_open >= MOST_OPEN:
            return []
        instance = self._suspects.take(lambda uid: self.intake.quotas.may_send(uid, now_ns))
        if instance is None:
            return []
        self._reading = self.table[instance]
        self._piece_in = 0
        return [self._read(self._reading)]

    @staticmethod
    def _read(known: Instance) -> ReadJournal:
        return ReadJournal(known.instance, known.journal, known.uid)

    def settled(self, instance: bytes) -> bool:
        """Tell whether this one is known to live or forgotten, or its user may have no more."""
        known = self.table.get(instance)
        if known is None or known.phase is Phase.LIVE:
            return True
        return known.phase is Phase.SUSPECTED and self.intake.quotas.is_full(known.uid)

    # -- for people and tests --------------------------------------------------------------

    def document(self) -> dict[str, int]:
        """Count instances by phase."""
        phases = [known.phase for known in self.table.values()]
        return {phase.name.lower(): phases.count(phase) for phase in Phase if phase in phases}

    def check(self) -> None:
        """Assert the invariants."""
        suspects = list(self._suspects)
        assert len(set(suspects)) == len(suspects), "nobody is suspected twice"
        assert self._n_open == sum(known.was_read for known in self.table.values())
        for instance, known in self.table.items():
            assert known.instance == instance
            assert known.phase is not Phase.CLOSED
            assert known.look_ns is None or (known.look_ns, instance) in self._looks
            queued = instance in suspects
            under_look = known is self._reading
            assert not (queued and under_look)
            if known.phase is Phase.SUSPECTED:
                assert queued or under_look, "whoever is suspected is looked at"
            elif known.phase is Phase.ADOPTING:
                assert under_look, "whoever is adopted is read on"
            else:
                assert not queued
        assert all(instance in self.table for instance in suspects)
