"""How much anybody may ask of a server: laws of buckets and slots."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmfd.serve import limits
from cmfd.serve.limits import Buckets, Rate, Slots


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_nobody_gets_more_than_the_burst_and_the_rate(gaps_s: list[float]) -> None:
    """However requests are spread over time; and who waited as long as told gets in."""
    buckets = Buckets(Rate(2.0, 5.0))
    now_s, n_taken = 100.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        wait_s = buckets.take("ana", now_s)
        n_taken += not wait_s
        assert n_taken <= 5 + 2 * (now_s - 100) + 1e-6
        assert not wait_s or not buckets.take("ana", now_s + wait_s + 1e-6, cost=0)


def test_one_who_asks_too_much_is_nobody_elses_matter() -> None:
    """Each has a bucket."""
    buckets = Buckets(Rate(1.0, 1.0))
    assert not buckets.take("ana", 1.0)
    assert buckets.take("ana", 1.0) > 0
    assert not buckets.take("bob", 1.0)


def test_what_is_kept_is_bounded() -> None:
    """However many come from however many addresses."""
    buckets = Buckets(Rate(1.0, 2.0))
    for number in range(limits._MOST_KEYS + 500):
        buckets.take(str(number), number / 1e6)
    assert len(buckets._levels) <= limits._MOST_KEYS


def test_slots_are_given_back() -> None:
    """So many at a time for one, so many for all."""
    slots = Slots(of_one=2, of_all=3)
    with slots.one("a") as first, slots.one("a") as second, slots.one("a") as third:
        assert (first, second, third) == (True, True, False)
        with slots.one("b") as other, slots.one("c") as too_many:
            assert (other, too_many) == (True, False)
    assert slots.n_taken == 0
