"""Clients of a daemon: who is welcome, what is acknowledged when, and how much may be sent."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from support.bench import (
    OWN_UID,
    PEER,
    POINT_BYTES,
    SMALL,
    Bench,
    acked,
    instance,
    of_type,
    said,
)

from cmfd.daemon.effects import Commit, Introduce, Send, Watch
from cmfd.daemon.options import Limits
from cmfd.daemon.stimuli import Introduced, Malformed, Unwatchable, Vanished
from cmfd.wire.endpoint import Peer
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    Flush,
    Flushed,
    Hello,
    Refused,
    Slice,
    Unknown,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN = Peer(OWN_UID + 1, 1, 4343)
ROOT = Peer(0, 0, 1)


# -- who is welcome ----------------------------------------------------------------------------


def test_a_welcome_says_what_is_held_and_what_may_be_sent(bench: Bench) -> None:
    """After a restart of either side, the client goes on from there."""
    (welcome,) = said(bench.hello(committed=[(1, 0, 7)]), Welcome)

    assert welcome.committed == [(1, 0, 7)]
    assert welcome.epoch == bench.state.epoch
    assert 0 < welcome.credit_bytes <= SMALL.first_window_bytes


def test_the_process_behind_a_client_is_watched(bench: Bench) -> None:
    """Its death is noticed at once, and its pid is the kernel's word."""
    assert of_type(bench.hello(), Watch) == [Watch(instance(1), PEER.pid)]


def test_a_client_of_another_protocol_is_refused(bench: Bench) -> None:
    """What it says could be misread."""
    hello = Hello(protocol=PROTOCOL_VERSION + 1, instance=instance(1), journal="/j")

    (refused,) = said(bench.receive(hello), Refused)

    assert "same release" in refused.reason


@pytest.mark.parametrize("peer", [PEER, ROOT])
def test_the_own_user_and_root_are_welcome(bench: Bench, peer: Peer) -> None:
    """A system service of the node may log to a user's daemon."""
    assert said(bench.hello(peer=peer), Welcome)


def test_another_user_is_refused_by_a_user_s_daemon(bench: Bench) -> None:
    """Users cannot write into each other's runs."""
    effects = bench.hello(peer=FOREIGN)

    assert said(effects, Refused)
    assert not of_type(effects, Introduce)
    assert bench.state.figures.counts.refused == 1


def test_every_user_is_welcome_to_the_node_s_daemon(benches: Callable[..., Bench]) -> None:
    """In system mode the daemon is everybody's."""
    bench = benches(system=True)

    assert said(bench.hello(1, b"a"), Welcome)
    assert said(bench.hello(2, b"b", peer=FOREIGN), Welcome)


def test_nobody_speaks_for_another_user_s_instance(benches: Callable[..., Bench]) -> None:
    """Knowing an instance's id gives no right to it."""
    bench = benches(system=True)
    bench.hello(1, b"a")

    assert said(bench.hello(1, b"b", peer=FOREIGN), Refused)
    assert said(bench.hello(2, b"b", peer=FOREIGN, owner=OWN_UID), Refused)


def test_a_slice_on_a_connection_of_another_user_is_not_taken(
    benches: Callable[..., Bench],
) -> None:
    """A connection's name is the client's choice; whose it is, is the kernel's word."""
    bench = benches(system=True)
    bench.hello(1, b"a")

    assert said(bench.slice(0, 1, b"a", peer=FOREIGN), Unknown)
    assert bench.state.intake.queued_bytes == 0


def test_a_client_whose_journal_is_not_its_own_is_refused(bench: Bench) -> None:
    """A path in a message is never trusted."""
    found = Introduced(b"a", PEER, instance(1), "", [], None, "/etc/passwd is no journal")

    (refused,) = said(bench.give(found), Refused)

    assert refused.reason == "/etc/passwd is no journal"


