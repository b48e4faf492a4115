"""
The state's part of counting energy: when it is read, and that it is stored before a run is sealed.

Law: whoever asks for a run to be sealed waits until the energy up to then is stored, but never
longer than `PATIENCE_NS`: a counter that hangs holds up nobody.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import TYPE_CHECKING

from cmfd.daemon.effects import Effect, JobHere, ReadEnergy, SealLedgers, StoreEnergy
from cmfd.daemon.options import SECOND_NS
from cmfd.wire.journal import EVENTS

if TYPE_CHECKING:
    from cmfd.daemon.batch import Batch
    from cmfd.daemon.intake import Intake
    from cmfd.daemon.jobs import Jobs
    from cmfd.daemon.options import Options
    from cmfd.daemon.stimuli import EnergyFailed, EnergyRead, EnergyStored, LedgersSealed

log = logging.getLogger(__name__)

LEDGER_INTERVAL_NS = 3600 * SECOND_NS
"""How often what was nobody's energy is published, if nothing else has it published before."""
PATIENCE_NS = 2 * SECOND_NS
SEAL_PATIENCE_NS = 20 * SECOND_NS
"""A site that hangs keeps no daemon from ending."""
_MOST_UNSTORED = 1000
"""Readings of which a store that is full had no room are kept so long: most of a day."""


class _Ending(Enum):
    """How far the end has come."""

    NOT = auto()
    READING = auto()
    SEALING = auto()
    DONE = auto()


class EnergyDesk:
    """
    What the state knows of the thread that reads energy.

    Parameters
    ----------
    options : Options
        May be replaced at any time.
    intake : Intake
        Which processes have introduced themselves.
    jobs : Jobs
        Which jobs are here.
    """

    def __init__(self, options: Options, intake: Intake, jobs: Jobs) -> None:
        self.options = options
        self.intake = intake
        self.jobs = jobs
        self._asked = 0
        self._settled = 0
        self._told = 0  # what the thread was last asked for
        self._give_up_ns: int | None = None
        self._look = False
        self.waiting: frozenset[bytes] = frozenset()
        """Runs that may be over and of which more energy is to come."""
        self._unstored: list[EnergyRead] = []
        self._problem = ""
        self._ledger_ns: int | None = None  # when it is due
        self._sealing = False
        self._ending = _Ending.NOT
        self._last = 0  # what the end waits for

    # -- what may be wanted ------------------------------------------------------------------

    def look(self) -> None:
        """Have it found out who is here: somebody may have come or gone."""
        self._look = self.options.energy

    def stored_batch(self, batch: Batch) -> None:
        """Look if something was said, which may be that an execution began or ended."""
        if not self._look and self.options.energy:
            shares = batch.shares.values()
            heads = (item.head for share in shares for item in share.stretches)
            self._look = bool(batch.ended) or any(head.kind == EVENTS for head in heads)

    def ask(self, now_ns: int) -> int:
        """Have it read, and what there is stored; returns what `settled` is to be asked for."""
        if not self.options.energy:
            return 0
        self._asked += 1
        self._give_up_ns = now_ns + PATIENCE_NS
        return self._asked

    def settled(self, number: int) -> bool:
        """Tell whether what was asked for is stored, or not to be waited for."""
        return number <= self._settled

    @property
    def waits(self) -> bool:
        """Whether something was asked for that is not settled."""
        return self._settled < self._asked

    def finish(self, now_ns: int) -> bool:
        """Have all stored and published that there is, for the end; tells whether that is done."""
        if self._ending is _Ending.NOT and self.options.energy:
            self._ending = _Ending.READING
            self._last = self.ask(now_ns)
        if self._ending is _Ending.READING and self.settled(self._last):
            self._ending = _Ending.SEALING
            self._ledger_ns = now_ns if self._ledger_ns is not None else None
            self._give_up_ns = now_ns + SEAL_PATIENCE_NS
        published = self._ledger_ns is None and not self._sealing
        late = self._give_up_ns is not None and now_ns >= self._give_up_ns
        if self._ending is _Ending.SEALING and (published or late):
            self._ending = _Ending.DONE
        return not self.options.energy or self._ending is _Ending.DONE

    def go_on_after_all(self) -> None:
        """Forget that the end was near: somebody came."""
        self._ending = _Ending.NOT

    @property
    def finishing(self) -> bool:
        """Whether `finish` was called."""
        return self._ending is not _Ending.NOT

    def deadline_ns(self) -> int | None:
        """Return when `go_on` or `finish` has something to do by itself."""
        waits = self.waits or self._ending is _Ending.SEALING
        dues = (self._give_up_ns if waits else None, None if self._sealing else self._ledger_ns)
        return min((due for due in dues if due is not None), default=None)

    def go_on(self, now_ns: int) -> list[Effect]:
        """Ask for what is wanted; give up on what takes too long."""
        if self.waits and self._give_up_ns is not None and now_ns >= self._give_up_ns:
            log.warning("reading energy takes long: nobody waits for it")
            self._settled = self._asked
        return self._seal_if_due(now_ns) + self._read()

    def _seal_if_due(self, now_ns: int) -> list[Effect]:
        if self._sealing or self._ledger_ns is None or now_ns < self._ledger_ns:
            return []
        self._sealing, self._ledger_ns = True, None
        return [SealLedgers()]

    def _read(self) -> list[Effect]:
        if not self._look and self._told == self._asked:
            return []
        self._look, self._told = False, self._asked
        here = tuple(
            JobHere(job.run, job.note.component or job.note.job, job.note.uid)
            for job in self.jobs.by_name.values()
            if not job.ended
        )
        sessions = self.intake.by_instance.items()
        processes = {instance: session.pid for instance, session in sessions if session.pid > 0}
        return [ReadEnergy(self._asked, here, processes)]

    # -- what came of it ---------------------------------------------------------------------

    def read(self, stimulus: EnergyRead, now_ns: int) -> list[Effect]:
        """Have stored what was read, with what could not be stored before."""
        del now_ns
        if stimulus.memory:
            self.waiting = stimulus.waiting
        if not any(stimulus.measured):
            self._settled = max(self._settled, stimulus.number)
            return []
        self._unstored.append(stimulus)
        del self._unstored[:-_MOST_UNSTORED]
        return [StoreEnergy(stimulus.number, tuple(self._unstored))]

    def stored(self, stimulus: EnergyStored, now_ns: int) -> list[Effect]:
        """Note that it is on disk."""
        self._unstored.clear()
        if self._ledger_ns is None and self._ending is not _Ending.DONE:
            self._ledger_ns = now_ns + LEDGER_INTERVAL_NS
        self._problem = ""
        self._settled = max(self._settled, stimulus.number)
        return []

    def failed(self, stimulus: EnergyFailed, now_ns: int) -> list[Effect]:
        """Keep it for the next time; nobody waits for it."""
        del now_ns
        if stimulus.reason != self._problem:
            log.error("energy cannot be stored: %s; it is kept and tried again", stimulus.reason)
        self._problem = stimulus.reason
        self._settled = max(self._settled, stimulus.number)
        return []

    def ledgers_sealed(self, stimulus: LedgersSealed, now_ns: int) -> list[Effect]:
        """Note what sites have now."""
        self._sealing = False
        for mark in stimulus.marks:
            self.intake.mark_ledger(mark, now_ns)
        return []
