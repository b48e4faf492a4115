"""Processes that live, say goodbye, or die; and what becomes of their journals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.bench import PEER, Bench, instance, of_type, said

from cmfd.daemon import instances
from cmfd.daemon.effects import Commit, Ended, FindJournals, LeaveJournal, ReadJournal, Unwatch
from cmfd.daemon.stimuli import (
    Committed,
    FoundJournal,
    JournalGone,
    JournalHeld,
    JournalPiece,
    JournalsFound,
    JournalUnreadable,
    ProcessExited,
    Started,
    StopAsked,
    Tick,
    Unwatchable,
)
from cmfd.daemon.transitions import Phase
from cmfd.store.node import JournalSlice
from cmfd.wire.messages import Refused, Unknown, Welcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from cmfd.daemon.effects import Effect

EXIT_NS = 1_790_000_000_000_000_000


def units(first: int, end: int, number: int = 1) -> JournalSlice:
    """Return a slice as it is read from a journal."""
    return JournalSlice(
        instance(number), PEER.uid, f"/j/{number}", "node1", 1, 2, 32, 0, first, end,
        bytes(32 * (end - first)),
    )  # fmt: skip


def looks(effects: Sequence[Effect]) -> list[bytes]:
    """Return whose journals are to be looked at."""
    return [effect.instance for effect in of_type(effects, ReadJournal)]


def test_a_goodbye_is_followed_by_a_look_at_the_journal(bench: Bench) -> None:
    """Only the file tells whether everything in it was sent."""
    bench.hello()

    assert looks(bench.bye()) == [instance(1)]


def test_who_removed_its_journal_has_ended(bench: Bench) -> None:
    """It did so after the last acknowledgement."""
    bench.hello()
    bench.bye()
    bench.give(JournalGone(instance(1)))

    commit = bench.commit()

    assert commit.ended == (Ended(instance(1), 0),)
    effects = bench.committed(commit)
    assert of_type(effects, Unwatch)
    assert not of_type(effects, LeaveJournal)
    assert not bench.state.instances.table


def test_who_says_goodbye_and_lingers_is_looked_at_again(bench: Bench) -> None:
    """First soon, for it is about to remove its journal; then ever more rarely."""
    bench.hello()
    bench.bye()
    waits_ns = []
    for _ in range(12):
        bench.give(JournalHeld(instance(1)))
        held_ns = bench.now_ns
        assert bench.until(ReadJournal).instance == instance(1)
        waits_ns.append(bench.now_ns - held_ns)

    assert waits_ns[0] == instances.FIRST_LOOK_NS
    assert waits_ns == sorted(waits_ns)
    assert waits_ns[-1] == instances.LONGEST_LOOK_NS


def test_a_process_that_exits_has_its_journal_taken_over(bench: Bench) -> None:
    """Killed in the middle of a loop: what it had not sent is in the file."""
    bench.hello()

    effects = bench.give(ProcessExited(instance(1), EXIT_NS))

    (look,) = of_type(effects, ReadJournal)
    assert (look.journal, look.uid) == ("/j/1", PEER.uid)


def test_a_journal_is_read_no_further_ahead_than_it_is_stored(bench: Bench) -> None:
    """A journal of a gigabyte must not be in memory at once."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    effects = bench.give(JournalPiece(instance(1), (units(0, 4),), last=False))
    assert not looks(effects)

    commit = bench.commit()
    assert commit.slices == (units(0, 4),)
    assert commit.ended == ()
    assert looks(bench.committed(commit)) == [instance(1)]
    assert not looks(bench.give(JournalPiece(instance(1), (units(4, 6),), last=True)))
    assert bench.state.figures.counts.journals_adopted == 1