def test_an_instance_id_of_another_length_is_refused(bench: Bench) -> None:
    """It could not be stored."""
    hello = Hello(protocol=PROTOCOL_VERSION, instance=b"short", journal="/j")

    assert said(bench.receive(hello), Refused)


@pytest.mark.parametrize("say", ["slice", "flush"])
def test_who_has_not_said_hello_is_told_so(bench: Bench, say: str) -> None:
    """After a restart the daemon knows nobody; the clients introduce themselves again."""
    effects = bench.slice(0, 4) if say == "slice" else bench.flush(1)

    assert said(effects, Unknown)
    assert bench.state.figures.counts.unknown == 1


# -- acknowledgements --------------------------------------------------------------------------


def test_nothing_is_acknowledged_before_it_is_committed(bench: Bench) -> None:
    """The client may drop what is acknowledged."""
    bench.hello()

    effects = bench.slice(0, 4) + bench.tick(1.0)

    assert not said(effects, Ack)
    (commit,) = of_type(effects, Commit)
    assert not said(bench.failed(commit), Ack)


def test_exactly_what_was_committed_is_acknowledged(bench: Bench) -> None:
    """What came in while the commit was under way waits for the next one."""
    bench.hello()
    bench.slice(0, 4)
    bench.slice(4, 6)
    bench.slice(2, 3, block=7)
    commit = bench.commit()
    bench.slice(6, 9)

    assert acked(bench.committed(commit)) == [(1, 0, 6), (7, 2, 3)]
    assert acked(bench.store()) == [(1, 6, 9)]


def test_clients_of_one_commit_get_one_acknowledgement_each(bench: Bench) -> None:
    """Acknowledgements are batched; a message costs more than a range."""
    bench.hello(1, b"a")
    bench.hello(2, b"b")
    for first in range(4):
        bench.slice(first, first + 1, b"a")
        bench.slice(first, first + 1, b"b")

    effects = bench.store()

    assert len(said(effects, Ack)) == 2
    assert acked(effects, b"a") == acked(effects, b"b") == [(1, 0, 4)]


def test_what_is_sent_again_is_acknowledged_again(bench: Bench) -> None:
    """An acknowledgement may have been lost; the store takes a range once."""
    bench.hello()
    bench.slice(0, 4)
    bench.store()
    bench.slice(0, 4)

    assert acked(bench.store()) == [(1, 0, 4)]


def test_a_session_that_was_replaced_gets_no_acknowledgement(bench: Bench) -> None:
    """Its Welcome did not know of them, so the client sends again and would count twice."""
    bench.hello(1, b"a")
    bench.slice(0, 4, b"a")
    bench.hello(1, b"b")

    assert not acked(bench.store())
    assert bench.state.intake.queued_bytes == 0


def test_who_says_hello_again_on_its_connection_begins_anew(bench: Bench) -> None:
    """What it had sent before is stored, and nothing of it counts against its new credit."""
    bench.hello()
    bench.slice(0, 4)
    bench.hello()
    bench.slice(4, 6)

    effects = bench.store()

    assert acked(effects) == [(1, 4, 6)]
    assert bench.state.intake.queued_bytes == 0


def test_the_store_gets_one_slice_for_what_follows_each_other(bench: Bench) -> None:
    """Its work is mostly by the slice; other blocks in between do not matter."""
    bench.hello()
    for first in range(3):
        bench.slice(first, first + 1)
        bench.slice(first, first + 1, block=2)

    commit = bench.commit()

    assert [(item.block, item.first, item.end) for item in commit.slices] == [(1, 0, 3), (2, 0, 3)]
    assert [len(item.payload) for item in commit.slices] == [3 * POINT_BYTES] * 2


@pytest.mark.parametrize(
    "ranges", [[(0, 2), (3, 4)], [(2, 4), (0, 2)], [(0, 2), (1, 3)], [(0, 2), (0, 2)]]
)
def test_what_does_not_follow_stays_apart(bench: Bench, ranges: list[tuple[int, int]]) -> None:
    """Holes, repetitions and what is out of order."""
    bench.hello()
    for first, end in ranges:
        bench.slice(first, end)

    commit = bench.commit()

    assert [(item.first, item.end) for item in commit.slices] == ranges
    assert acked(bench.committed(commit)) == [(1, first, end) for first, end in ranges]


