"""Nobody starves another: what one user of a node may have of its daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bench import POINT_BYTES, SMALL, acked, instance, of_type, said

from cmfd.daemon.effects import Effect, Introduce, Purge, ReadJournal
from cmfd.daemon.options import SECOND_NS
from cmfd.daemon.stimuli import FoundJournal, JournalHeld, JournalPiece, JournalsFound, StoredSeen
from cmfd.daemon.turns import Turns
from cmfd.wire.endpoint import Peer
from cmfd.wire.messages import Ack, Bye, Refused, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.bench import Bench

    Benches = Callable[..., Bench]

ALICE, BOB = Peer(2001, 2001, 1), Peer(2002, 2002, 2)
SLICE_BYTES = 8 * POINT_BYTES


def credit_bytes(effects: list[Effect], route: bytes) -> int:
    """Return the credit that somebody was told last."""
    told = said(effects, Welcome, route) + said(effects, Ack, route)
    return told[-1].credit_bytes


# -- clients ----------------------------------------------------------------------------------


def test_more_processes_than_a_user_may_have_are_refused_with_a_reason(benches: Benches) -> None:
    """They go on with their journals; others are welcome as ever."""
    bench = benches(system=True, user_clients=2)
    bench.hello(1, b"a", ALICE)
    bench.hello(2, b"b", ALICE)

    effects = bench.hello(3, b"c", ALICE)

    (refused,) = said(effects, Refused, b"c")
    assert "quota_clients" in refused.reason
    assert not of_type(effects, Introduce), "nothing is looked up for him"
    assert said(bench.hello(4, b"d", BOB), Welcome, b"d")


def test_who_says_hello_again_is_not_counted_twice(benches: Benches) -> None:
    """His connection broke."""
    bench = benches(system=True, user_clients=1)
    bench.hello(1, b"a", ALICE)

    assert said(bench.hello(1, b"b", ALICE), Welcome, b"b")


def test_when_one_process_has_ended_the_next_is_welcome(benches: Benches) -> None:
    """It asks again by itself."""
    bench = benches(system=True, user_clients=1)
    bench.hello(1, b"a", ALICE)
    assert said(bench.hello(2, b"b", ALICE), Refused)
    bench.receive(Bye(), b"a", ALICE)

    assert said(bench.hello(2, b"b", ALICE), Welcome)


def test_a_user_s_own_daemon_has_no_quotas(benches: Benches) -> None:
    """All that there is is his."""
    bench = benches(user_clients=1, user_bytes_per_s=1, user_stored_bytes=1)
    bench.hello(1, b"a")
    bench.hello(2, b"b")
    bench.slice(0, 8, b"a")

    assert credit_bytes(bench.store(), b"a")


# -- memory -----------------------------------------------------------------------------------


def test_whoever_comes_finds_credit_however_many_clients_another_has(benches: Benches) -> None:
    """The first takes all he can get."""
    bench = benches(system=True)
    for number in range(1, 200):
        bench.hello(number, b"a%d" % number, ALICE)

    for number, uid in enumerate((2002, 2003, 2004), 1000):
        effects = bench.hello(number, b"b%d" % number, Peer(uid, uid, number))
        assert credit_bytes(effects, b"b%d" % number) >= SMALL.least_window_bytes


def test_active_users_share_what_is_in_flight_and_not_their_processes(benches: Benches) -> None:
    """One with eight ranks gets as much as one with a single one."""
    bench = benches(system=True)
    for number in range(1, 9):
        bench.hello(number, b"a%d" % number, ALICE)
        bench.slice(0, 4, b"a%d" % number, peer=ALICE)
    bench.hello(50, b"b", BOB)
    bench.slice(0, 4, b"b", peer=BOB)

    effects = bench.store(0.2)

    assert credit_bytes(effects, b"b") >= 3 * credit_bytes(effects, b"a1")


# -- bytes per second -------------------------------------------------------------------------


def test_who_sends_more_than_his_rate_waits_and_others_do_not(benches: Benches) -> None:
    """After the burst that everybody has, no credit until the rate has paid for it."""
    bench = benches(system=True, user_bytes_per_s=SLICE_BYTES)
    bench.hello(1, b"a", ALICE)
    bench.hello(2, b"b", BOB)
    for first in (0, 8, 16):
        bench.slice(first, first + 8, b"a", peer=ALICE)
    bench.slice(0, 8, b"b", peer=BOB)

    effects = bench.store(0.0)

    assert acked(effects, b"a") == [(1, 0, 24)], "what was sent is kept"
    assert credit_bytes(effects, b"a") == 0
    assert credit_bytes(effects, b"b") > 0

    assert not said(bench.tick(1.9), Ack)
    assert bench.state.deadline_ns() == bench.now_ns + SECOND_NS // 10, "somebody will wake it"
    assert credit_bytes(bench.tick(0.1), b"a") >= SMALL.least_window_bytes


def test_journals_of_users_are_read_in_turns(benches: Benches) -> None:
    """A thousand dead ranks of one do not keep another waiting."""
    bench = benches(system=True)
    alice = tuple(FoundJournal(instance(n), ALICE.uid, f"/j/{n}") for n in range(1, 6))
    bob = (FoundJournal(instance(9), BOB.uid, "/j/9"),)

    effects = bench.give(JournalsFound(alice + bob))
    order = []
    while looks := of_type(effects, ReadJournal):
        order.append(looks[0].uid)
        effects = bench.give(JournalHeld(looks[0].instance))

    assert order == [2001, 2002, 2001, 2001, 2001, 2001]


def test_a_journal_of_who_is_over_his_rate_waits(benches: Benches) -> None:
    """Another's is read meanwhile; his, when it is paid for."""
    bench = benches(system=True, user_bytes_per_s=SLICE_BYTES)
    bench.hello(1, b"a", ALICE)
    for first in (0, 8, 16):
        bench.slice(first, first + 8, b"a", peer=ALICE)
    bench.store(0.0)
    found = (FoundJournal(instance(5), ALICE.uid, "/j/5"), FoundJournal(instance(6), 2002, "/j/6"))

    (look,) = of_type(bench.give(JournalsFound(found)), ReadJournal)
    assert look.uid == BOB.uid
    assert not of_type(bench.give(JournalHeld(look.instance)), ReadJournal)
    began_ns = bench.now_ns
    while (look := bench.until(ReadJournal)).uid != ALICE.uid:
        bench.give(JournalHeld(look.instance))
    assert bench.now_ns - began_ns >= 2 * SECOND_NS