def test_a_dead_process_ends_in_the_commit_of_its_last_piece(bench: Bench) -> None:
    """So its journal can be removed after it, and not before."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    effects = bench.give(JournalPiece(instance(1), (units(0, 4),), last=True))
    assert not of_type(effects, LeaveJournal)

    commit = bench.commit()
    assert commit.slices == (units(0, 4),)
    assert commit.ended == (Ended(instance(1), EXIT_NS),)
    assert of_type(bench.committed(commit), LeaveJournal) == [
        LeaveJournal(instance(1), remove=True)
    ]


def test_a_journal_stays_until_its_commit_succeeds(bench: Bench) -> None:
    """A full disk delays taking it over, and loses nothing."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    bench.give(JournalPiece(instance(1), (units(0, 4),), last=True))
    commit = bench.commit()

    assert not of_type(bench.failed(commit), LeaveJournal)
    assert bench.until(Commit) == commit
    assert of_type(bench.committed(commit), LeaveJournal)


def test_of_a_process_found_dead_the_last_write_is_the_end(bench: Bench) -> None:
    """It may have died days ago, with the daemon and the job."""
    bench.give(Started((FoundJournal(instance(1), PEER.uid, "/j/1"),)))
    bench.give(JournalPiece(instance(1), (), last=True, touched_ns=EXIT_NS))

    assert bench.commit().ended == (Ended(instance(1), EXIT_NS),)


def test_journals_found_at_the_start_are_looked_at_one_by_one(bench: Bench) -> None:
    """Several small ones share a commit."""
    found = tuple(FoundJournal(instance(n), PEER.uid, f"/j/{n}") for n in (1, 2, 3))

    assert looks(bench.give(Started(found))) == [instance(1)]
    assert looks(bench.give(JournalPiece(instance(1), (units(0, 1),), last=True))) == [instance(2)]
    assert looks(bench.give(JournalGone(instance(2)))) == [instance(3)]
    bench.give(JournalPiece(instance(3), (units(0, 1, 3),), last=True))
    commit = bench.commit()
    assert [ended.instance for ended in commit.ended] == [instance(n) for n in (1, 2, 3)]


def test_journals_are_not_read_far_ahead_of_the_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are."""
    monkeypatch.setattr(instances, "PIECES_BYTES", 1)
    found = tuple(FoundJournal(instance(n), PEER.uid, f"/j/{n}") for n in (1, 2))
    bench.give(Started(found))

    effects = bench.give(JournalPiece(instance(1), (units(0, 1),), last=True))

    assert not looks(effects)
    assert looks(bench.store()) == [instance(2)]


def test_a_living_process_of_an_earlier_daemon_is_awaited(bench: Bench) -> None:
    """It will say hello by itself; until then its lock is looked at, as nobody tells of its end."""
    bench.give(Started((FoundJournal(instance(1), PEER.uid, "/j/1"),)))
    bench.give(JournalHeld(instance(1)))
    assert bench.until(ReadJournal).instance == instance(1)
    bench.give(JournalHeld(instance(1)))

    assert said(bench.hello(), Welcome)
    assert bench.state.instances.deadline_ns() is None


def test_where_the_kernel_cannot_tell_the_lock_is_looked_at(bench: Bench) -> None:
    """A client in a container of its own process namespace, say."""
    bench.hello()
    bench.give(Unwatchable(instance(1)))

    assert bench.until(ReadJournal).instance == instance(1)
    bench.give(JournalHeld(instance(1)))
    assert bench.until(ReadJournal).instance == instance(1)


def test_a_hello_while_its_journal_is_looked_at_is_welcome(bench: Bench) -> None:
    """The look will find the lock held."""
    bench.give(Started((FoundJournal(instance(1), PEER.uid, "/j/1"),)))

    assert said(bench.hello(), Welcome)
    bench.give(JournalHeld(instance(1)))
    assert bench.state.instances.table[instance(1)].phase is Phase.LIVE


def test_a_hello_for_a_journal_that_was_taken_over_is_refused(bench: Bench) -> None:
    """Nobody held its lock, so it cannot be that process."""
    bench.give(Started((FoundJournal(instance(1), PEER.uid, "/j/1"),)))
    bench.give(JournalPiece(instance(1), (units(0, 1),), last=False))

    (refused,) = said(bench.hello(), Refused)
    assert "lock" in refused.reason


def test_what_a_dead_process_still_had_under_way_is_not_needed(bench: Bench) -> None:
    """Its journal has it as well."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    bench.give(JournalPiece(instance(1), (units(0, 1),), last=False))

    assert said(bench.slice(0, 1), Unknown)