def test_what_has_another_shape_stays_apart(bench: Bench) -> None:
    """A block that changes its kind is a client's mistake, and not to be made worse."""
    bench.hello()
    bench.slice(0, 2)
    payload = bytes(80)
    rows = Slice(
        block=1, kind=3, record_bytes=40, group=1, first=2, end=4, crc32=zlib.crc32(payload)
    )
    bench.receive(rows, payload=payload)

    assert [item.record_bytes for item in bench.commit().slices] == [POINT_BYTES, 40]


def test_what_the_store_cannot_take_is_not_acknowledged(bench: Bench) -> None:
    """Its sender is cut off and its journal kept; all others go on."""
    bench.hello(1, b"a")
    bench.hello(2, b"b")
    bench.slice(0, 4, b"a")
    bench.slice(0, 4, b"b")
    commit = bench.commit()

    effects = bench.committed(commit, [(commit.slices[0], "bad")])

    assert acked(effects) == [(1, 0, 4)]
    assert acked(effects, b"b") == [(1, 0, 4)]
    assert said(effects, Refused, b"a")
    assert bench.state.figures.counts.slices_unusable == 1


# -- group commits -----------------------------------------------------------------------------


def test_a_commit_gathers_what_comes_within_the_interval(bench: Bench) -> None:
    """One sync of the disk serves everybody."""
    bench.hello(1, b"a")
    bench.hello(2, b"b")
    bench.slice(0, 1, b"a")
    assert not of_type(bench.tick(0.05), Commit)
    bench.slice(0, 1, b"b")

    (commit,) = of_type(bench.tick(0.05), Commit)

    assert [item.instance for item in commit.slices] == [instance(1), instance(2)]
    assert {item.uid for item in commit.slices} == {OWN_UID}
    assert {item.host for item in commit.slices} == {"node1"}


def test_a_commit_does_not_wait_when_enough_is_pending(benches: Callable[..., Bench]) -> None:
    """Memory is bounded, and so is the time that a commit takes."""
    limits = Limits(1 << 20, 1 << 20, 512, 1 << 20, 1 << 20, batch_bytes=10 * POINT_BYTES)
    bench = benches(limits=limits)
    bench.hello()

    bench.slice(0, 10)

    assert of_type(bench.tick(), Commit)


