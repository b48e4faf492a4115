"""Runs on their way to their sites: sealed when they should be, and as often as it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.bench import OWN_UID, Bench, instance, of_type, said

from cmfd.daemon.effects import (
    Announce,
    Commit,
    Effect,
    Exit,
    FindJournals,
    LookAtRuns,
    Purge,
    ReadJournal,
    Seal,
    SealMark,
    StartMerge,
)
from cmfd.daemon.options import SECOND_NS, Options
from cmfd.daemon.state import STOP_PATIENCE_NS
from cmfd.daemon.stimuli import (
    FoundJournal,
    JournalGone,
    JournalHeld,
    JournalsFound,
    LookFailed,
    MergeEnded,
    Published,
    PublishFailed,
    Reloaded,
    RunsSeen,
    Started,
    StopAsked,
)
from cmfd.daemon.transitions import RunPhase
from cmfd.errors import IncompleteError
from cmfd.store.interpret import SealedPack
from cmfd.store.node import RunStanding
from cmfd.wire.endpoint import Peer
from cmfd.wire.messages import Refused, SealReply, StatusRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUN = b"r" * 16
OTHER = b"o" * 16
SITE = Path("/site")
PACK = Path("/site/inbox/abc.db")
FOREIGN = Peer(OWN_UID + 1, 1, 4343)


def standing(
    *, run: bytes = RUN, n_open: int = 0, new: bool = True, site: str = str(SITE)
) -> RunStanding:
    """Return how the store says a run stands."""
    return RunStanding(run, site, OWN_UID, n_open, new)


class World:
    """A bench with a store that knows runs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.standings: list[RunStanding] = []
        self.journals: tuple[FoundJournal, ...] = ()

    def answer(self, effects: Sequence[Effect]) -> list[Effect]:
        """Answer looks and commits until there are none; return all that was asked for."""
        found: list[Effect] = []
        waiting = list(effects)
        while waiting:
            effect = waiting.pop(0)
            found.append(effect)
            if isinstance(effect, LookAtRuns):
                waiting += self.bench.give(RunsSeen(tuple(self.standings)))
            elif isinstance(effect, Commit):
                waiting += self.bench.committed(effect)
            elif isinstance(effect, FindJournals):
                waiting += self.bench.give(JournalsFound(self.journals))
        return found

    def see(self, *standings: RunStanding, after_s: float = 0.0) -> list[Effect]:
        """Let the store say so from now on, time pass, and the state look because of a commit."""
        self.standings = list(standings)
        self.bench.now_ns += round(after_s * SECOND_NS)
        self.bench.state.runs.look()
        return self.answer(self.bench.tick())

    def later(self, after_s: float) -> list[Effect]:
        """Let time pass."""
        return self.answer(self.bench.tick(after_s))

    def published(self, seal: Seal, upto: int = 7) -> list[Effect]:
        """Let the worker succeed."""
        sealed = seal.outbox or SealedPack(Path("/out/abc.db"), seal.run, upto, seal.final)
        return self.answer(self.bench.give(Published(seal.run, seal.site, sealed, PACK)))

    def not_published(self, seal: Seal, *, sealed: bool = True) -> list[Effect]:
        """Let the worker fail, with or without a pack in the outbox."""
        pack = SealedPack(Path("/out/abc.db"), seal.run, 7, seal.final) if sealed else None
        return self.answer(self.bench.give(PublishFailed(seal.run, "site is read-only", pack)))


@pytest.fixture
def world(bench: Bench) -> World:
    """Return a world of which the daemon merges nothing."""
    return World(bench)


# -- when runs are sealed ----------------------------------------------------------------------


def test_a_run_is_sealed_a_little_after_its_last_process_ended(world: World) -> None:
    """Stragglers have a grace: two commands of one run follow each other."""
    assert not of_type(world.see(standing()), Seal)
    assert not of_type(world.later(1.9), Seal)

    assert of_type(world.later(0.2), Seal) == [Seal(RUN, SITE, final=True)]