# -- bytes stored -----------------------------------------------------------------------------


def full_bench(benches: Benches) -> tuple[Bench, list[Effect]]:
    """Return a bench where one user has had all he may, and what he was told."""
    bench = benches(system=True, user_stored_bytes=2 * SLICE_BYTES)
    bench.hello(1, b"a", ALICE)
    bench.hello(2, b"b", BOB)
    bench.slice(0, 16, b"a", peer=ALICE)
    bench.slice(0, 8, b"b", peer=BOB)
    return bench, bench.store(0.0)


def test_who_has_all_he_may_have_here_is_refused_with_a_reason(benches: Benches) -> None:
    """What he sent is kept, and others go on."""
    bench, effects = full_bench(benches)

    assert acked(effects, b"a") == [(1, 0, 16)]
    (refused,) = said(effects, Refused, b"a")
    assert "quota_stored_bytes" in refused.reason
    assert "journal keeps" in refused.reason
    assert credit_bytes(effects, b"b") > 0
    assert said(bench.hello(1, b"a", ALICE), Refused)


def test_what_is_published_of_who_has_no_room_goes_at_once(benches: Benches) -> None:
    """Then he is welcome again."""
    bench, _ = full_bench(benches)

    assert bench.until(Purge) == Purge((ALICE.uid,))
    bench.give(StoredSeen({BOB.uid: SLICE_BYTES}))
    assert said(bench.hello(1, b"a", ALICE), Welcome)


def test_journals_of_who_has_no_room_stay_where_they_are(benches: Benches) -> None:
    """They are taken when there is room again."""
    bench, _ = full_bench(benches)
    found = (FoundJournal(instance(5), ALICE.uid, "/j/5"),)

    assert not of_type(bench.give(JournalsFound(found)), ReadJournal)
    effects = bench.give(StoredSeen({}))
    while ReadJournal(instance(5), "/j/5", ALICE.uid) not in effects:  # another is looked at first
        (look,) = of_type(effects, ReadJournal)
        effects = bench.give(JournalHeld(look.instance))


def test_what_is_read_of_journals_counts_as_well(benches: Benches) -> None:
    """Else one would let his ranks be killed."""
    bench = benches(system=True, user_stored_bytes=SLICE_BYTES)
    (look,) = of_type(
        bench.give(JournalsFound((FoundJournal(instance(5), ALICE.uid, "/j/5"),))), ReadJournal
    )
    bench.hello(1, b"a", ALICE)
    bench.slice(0, 8, b"a", peer=ALICE)
    bench.give(JournalPiece(look.instance, (), last=True))
    bench.store(0.0)

    assert bench.state.intake.quotas.is_full(ALICE.uid)


# -- the queue --------------------------------------------------------------------------------


def test_turns_are_fair_and_in_order() -> None:
    """Each user's own in the order in which they came."""
    turns = Turns()
    for uid, name in ((1, b"a"), (1, b"b"), (2, b"x"), (1, b"c")):
        turns.add(uid, name)

    assert [turns.take(lambda uid: uid != 2) for _ in range(1)] == [b"a"]
    assert [turns.take(lambda _: True) for _ in range(4)] == [b"x", b"b", b"c", None]
    assert 1 not in turns
    assert list(turns) == []


@pytest.mark.parametrize("rate", [0, 1])
def test_no_rate_is_no_limit(benches: Benches, rate: int) -> None:
    """0 means any number."""
    bench = benches(system=True, user_bytes_per_s=rate)
    bench.hello(1, b"a", ALICE)
    bench.slice(0, 16, b"a", peer=ALICE)

    assert bool(credit_bytes(bench.store(0.0), b"a")) == (rate == 0)