def test_a_commit_does_not_wait_when_a_client_would_soon_have_to(bench: Bench) -> None:
    """Half its credit is used: the acknowledgement should come before it is all used."""
    (welcome,) = said(bench.hello(), Welcome)

    bench.slice(0, welcome.credit_bytes // POINT_BYTES // 2)

    assert of_type(bench.tick(), Commit)


def test_a_flush_is_answered_after_the_commit_it_asks_for(bench: Bench) -> None:
    """An exiting process waits for it, so it does not wait for the interval."""
    bench.hello()
    bench.slice(0, 1)
    assert not said(bench.flush(5), Flushed)

    effects = bench.store(after_s=0)

    sent = [type(send.message) for send in of_type(effects, Send)]
    assert sent.index(Ack) < sent.index(Flushed)
    assert said(effects, Flushed) == [Flushed(token=5)]


def test_a_flush_with_nothing_pending_is_answered_at_once(bench: Bench) -> None:
    """Everything sent before it is on disk already."""
    bench.hello()

    assert said(bench.flush(1), Flushed)


def test_a_flush_waits_for_a_commit_under_way(bench: Bench) -> None:
    """What is being written is not on disk."""
    bench.hello()
    bench.slice(0, 1)
    commit = bench.commit()

    assert not said(bench.flush(1), Flushed)
    assert said(bench.committed(commit), Flushed)


# -- when the store cannot write ---------------------------------------------------------------


def test_a_failed_commit_is_tried_again_ever_more_rarely(bench: Bench) -> None:
    """A full disk is no reason to lose anything, nor to spin."""
    bench.hello()
    bench.slice(0, 1)
    commit = bench.commit()
    waits_ns = []
    for _ in range(10):
        bench.failed(commit)
        failed_ns = bench.now_ns
        assert bench.until(Commit) == commit
        waits_ns.append(bench.now_ns - failed_ns)

    assert waits_ns == sorted(waits_ns)
    assert 0 < waits_ns[0] < waits_ns[-1] == 30_000_000_000
    assert acked(bench.committed(commit)) == [(1, 0, 1)]


def test_the_status_says_why_nothing_can_be_written(bench: Bench) -> None:
    """Until it can be again."""
    bench.hello()
    bench.slice(0, 1)
    commit = bench.commit()
    bench.failed(commit, "no space left on device")
    assert bench.state.document(OWN_UID)["problems"] == ["no space left on device"]

    bench.committed(commit)

    assert bench.state.document(OWN_UID)["problems"] == []


def test_nobody_new_may_send_while_nothing_can_be_written(bench: Bench) -> None:
    """Memory must not fill up; they are told when they may."""
    bench.hello(1, b"a")
    bench.slice(0, 1, b"a")
    commit = bench.commit()
    bench.failed(commit)

    (welcome,) = said(bench.hello(2, b"b"), Welcome)
    assert welcome.credit_bytes == 0
    effects = bench.committed(commit)

    (ack,) = said(effects, Ack, b"b")
    assert ack.committed == []
    assert ack.credit_bytes >= SMALL.least_window_bytes


# -- credit ------------------------------------------------------------------------------------


def test_who_sends_more_than_it_may_is_cut_off(bench: Bench) -> None:
    """Counted, refused, and nothing of the overrun is kept in memory."""
    (welcome,) = said(bench.hello(), Welcome)
    n_units = welcome.credit_bytes // POINT_BYTES
    bench.slice(0, n_units)

    effects = bench.slice(n_units, n_units + 1)

    assert said(effects, Refused)
    assert bench.state.figures.counts.overruns == 1
    assert bench.state.intake.queued_bytes == n_units * POINT_BYTES
    assert said(bench.slice(n_units, n_units + 1), Unknown)


def test_who_was_cut_off_may_begin_anew(bench: Bench) -> None:
    """Nothing is lost: its journal has it."""
    (welcome,) = said(bench.hello(), Welcome)
    bench.slice(0, welcome.credit_bytes // POINT_BYTES + 1)

    assert said(bench.hello(), Welcome)


def test_credit_grows_for_one_client_and_shrinks_for_many(bench: Bench) -> None:
    """One alone may fill the pipe; many share it, so that acknowledgements stay quick."""
    bench.hello(1, b"a")
    bench.slice(0, 1, b"a")
    (alone,) = said(bench.store(), Ack)
    for number in range(2, 10):
        bench.hello(number, bytes([number]))
        bench.slice(0, 1, bytes([number]))
    bench.slice(1, 2, b"a")

    (among_many,) = said(bench.store(0.2), Ack, b"a")

    assert alone.credit_bytes == SMALL.greatest_window_bytes
    assert among_many.credit_bytes == SMALL.least_window_bytes


def test_a_smaller_credit_holds_only_once_the_client_can_know(bench: Bench) -> None:
    """What it sent on the earlier one is no overrun."""
    bench.hello(1, b"a")
    bench.slice(0, 1, b"a")
    (alone,) = said(bench.store(), Ack)
    for number in range(2, 10):
        bench.hello(number, bytes([number]))
        bench.slice(0, 1, bytes([number]))
    bench.slice(1, 2, b"a")
    bench.store(0.2)

    effects = bench.slice(2, 2 + alone.credit_bytes // POINT_BYTES, b"a")

    assert not said(effects, Refused)


def test_all_credit_together_stays_within_the_budget(bench: Bench) -> None:
    """Whoever comes when it is spent waits, first come, first served."""
    granted = [
        said(bench.hello(number, bytes([number])), Welcome)[0].credit_bytes
        for number in range(1, 60)
    ]
    waiting = [number for number, credit in enumerate(granted, 1) if not credit]

    assert sum(granted) <= SMALL.budget_bytes
    assert waiting
    assert waiting == list(range(waiting[0], 60))
    effects = bench.give(Vanished(bytes([1])))
    assert [send.route for send in of_type(effects, Send)][:1] == [bytes([waiting[0]])]


def test_growth_leaves_room_for_newcomers(bench: Bench) -> None:
    """A few busy clients must not shut out all others for good."""
    for number in range(1, 9):
        bench.hello(number, bytes([number]))
        bench.slice(0, 1, bytes([number]))
        bench.store()

    (welcome,) = said(bench.hello(99, b"new"), Welcome)

    assert welcome.credit_bytes >= SMALL.least_window_bytes


def test_what_a_lost_session_left_counts_against_the_budget(bench: Bench) -> None:
    """Coming back again and again makes no more room."""
    commit: Commit | None = None
    for number in range(100):
        effects = bench.hello(1, f"route{number}".encode())
        (welcome,) = said(effects, Welcome)
        if welcome.credit_bytes:
            n_units = welcome.credit_bytes // POINT_BYTES
            bench.slice(0, n_units, f"route{number}".encode())
        commit = commit or bench.commit(0.2)
        bench.failed(commit) if number == 0 else None

    assert bench.state.intake.queued_bytes <= SMALL.budget_bytes


# -- connections that end ----------------------------------------------------------------------


def test_what_came_over_a_lost_connection_is_stored_all_the_same(bench: Bench) -> None:
    """It may have been the last that its process said."""
    bench.hello()
    bench.slice(0, 4)
    bench.give(Vanished(b"a"))

    assert bench.commit().slices[0].end == 4
    assert not bench.state.intake.by_route


def test_a_vanished_stranger_changes_nothing(bench: Bench) -> None:
    """Whoever asked for the status and left, say."""
    bench.give(Vanished(b"nobody"))

    assert bench.state.figures.counts.vanished == 1


def test_a_client_that_sent_something_malformed_begins_anew(bench: Bench) -> None:
    """It may have been a slice, and a later flush must not say that it is on disk."""
    bench.hello()

    assert said(bench.give(Malformed(b"a", PEER, "a CRC is wrong")), Unknown)
    assert said(bench.receive(Flush(token=1)), Unknown)
    assert bench.state.figures.counts.malformed == 1


def test_garbage_from_strangers_is_only_counted(bench: Bench) -> None:
    """Nothing is sent to who knows whom."""
    assert not of_type(bench.give(Malformed(b"zz", None, "no message")), Send)


def test_a_stranger_s_goodbye_changes_nothing(bench: Bench) -> None:
    """It is polite, and unknown."""
    assert bench.bye() == []


def test_values_are_counted_as_they_come(bench: Bench) -> None:
    """A row has several, an event none."""
    bench.hello()
    bench.slice(0, 3)
    payload = bytes(80)
    rows = Slice(
        block=2, kind=3, record_bytes=40, group=1, first=0, end=2, crc32=zlib.crc32(payload)
    )
    bench.receive(rows, payload=payload)
    events = Slice(block=3, kind=1, first=0, end=80, crc32=zlib.crc32(payload))
    bench.receive(events, payload=payload)

    assert bench.state.figures.counts.values_received == 3 + 2 * 2
    assert bench.state.figures.counts.slices_received == 3


def test_an_unwatchable_stranger_changes_nothing(bench: Bench) -> None:
    """It may have ended in between."""
    bench.give(Unwatchable(instance(9)))

    assert not bench.state.instances.table