def test_a_journal_that_cannot_be_read_stays_and_its_process_ends(bench: Bench) -> None:
    """Its run must not stay open for ever, and a person may look at the file."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    bench.give(JournalUnreadable(instance(1), "the header is damaged"))

    effects = bench.store()

    assert not of_type(effects, LeaveJournal)
    assert bench.state.document(PEER.uid)["problems"] == ["/j/1: the header is damaged"]
    assert bench.state.figures.counts.journals_unreadable == 1


def test_a_journal_with_damaged_units_stays(bench: Bench) -> None:
    """What is whole in it is stored."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    piece = JournalPiece(instance(1), (units(0, 1),), last=True, problem="2 units are damaged")
    bench.give(piece)

    assert of_type(bench.store(), LeaveJournal) == [LeaveJournal(instance(1), remove=False)]


def test_a_journal_of_which_something_could_not_be_stored_stays(bench: Bench) -> None:
    """It is the only place that has it."""
    bench.hello()
    bench.give(ProcessExited(instance(1), EXIT_NS))
    bench.give(JournalPiece(instance(1), (units(0, 1), units(3, 4)), last=True))
    commit = bench.commit()

    effects = bench.committed(commit, [(commit.slices[0], "bad"), (commit.slices[1], "bad")])

    assert of_type(effects, LeaveJournal) == [LeaveJournal(instance(1), remove=False)]
    assert bench.state.figures.counts.journals_unreadable == 1


def test_the_end_of_a_process_that_is_not_known_changes_nothing(bench: Bench) -> None:
    """Its instance had ended before."""
    bench.give(ProcessExited(instance(1), EXIT_NS))

    assert not bench.state.instances.table


def test_a_process_that_died_before_its_hello_is_found(bench: Bench) -> None:
    """Nobody ever told of it; its journal is there."""
    bench.until(FindJournals)

    found = JournalsFound((FoundJournal(instance(1), PEER.uid, "/j/1"),))

    assert looks(bench.give(found)) == [instance(1)]
    assert not looks(bench.give(found))


def test_a_daemon_that_ends_begins_with_no_other_journal(bench: Bench) -> None:
    """The next daemon takes them."""
    found = tuple(FoundJournal(instance(n), PEER.uid, f"/j/{n}") for n in (1, 2))
    bench.give(Started(found))
    bench.give(StopAsked("SIGTERM"))

    assert not looks(bench.give(JournalPiece(instance(1), (units(0, 1),), last=False)))
    assert not looks(bench.store())


class Counted(dict[bytes, instances.Instance]):
    """A table that counts how often somebody goes through all of it."""

    times = 0

    def values(self) -> Any:
        """Count, and return them."""
        self.times += 1
        return super().values()


def test_thousands_of_dead_journals_are_each_looked_at_once(bench: Bench) -> None:
    """After a crash; the time it takes must not grow with the square of their number."""
    found = tuple(FoundJournal(instance(n), PEER.uid, f"/j/{n}") for n in range(1, 201))
    known = bench.state.instances
    known.table = table = Counted()
    looked: list[bytes] = []
    effects = bench.state.handle(Started(found), bench.now_ns)
    for _ in range(2 * len(found)):
        (look,) = looks(effects) or [b""]
        if look:
            looked.append(look)
            effects = bench.state.handle(JournalGone(look), bench.now_ns)
    while known.table:
        effects = bench.state.handle(Tick(), bench.now_ns)
        bench.now_ns += 10**9
        for commit in of_type(effects, Commit):
            bench.state.handle(Committed(commit.number, 1, ()), bench.now_ns)

    assert looked == [item.instance for item in found]
    assert table.times == 0