def test_a_straggler_postpones_the_end(world: World) -> None:
    """The grace begins anew when the last one ends."""
    world.see(standing())
    world.see(standing(n_open=1), after_s=1.0)

    assert not of_type(world.later(5.0), Seal)
    assert not of_type(world.see(standing()), Seal)
    assert of_type(world.later(2.0), Seal)


def test_a_run_is_not_sealed_as_long_as_journals_of_a_crash_wait(world: World) -> None:
    """The node had thousands of its processes: it is sealed once, and not after each few."""
    found = tuple(FoundJournal(instance(n), OWN_UID, f"/j/{n}") for n in (1, 2))
    world.answer(world.bench.give(Started(found)))
    world.answer(world.bench.give(JournalGone(instance(1))))
    effects = world.see(standing()) + world.later(60.0)
    assert not of_type(effects, Seal)

    world.answer(world.bench.give(JournalGone(instance(2))))
    assert of_type(world.later(2.0) + world.later(2.0), Seal) == [Seal(RUN, SITE, final=True)]


def test_a_long_run_is_sealed_at_checkpoints(world: World) -> None:
    """A node that burns loses ten minutes, not ten days."""
    world.see(standing(n_open=3))
    (seal,) = of_type(world.later(600), Seal)
    assert not seal.final
    world.published(seal)
    world.later(0)

    assert not of_type(world.later(599), Seal)
    assert of_type(world.later(1), Seal) == [Seal(RUN, SITE, final=False)]


def test_a_run_with_nothing_new_has_no_checkpoint(world: World) -> None:
    """Its last pack has everything."""
    world.see(standing(n_open=1, new=False))

    assert not of_type(world.later(6000), Seal)


def test_data_makes_the_daemon_notice_new_runs(world: World) -> None:
    """A run that only ever runs would else not be seen before it ends."""
    world.bench.hello()
    world.bench.slice(0, 1)
    world.standings = [standing(n_open=1)]
    effects = world.later(1)
    assert not of_type(effects, LookAtRuns)

    assert of_type(world.later(60), LookAtRuns)
    assert RUN in world.bench.state.runs.table


def test_what_was_published_is_marked_and_forgotten(world: World) -> None:
    """The mark is what keeps it from being sealed again."""
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)
    world.standings = []

    effects = world.published(seal, upto=42)
    effects += world.later(0)

    (commit,) = of_type(effects, Commit)
    assert commit.sealed == (SealMark(RUN, 42, final=True),)
    assert not world.bench.state.runs.table


def test_no_run_is_looked_at_before_its_mark_is_on_disk(world: World) -> None:
    """It would look as if it were not published, and be sealed twice."""
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)
    sealed = SealedPack(Path("/out/abc.db"), RUN, 7, final=True)
    world.bench.state.runs.look()

    effects = world.bench.give(Published(RUN, seal.site, sealed, PACK))

    assert not of_type(effects, LookAtRuns)


def test_a_run_with_nothing_to_seal_needs_no_mark(world: World) -> None:
    """Somebody published it in between."""
    world.see(standing())
    world.later(2)

    effects = world.answer(world.bench.give(Published(RUN, SITE, None, None)))

    assert not of_type(effects + world.later(0), Commit)


def test_a_run_that_names_no_site_goes_to_the_default_one(benches: Callable[..., Bench]) -> None:
    """A writer in another language may leave it out."""
    world = World(benches(default_site="/home/me/cmfd"))
    world.see(standing(site=""))

    (seal,) = of_type(world.later(2), Seal)

    assert seal.site == Path("/home/me/cmfd")


def test_a_store_that_cannot_be_read_is_asked_again(world: World) -> None:
    """Looking changes nothing, so it may be repeated."""
    world.bench.state.runs.look()
    assert of_type(world.bench.tick(), LookAtRuns)
    assert not of_type(world.bench.give(LookFailed("disk I/O error")), LookAtRuns)

    world.bench.until(LookAtRuns)


# -- when a site does not take packs -----------------------------------------------------------


