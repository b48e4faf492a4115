"""
Runs on their way to their sites: when each is sealed, published, and merged.

Law: what is published was committed first, and a run counts as published only
by what the store says after its mark was committed; so a daemon killed between
any two steps seals again, which changes nothing (a merge is a union).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.daemon.effects import Effect, FindJournals, LookAtRuns, Seal, SealMark, Send, StartMerge
from cmfd.daemon.energy_desk import LEDGER_INTERVAL_NS
from cmfd.daemon.options import SECOND_NS
from cmfd.daemon.transitions import RunPhase, RunTurn, turn_run
from cmfd.errors import IncompleteError
from cmfd.wire.messages import Refused, SealReply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.daemon.batch import Batch
    from cmfd.daemon.energy_desk import EnergyDesk
    from cmfd.daemon.figures import Figures
    from cmfd.daemon.instances import Instances
    from cmfd.daemon.intake import Intake
    from cmfd.daemon.jobs import Job, Jobs
    from cmfd.daemon.options import Options
    from cmfd.daemon.stimuli import LookFailed, MergeEnded, Published, PublishFailed, RunsSeen
    from cmfd.store.interpret import SealedPack
    from cmfd.store.node import RunStanding
    from cmfd.wire.endpoint import Peer
    from cmfd.wire.messages import SealRequest

log = logging.getLogger(__name__)

FIRST_RETRY_NS = SECOND_NS
LONGEST_RETRY_NS = 300 * SECOND_NS
LOOKS_PER_CHECKPOINT = 10
"""While data comes in, runs new to the daemon are noticed this often."""


@dataclass(eq=False)
class Run:
    """
    A run of which something is not published.

    Attributes
    ----------
    due_ns : int or None
        When to seal it: grace, checkpoint or retry; None while it is sealed.
    outbox : SealedPack or None
        A pack that could not be published.
    resends : bool
        What is on its way is a pack from the outbox, without what came in since.
    """

    run: bytes
    site: str
    uid: int
    phase: RunPhase = RunPhase.OPEN
    is_open: bool = True
    has_new: bool = True
    due_ns: int | None = None
    failures: int = 0
    outbox: SealedPack | None = None
    resends: bool = False
    problem: str = ""

    def turn(self, turn: RunTurn) -> None:
        """Go on to the phase that follows; `TransitionError` if none does."""
        self.phase = turn_run(self.phase, turn)


class Step(Enum):
    """How far a request to seal has come."""

    COMMIT = auto()
    """What had come in by then is being committed, and the energy up to then."""
    FIND = auto()
    """Journals of processes that never said hello are being looked for."""
    SETTLE = auto()
    """Processes that may be dead are being looked at, and their journals taken."""
    LOOK = auto()
    """The store is asked what there is to seal."""
    SEAL = auto()
    """The pack is being made and published."""


@dataclass(eq=False)
class Ask:
    """Somebody waits for a run to be sealed, or the job that it is named after is over."""

    route: bytes
    """Who waits; empty: nobody does."""
    uid: int
    run: bytes
    site: str
    after: int
    """The batch that holds what was received before the request."""
    step: Step = Step.COMMIT
    energy: int = 0
    """What `EnergyDesk` is to have settled."""
    waits_for: list[bytes] = field(default_factory=list)
    """Those who have not been looked at since."""

    def answer(self, reply: SealReply | Refused) -> list[Effect]:
        """Tell who waits what became of it."""
        return [Send(self.route, reply)] if self.route else []


class Runs:
    """
    Every run of which not everything is published, as far as the daemon has looked.

    Parameters
    ----------
    options : Options
        May be replaced at any time.
    intake, instances, jobs, energy
        The other parts of the state.
    figures : Figures
        Where to count.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - all parts but `Reception`
        self, options: Options, intake: Intake, instances: Instances, jobs: Jobs,
        energy: EnergyDesk, figures: Figures,
    ) -> None:  # fmt: skip
        self.options = options
        self.energy = energy
        self.jobs = jobs
        self.intake = intake
        self.instances = instances
        self.figures = figures
        self.table: dict[bytes, Run] = {}
        self.asks: list[Ask] = []
        self.stopping = False
        self._merging: dict[Path, bool] = {}  # whether it is to be merged once more
        self._looking = False
        self._look_wanted = False
        self._look_ns: int | None = None

    # -- what happens ----------------------------------------------------------------------

    def ask(self, route: bytes, peer: Peer, message: SealRequest, now_ns: int) -> None:
        """Take a request: all that came in before it will be in the pack."""
        after = self.intake.hurry(now_ns)
        energy = self.energy.ask(now_ns)
        self.asks.append(Ask(route, peer.uid, message.run, message.site, after, energy=energy))

    def job_over(self, job: Job, now_ns: int) -> None:
        """Have all that a job left on this node sealed, without delay."""
        after = self.intake.hurry(now_ns)
        energy = self.energy.ask(now_ns)
        self.asks.append(Ask(b"", job.note.uid, job.run, "", after, energy=energy))

    def stored(self, batch: Batch, now_ns: int) -> None:
        """Look again after a commit that may have changed how runs stand."""
        if batch.ended or batch.sealed or batch.jobs or self.stopping:
            self._look_wanted = True
        elif batch.n_slices and self._look_ns is None:
            self._look_ns = now_ns + self.options.checkpoint_interval_ns // LOOKS_PER_CHECKPOINT

    def look(self) -> None:
        """Find out how all runs stand."""
        self._look_wanted = True

    def stop(self) -> None:
        """Seal all there is, once what came in is on disk."""
        self.stopping = True
        self._look_wanted = self.intake.quiet

    def seen(self, stimulus: RunsSeen, now_ns: int) -> list[Effect]:
        """Seal what is due by now."""
        self._looking = False
        standings = {standing.run: standing for standing in stimulus.standings}
        for run in [run for run in self.table.values() if run.run not in standings]:
            if run.phase in (RunPhase.OPEN, RunPhase.ENDED):
                run.turn(RunTurn.SEEN_WHOLE)
                del self.table[run.run]
        for standing in standings.values():
            self._note(standing, now_ns)
        effects = [effect for ask in list(self.asks) for effect in self._answer(ask)]
        kept = {*standings, *(ask.run for ask in self.asks), *self.energy.waiting}
        effects += self.jobs.forget_but(kept)
        due = [run for run in self.table.values() if self._is_due(run, now_ns)]
        return effects + [self._seal(run, "") for run in due]

    def look_failed(self, stimulus: LookFailed, now_ns: int) -> list[Effect]:
        """Look again later."""
        log.error("the runs cannot be looked at: %s", stimulus.reason)
        self._looking = False
        self._look_ns = now_ns + FIRST_RETRY_NS
        return []

    def _note(self, standing: RunStanding, now_ns: int) -> None:
        run = self.table.get(standing.run)
        if run is None:
            run = self.table[standing.run] = Run(standing.run, standing.site, standing.uid)
        was = run.phase
        # A service publishes where its operator says: it could be made to write anywhere.
        named = "" if self.options.system else standing.site
        run.site = named or self.options.default_site
        run.uid = standing.uid
        run.is_open = bool(standing.open_instances) or self.jobs.goes_on(run.run)
        run.has_new = standing.has_new
        run.turn(RunTurn.SEEN_OPEN if run.is_open else RunTurn.SEEN_ENDED)
        if run.phase is RunPhase.OPEN:
            due_ns = now_ns + self._checkpoint_ns(standing)
            known_ns = None if was is RunPhase.ENDED else run.due_ns
            run.due_ns = due_ns if known_ns is None else min(known_ns, due_ns)
        elif run.phase is RunPhase.ENDED and was is not RunPhase.ENDED:
            run.due_ns = now_ns + self.options.grace_ns

    def _checkpoint_ns(self, standing: RunStanding) -> int:
        """Return how long until a checkpoint: longer where only energy can be new."""
        interval_ns = self.options.checkpoint_interval_ns
        return interval_ns if standing.open_instances else max(interval_ns, LEDGER_INTERVAL_NS)

    def _is_due(self, run: Run, now_ns: int) -> bool:
        if run.phase is RunPhase.SEALING or (run.phase is RunPhase.OPEN and not run.has_new):
            return False
        if self.stopping:
            return run.phase is not RunPhase.STUCK
        return run.due_ns is not None and run.due_ns <= now_ns and self._waits(run)

    def _seal(self, run: Run, site: str) -> Effect:
        run.turn(RunTurn.SEAL)
        run.due_ns = None
        outbox, run.outbox = run.outbox, None
        run.resends = outbox is not None
        if self.options.system:
            owner, site = self.jobs.owner(run.run, run.uid), ""
        else:
            owner = None
        over = self.jobs.is_over(run.run)
        # Of a user who may have no more here, journals wait that may have more of it.
        final = not run.is_open and not self.intake.quotas.is_full(run.uid)
        apart = None if self.jobs.is_announced(run.run) else run.uid
        return Seal(run.run, Path(site or run.site), final, outbox, owner, over, apart)

    def published(self, stimulus: Published, now_ns: int) -> list[Effect]:
        """Note it in the store, tell who asked, and have the site merged if nobody did."""
        run = self.table[stimulus.run]
        run.turn(RunTurn.PUBLISHED)
        run.failures = 0
        run.problem = ""
        if stimulus.sealed is not None:
            self.intake.mark(SealMark(run.run, stimulus.sealed.upto, stimulus.sealed.final), now_ns)
        if stimulus.ledger is not None:
            self.intake.mark_ledger(stimulus.ledger, now_ns)
        packs = [] if stimulus.pack is None else [str(stimulus.pack)]
        self.figures.counts.packs_published += len(packs)
        log.info("run %s: published %s", run.run.hex(), ", ".join(packs) or "nothing new")
        effects = self._ask_again(run) if run.resends else self._reply(run, SealReply(packs=packs))
        asked = bool(effects)
        if packs and not asked and self.options.merge:
            effects += self._merge(stimulus.site)
        return effects

    def publish_failed(self, stimulus: PublishFailed, now_ns: int) -> list[Effect]:
        """Keep the pack and try again later, ever more rarely."""
        run = self.table[stimulus.run]
        run.turn(RunTurn.FAILED)
        run.outbox = stimulus.outbox
        run.due_ns = now_ns + min(FIRST_RETRY_NS << min(run.failures, 16), LONGEST_RETRY_NS)
        run.failures += 1
        run.problem = stimulus.reason
        self.figures.counts.publishes_failed += 1
        log.warning("run %s is not at its site yet: %s", run.run.hex(), stimulus.reason)
        packs = [] if stimulus.outbox is None else [str(stimulus.outbox.path)]
        return self._reply(run, SealReply(packs=packs, problem=stimulus.reason))

    def _reply(self, run: Run, reply: SealReply) -> list[Effect]:
        served = [ask for ask in self.asks if ask.run == run.run and ask.step is Step.SEAL]
        self.asks = [ask for ask in self.asks if ask not in served]
        # Others may have come while it was being sealed.
        self._look_wanted = self._look_wanted or bool(self.asks)
        return [effect for ask in served for effect in ask.answer(reply)]

    def _ask_again(self, run: Run) -> list[Effect]:
        """Have who asked wait for the next pack: the one that was published is older."""
        for ask in self.asks:
            if ask.run == run.run and ask.step is Step.SEAL:
                ask.step = Step.LOOK
        self._look_wanted = self._look_wanted or bool(self.asks)
        return []

    def _merge(self, site: Path) -> list[Effect]:
        if site in self._merging:
            self._merging[site] = True
            return []
        self._merging[site] = False
        self.figures.counts.merges_started += 1
        return [StartMerge(site)]

    def merge_ended(self, stimulus: MergeEnded, now_ns: int) -> list[Effect]:
        """Merge once more if packs were published meanwhile."""
        del now_ns
        again = self._merging.pop(stimulus.site)
        if stimulus.exit_code == IncompleteError.exit_code:
            log.warning(
                "merging %s left something out, in its quarantine or its inbox; all else is merged",
                stimulus.site,
            )
        elif stimulus.exit_code:
            self.figures.counts.merges_failed += 1
            log.warning(
                "merging %s ended with exit code %d; its packs wait in the inbox: run `cmfd merge`",
                stimulus.site, stimulus.exit_code,
            )  # fmt: skip
        return self._merge(stimulus.site) if again and not self.stopping else []

    # -- going on --------------------------------------------------------------------------

    def deadline_ns(self) -> int | None:
        """Return when the next look is due."""
        dues = [run.due_ns for run in self.table.values() if self._waits(run)]
        return min((due for due in (*dues, self._look_ns) if due is not None), default=None)

    def _waits(self, run: Run) -> bool:
        """
        Tell whether its due time means something.

        An open run with nothing new has none. One that ended may have more in journals that
        wait to be read: after a crash there may be thousands, and it would be sealed many times.
        """
        if run.phase is RunPhase.ENDED:
            return not self.instances.has_backlog(run.uid)
        return run.phase is not RunPhase.OPEN or run.has_new

    def go_on(self, now_ns: int) -> list[Effect]:
        """Take every request as far as it can go, and look at the runs if that is due."""
        effects = self._give_up_stuck()
        effects += [effect for ask in self.asks for effect in self._advance(ask)]
        deadline_ns = self.deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            self._look_wanted = True
        # Before its mark is on disk, a run that was published would look as if it were not.
        if self._look_wanted and not self._looking and not self.intake.marking:
            self._looking, self._look_wanted, self._look_ns = True, False, None
            effects.append(LookAtRuns())
        return effects

    def journals_found(self) -> None:
        """Have every process looked at that may be dead, for those who asked before the finding."""
        for ask in self.asks:
            if ask.step is Step.FIND:
                ask.step = Step.SETTLE
                ask.waits_for = list(self._suspects(ask))
                for instance in ask.waits_for:
                    self.instances.alarm(instance)

    def _give_up_stuck(self) -> list[Effect]:
        """Tell who asked that nothing can be stored for now: a job would wait for it at its end."""
        if not self.intake.is_stuck:
            return []
        waits = (Step.COMMIT, Step.SETTLE)
        stuck = [ask for ask in self.asks if ask.route and ask.step in waits]
        self.asks = [ask for ask in self.asks if ask not in stuck]
        reply = SealReply(packs=[], problem=self.intake.problem)
        return [effect for ask in stuck for effect in ask.answer(reply)]

    def _advance(self, ask: Ask) -> list[Effect]:
        if ask.step is Step.COMMIT and self._is_stored(ask):
            ask.step = Step.FIND
            return [FindJournals()]
        # From the end: thousands may have died, and each is asked about once.
        while ask.waits_for and self.instances.settled(ask.waits_for[-1]):
            ask.waits_for.pop()
        if ask.step is Step.SETTLE and not ask.waits_for:
            ask.step = Step.LOOK
            self._look_wanted = True
        return []

    def _is_stored(self, ask: Ask) -> bool:
        return self.intake.stored >= ask.after and self.energy.settled(ask.energy)

    def _suspects(self, ask: Ask) -> Iterator[bytes]:
        """Yield the asker's processes: one of them may be dead without our knowing yet."""
        for instance, known in self.instances.table.items():
            if ask.uid in (known.uid, 0):
                yield instance

    def _answer(self, ask: Ask) -> list[Effect]:
        """Serve a request now that the runs are known."""
        if ask.step is not Step.LOOK:
            return []
        run = self.table.get(ask.run)
        if run is not None and ask.uid not in (run.uid, 0):
            self.asks.remove(ask)
            self.figures.counts.refused += 1
            return ask.answer(Refused(reason=f"run {run.run.hex()} is somebody else's"))
        if run is None or (run.is_open and not run.has_new and run.phase is RunPhase.OPEN):
            self.asks.remove(ask)
            return ask.answer(SealReply(packs=[]))
        if run.phase is RunPhase.SEALING:
            # Started before the request: what it waited for may not be in it.
            return []
        ask.step = Step.SEAL
        return [self._seal(run, ask.site)]

    def give_up(self, reason: str) -> list[Effect]:
        """Tell everybody who still waits that the daemon ends."""
        reply = SealReply(packs=[], problem=reason)
        effects = [effect for ask in self.asks for effect in ask.answer(reply)]
        self.asks.clear()
        return effects

    # -- for people and tests --------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether something is on its way; another try for a site that is away is not."""
        going = (RunPhase.ENDED, RunPhase.SEALING)
        return bool(self.asks) or any(
            run.phase in going and not run.failures for run in self.table.values()
        )

    @property
    def sealing(self) -> bool:
        """Whether a pack is being made, or may be about to."""
        phases = [run.phase for run in self.table.values()]
        return self._looking or self._look_wanted or RunPhase.SEALING in phases

    @property
    def stuck(self) -> bool:
        """Whether a site does not take its packs."""
        return any(run.failures for run in self.table.values())

    def document(self, uids: set[int] | None) -> list[dict[str, object]]:
        """Describe the runs; `uids`: only theirs."""
        return [
            {
                "run": run.run.hex(),
                "uid": run.uid,
                "site": run.site,
                "state": run.phase.name.lower(),
                "new": run.has_new,
                "outbox": str(run.outbox.path) if run.outbox else "",
                "problem": run.problem,
            }
            for run in self.table.values()
            if uids is None or run.uid in uids
        ]

    def check(self) -> None:
        """Assert the invariants."""
        for key, run in self.table.items():
            assert run.run == key
            assert run.phase is not RunPhase.DONE
            if run.phase is RunPhase.STUCK:
                assert run.problem
                assert run.due_ns is not None, "whoever is stuck is tried again"
            if run.outbox is not None:
                assert run.phase is RunPhase.STUCK, "a pack leaves the outbox to be published"
        sealing = {run.run for run in self.table.values() if run.phase is RunPhase.SEALING}
        for ask in self.asks:
            if ask.step is Step.SEAL:
                assert ask.run in sealing
            if ask.step is Step.LOOK:
                assert self._looking or self._look_wanted or ask.run in sealing