def test_a_pack_that_cannot_be_published_is_kept_and_tried_again(world: World) -> None:
    """Ever more rarely, for ever; it is not sealed again."""
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)
    waits_ns = []
    for _ in range(12):
        world.not_published(seal)
        failed_ns = world.bench.now_ns
        (run,) = world.bench.state.runs.document(None)
        assert (run["state"], run["outbox"]) == ("stuck", "/out/abc.db")
        assert run["problem"] == "site is read-only"
        world.bench.until(LookAtRuns)
        (seal,) = of_type(world.bench.give(RunsSeen((standing(),))), Seal)
        assert seal.outbox is not None
        waits_ns.append(world.bench.now_ns - failed_ns)

    assert waits_ns == sorted(waits_ns)
    assert waits_ns[-1] == 300 * SECOND_NS
    assert of_type(world.published(seal) + world.later(0), Commit)


def test_a_run_that_cannot_be_sealed_is_tried_again(world: World) -> None:
    """The disk was full; there is no pack to keep."""
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)
    world.not_published(seal, sealed=False)

    assert of_type(world.later(1.5), Seal) == [Seal(RUN, SITE, final=True)]


def test_a_checkpoint_in_the_outbox_is_followed_by_the_final_pack(world: World) -> None:
    """The run ended while its site was away."""
    world.see(standing(n_open=1))
    (seal,) = of_type(world.later(600), Seal)
    world.not_published(seal)
    (again,) = of_type(world.see(standing(), after_s=2), Seal)
    effects = world.published(again) + world.later(0)
    (commit,) = of_type(effects, Commit)
    assert not commit.sealed[0].final

    assert of_type(effects + world.later(2), Seal) == [Seal(RUN, SITE, final=True)]


# -- requests ----------------------------------------------------------------------------------


def test_a_request_is_not_served_with_an_older_pack(world: World) -> None:
    """A checkpoint in the outbox lacks what came in since; who asks waits for all of it."""
    world.see(standing(n_open=1))
    (seal,) = of_type(world.later(600), Seal)
    world.not_published(seal)
    world.standings = [standing()]
    (resent,) = of_type(world.answer(world.bench.ask(RUN)), Seal)
    assert resent.outbox is not None

    effects = world.published(resent) + world.later(0)
    assert not said(effects, SealReply)
    (fresh,) = of_type(effects, Seal)

    assert fresh == Seal(RUN, SITE, final=True)
    assert said(world.published(fresh), SealReply) == [SealReply(packs=[str(PACK)])]


def test_a_request_has_no_grace(world: World) -> None:
    """`cmfd run` waits for it."""
    world.standings = [standing()]

    (seal,) = of_type(world.answer(world.bench.ask(RUN)), Seal)
    effects = world.published(seal)

    assert said(effects, SealReply, b"x") == [SealReply(packs=[str(PACK)])]


def test_a_request_waits_for_what_came_before_it(world: World) -> None:
    """All of that is in the pack."""
    world.bench.hello()
    world.bench.slice(0, 1)
    world.standings = [standing(n_open=1)]

    assert not of_type(world.bench.ask(RUN), LookAtRuns)
    commit = world.bench.commit(0)
    effects = world.answer(world.bench.committed(commit))

    assert of_type(effects, ReadJournal)
    effects = world.answer(world.bench.give(JournalHeld(instance(1))))
    assert of_type(effects, Seal) == [Seal(RUN, SITE, final=False)]


def test_a_request_waits_for_processes_that_may_be_dead(world: World) -> None:
    """A rank that was killed has its tail in its journal."""
    world.bench.hello()
    world.standings = [standing()]
    effects = world.answer(world.bench.ask(RUN))
    assert of_type(effects, ReadJournal)
    assert not of_type(effects, Seal)

    effects = world.answer(world.bench.give(JournalGone(instance(1))))
    assert not of_type(effects, Seal)

    assert of_type(world.later(0), Seal) == [Seal(RUN, SITE, final=True)]


def test_a_request_finds_processes_that_never_said_hello(world: World) -> None:
    """A rank that was killed in its first milliseconds, say."""
    world.standings = [standing()]
    world.journals = (FoundJournal(instance(9), OWN_UID, "/j/9"),)

    effects = world.answer(world.bench.ask(RUN))

    assert of_type(effects, ReadJournal) == [ReadJournal(instance(9), "/j/9", OWN_UID)]
    assert not of_type(effects, Seal)


def test_a_request_may_name_another_site(world: World) -> None:
    """An epilog knows better than the job where to."""
    world.standings = [standing()]

    (seal,) = of_type(world.answer(world.bench.ask(RUN, site="/else")), Seal)

    assert seal.site == Path("/else")


@pytest.mark.parametrize("standings", [[], [standing(n_open=1, new=False)]])
def test_a_request_for_a_run_with_nothing_new_is_answered_at_once(
    world: World, standings: list[RunStanding]
) -> None:
    """There is nothing to wait for."""
    world.standings = standings

    assert said(world.answer(world.bench.ask(RUN)), SealReply) == [SealReply(packs=[])]


def test_a_request_during_a_seal_is_served_by_the_next(world: World) -> None:
    """The one under way may have begun before what the asker sent."""
    world.see(standing(n_open=1))
    (seal,) = of_type(world.later(600), Seal)
    assert not of_type(world.answer(world.bench.ask(RUN)), Seal)

    effects = world.published(seal) + world.later(0)

    assert not said(effects, SealReply)
    (second,) = of_type(effects, Seal)
    assert said(world.published(second), SealReply)


def test_a_request_that_cannot_be_met_says_why(world: World) -> None:
    """The asker tells the user where the pack is; the daemon goes on trying."""
    world.standings = [standing()]
    (seal,) = of_type(world.answer(world.bench.ask(RUN)), Seal)

    (reply,) = said(world.not_published(seal), SealReply)

    assert reply == SealReply(packs=["/out/abc.db"], problem="site is read-only")


def test_who_asks_is_told_that_the_store_cannot_be_written(world: World) -> None:
    """A job would wait for it at its end: of a full disk, a minute for nothing."""
    world.bench.hello()
    world.bench.slice(0, 1)
    world.bench.ask(RUN)
    said_so = []
    for _ in range(4):
        said_so += said(world.bench.failed(world.bench.commit(30.0), "disk full"), SealReply)

    assert said_so == [SealReply(packs=[], problem="disk full")]


def test_nobody_has_another_user_s_run_sealed(benches: Callable[..., Bench]) -> None:
    """It would be published where the asker says."""
    world = World(benches(system=True))
    world.standings = [standing()]

    effects = world.answer(world.bench.ask(RUN, peer=FOREIGN, site="/tmp/mine"))

    assert said(effects, Refused)
    assert not of_type(effects, Seal)


def test_a_run_that_is_being_sealed_may_be_looked_at(world: World) -> None:
    """Others' requests do not wait for it, nor does the look disturb it."""
    world.see(standing(), standing(run=OTHER, n_open=1))
    (seal,) = of_type(world.later(2), Seal)
    world.standings = [standing(run=OTHER, n_open=1)]

    effects = world.answer(world.bench.ask(OTHER, b"y"))

    assert of_type(effects, Seal) == [Seal(OTHER, SITE, final=False)]
    assert said(world.published(seal), SealReply) == []


def test_requests_of_two_at_once_are_both_served(world: World) -> None:
    """Each as far as it has come."""
    world.bench.hello()
    world.standings = [standing(n_open=1), standing(run=OTHER, n_open=1)]
    first = world.bench.ask(RUN, b"x")
    world.bench.slice(0, 1)
    world.bench.ask(OTHER, b"y")
    effects = world.answer(first)
    assert of_type(effects, ReadJournal)

    effects = world.answer(world.bench.give(JournalHeld(instance(1))))
    assert of_type(effects, Seal) == [Seal(RUN, SITE, final=False)]
    effects = world.later(0)
    assert of_type(effects, ReadJournal)
    effects = world.answer(world.bench.give(JournalHeld(instance(1))))
    assert of_type(effects, Seal) == [Seal(OTHER, SITE, final=False)]


def test_a_request_looks_at_the_asker_s_processes_only(benches: Callable[..., Bench]) -> None:
    """On a shared node others' do not matter to it."""
    world = World(benches(system=True))
    world.bench.hello(1, b"a")
    world.bench.hello(2, b"b", peer=FOREIGN)

    effects = world.answer(world.bench.ask(RUN, peer=FOREIGN))

    assert [look.instance for look in of_type(effects, ReadJournal)] == [instance(2)]


def test_the_status_tells_a_user_only_what_is_his(benches: Callable[..., Bench]) -> None:
    """Root sees everything."""
    world = World(benches(system=True))
    world.bench.hello()
    world.see(standing())
    world.bench.state.instances.problems["/j/1"] = "damaged"

    foreign = world.bench.state.document(FOREIGN.uid)
    everything = world.bench.state.document(0)

    assert (foreign["clients"], foreign["runs"], foreign["problems"]) == ([], [], [])
    assert everything["clients"]
    assert everything["runs"]
    assert everything["problems"] == ["/j/1: damaged"]


# -- merging -----------------------------------------------------------------------------------


def test_a_site_is_merged_after_something_was_published_unasked(
    benches: Callable[..., Bench],
) -> None:
    """Nobody else would."""
    world = World(benches(merge=True))
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)

    assert of_type(world.published(seal), StartMerge) == [StartMerge(SITE)]


def test_who_asked_for_a_seal_merges_itself(benches: Callable[..., Bench]) -> None:
    """Two mergers would wait for each other."""
    world = World(benches(merge=True))
    world.standings = [standing()]
    (seal,) = of_type(world.answer(world.bench.ask(RUN)), Seal)

    assert not of_type(world.published(seal), StartMerge)


def test_one_merge_a_site_at_a_time(benches: Callable[..., Bench]) -> None:
    """What was published meanwhile is merged by one more after it."""
    world = World(benches(merge=True))
    world.see(standing(), standing(run=OTHER))
    first, second = of_type(world.later(2), Seal)
    world.standings = []

    merges = of_type(world.published(first) + world.published(second), StartMerge)
    assert merges == [StartMerge(SITE)]
    assert of_type(world.bench.give(MergeEnded(SITE, 0)), StartMerge) == [StartMerge(SITE)]
    assert not of_type(world.bench.give(MergeEnded(SITE, 1)), StartMerge)
    assert world.bench.state.figures.counts.merges_failed == 1


def test_a_merge_that_had_to_leave_something_out_has_not_failed(
    benches: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody's foreign file is in quarantine; it may not be taken for a site that is away."""
    world = World(benches(merge=True))
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)
    assert of_type(world.published(seal), StartMerge)

    world.bench.give(MergeEnded(SITE, IncompleteError.exit_code))

    assert world.bench.state.figures.counts.merges_failed == 0
    assert "quarantine" in caplog.text
    assert "cmfd merge" not in caplog.text


# -- the daemon's own end ----------------------------------------------------------------------


def test_the_service_manager_is_told_when_the_daemon_is_ready(bench: Bench) -> None:
    """And when it begins to end."""
    assert of_type(bench.give(Started(())), Announce) == [Announce("READY=1")]
    assert of_type(bench.give(StopAsked("SIGTERM")), Announce) == [Announce("STOPPING=1")]


def test_a_daemon_told_to_end_commits_and_seals_everything(world: World) -> None:
    """Ended runs for good, running ones as a checkpoint."""
    world.bench.hello()
    world.bench.slice(0, 1)
    world.standings = [standing(), standing(run=OTHER, n_open=1)]
    effects = world.answer(world.bench.give(StopAsked("SIGTERM")))
    assert not of_type(effects, Exit)

    effects = world.later(0)
    assert of_type(effects, Commit)[0].slices
    ended, running = of_type(effects, Seal)
    assert (ended.final, running.final) == (True, False)
    world.standings = []
    assert not of_type(world.published(ended), Exit)
    effects = world.published(running) + world.later(0)
    assert of_type(effects, Exit) == [Exit("stopped")]


def test_a_daemon_with_nothing_to_do_ends_at_once_when_told(world: World) -> None:
    """Nothing is waited for."""
    effects = world.answer(world.bench.give(StopAsked("SIGINT")))

    assert of_type(effects, Exit)


def test_a_daemon_told_to_end_takes_nothing_in(world: World) -> None:
    """It will not be there to acknowledge it; and a flush must not say that it was stored."""
    world.bench.hello()
    world.standings = [standing()]
    world.answer(world.bench.give(StopAsked("SIGTERM")))

    assert world.bench.slice(0, 1) == []
    assert world.bench.flush(1) == []
    assert world.bench.hello(2, b"b") == []
    assert world.bench.give(StopAsked("SIGTERM")) == []


def test_a_daemon_told_to_end_does_so_even_if_a_site_hangs(world: World) -> None:
    """What is not published is sealed by the next daemon; who asked is told."""
    world.standings = [standing()]
    (seal,) = of_type(world.answer(world.bench.ask(RUN)), Seal)
    world.bench.give(StopAsked("SIGTERM"))
    assert seal.run == RUN

    effects = world.later(STOP_PATIENCE_NS // SECOND_NS)

    assert of_type(effects, Exit)
    (reply,) = said(effects, SealReply)
    assert "ended" in reply.problem


def test_an_idle_daemon_ends(benches: Callable[..., Bench]) -> None:
    """A user's node is left as it was found."""
    world = World(benches(idle_ns=60 * SECOND_NS))
    world.answer(world.bench.give(Started(())))

    assert not of_type(world.later(59), Exit)
    assert of_type(world.later(1), Exit) == [Exit("idle")]


def test_a_daemon_without_idle_time_stays(world: World) -> None:
    """As a service does."""
    world.answer(world.bench.give(Started(())))

    assert not of_type(world.later(1e6), Exit)


@pytest.mark.parametrize("what", ["client", "run"])
def test_a_daemon_with_something_to_do_is_not_idle(
    benches: Callable[..., Bench], what: str
) -> None:
    """A client that says nothing for long is still a client."""
    world = World(benches(idle_ns=SECOND_NS, grace_ns=100 * SECOND_NS))
    if what == "client":
        world.bench.hello()
    else:
        world.see(standing())

    assert not of_type(world.later(50), Exit)


def test_asking_for_the_status_keeps_no_daemon_alive(benches: Callable[..., Bench]) -> None:
    """Somebody may ask every second, to see it end."""
    world = World(benches(idle_ns=10 * SECOND_NS))
    world.later(6)
    world.bench.receive(StatusRequest())

    assert of_type(world.later(6), Exit)


def test_a_request_keeps_a_daemon_alive(benches: Callable[..., Bench]) -> None:
    """Whoever asks has more to say, perhaps."""
    world = World(benches(idle_ns=10 * SECOND_NS))
    world.later(6)
    world.answer(world.bench.ask(RUN))

    assert not of_type(world.later(6), Exit)


def test_a_daemon_stays_an_hour_for_a_site_that_is_away(benches: Callable[..., Bench]) -> None:
    """The next one goes on trying; all of it is in the node store."""
    world = World(benches(idle_ns=60 * SECOND_NS))
    world.see(standing())
    (seal,) = of_type(world.later(2), Seal)
    world.not_published(seal)
    for _ in range(58):
        effects = world.later(60)
        assert not of_type(effects, Exit)
        for again in of_type(effects, Seal):
            world.not_published(again)
    assert world.bench.state.runs.table[RUN].phase is RunPhase.STUCK

    (seal,) = of_type(world.later(3600), Seal)
    assert of_type(world.not_published(seal), Exit)


def test_old_runs_are_dropped_now_and_then(bench: Bench) -> None:
    """Soon after the start, and every hour."""
    assert of_type(bench.tick(5), Purge)
    assert not of_type(bench.tick(3599), Purge)
    assert of_type(bench.tick(1), Purge)


def test_settings_read_again_hold_from_then_on(world: World) -> None:
    """A SIGHUP, and the grace is shorter."""
    world.bench.give(Reloaded(Options(own_uid=OWN_UID, host="node1", grace_ns=0)))

    assert of_type(world.see(standing()) + world.later(0), Seal)
