"""Laws of a meter: what it says in sum is what the counter moved, or it says what it lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmfd.energy.counters import Delta, Meter, Meters
from cmfd.energy.readings import Flag, Reading

SECOND = 1_000_000_000
RANGE = 262_143_328_850


def reading(value: int, at_s: float, **changes: Any) -> Reading:
    said = {"component": "cpu", "kind": "counter", "range_uj": None, "status": "ok", **changes}
    return Reading(domain="d", value=value, at_boot_ns=int(at_s * SECOND), **said)


def deltas(*readings: Reading, meter: Meter | None = None) -> list[Delta]:
    meter = meter or Meter(1000)
    return [delta for one in readings if (delta := meter.advance(one)) is not None]


def test_the_first_reading_is_where_counting_begins() -> None:
    assert deltas(reading(7_000_000, 1)) == []
    (delta,) = deltas(reading(7_000_000, 1), reading(9_000_000, 3))
    assert (delta.uj, delta.covered_ns, delta.flags) == (2_000_000, 2 * SECOND, Flag(0))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=40),
    st.integers(0, RANGE - 1),
)
def test_a_counter_that_wraps_loses_nothing(steps: list[tuple[int, float]], start: int) -> None:
    """However often it goes round, as long as it is read in time."""
    meter, at_s, counted = Meter(1000), 0, start
    meter.advance(reading(start, 0, range_uj=RANGE))
    total = 0
    for wait_s, load in steps:
        at_s += wait_s
        counted += int(1000 * load * wait_s * 1_000_000)
        (delta,) = deltas(reading(counted % RANGE, at_s, range_uj=RANGE), meter=meter)
        total += delta.uj
        assert not delta.flags & (Flag.WRAP_AMBIGUOUS | Flag.RESET)
    assert total == counted - start


def test_a_gap_longer_than_a_full_turn_says_that_it_may_have_been_more() -> None:
    (delta,) = deltas(reading(5, 0, range_uj=RANGE), reading(9, 300, range_uj=RANGE))
    assert (delta.uj, delta.flags) == (4, Flag.WRAP_AMBIGUOUS)


@pytest.mark.parametrize("range_uj", [None, RANGE])
def test_a_counter_that_began_anew_is_not_counted(range_uj: int | None) -> None:
    """A wrap of this size would need more power than there is."""
    before, after = 90_000_000_000, 1_000
    lost, then = deltas(
        reading(before, 0, range_uj=range_uj),
        reading(after, 5, range_uj=range_uj),
        reading(after + 70, 10, range_uj=range_uj),
    )
    assert (lost.uj, lost.covered_ns, lost.flags) == (0, 0, Flag.RESET)
    assert (then.uj, then.covered_ns, then.flags) == (70, 5 * SECOND, Flag(0))


def test_a_source_that_says_that_it_began_anew_is_believed() -> None:
    (delta,) = deltas(reading(5, 0), reading(900, 5, status="reset"))
    assert (delta.uj, delta.covered_ns, delta.flags) == (0, 0, Flag.RESET)


def test_a_counter_that_stood_still_is_made_good_by_the_next() -> None:
    (delta,) = deltas(reading(5, 0), reading(5, 5, status="stale"), reading(25, 10))
    assert (delta.uj, delta.covered_ns, delta.flags) == (20, 10 * SECOND, Flag.STALE)


def test_a_counter_counts_on_while_it_may_not_be_read() -> None:
    (delta,) = deltas(reading(5, 0), reading(0, 5, status="denied"), reading(25, 10))
    assert (delta.uj, delta.covered_ns, delta.flags) == (20, 10 * SECOND, Flag.GAP)


def test_a_counter_that_was_gone_begins_anew() -> None:
    assert deltas(reading(5, 0), reading(0, 5, status="gone"), reading(25, 10)) == []


def test_a_reading_that_is_not_later_is_no_reading() -> None:
    (delta,) = deltas(reading(5, 4), reading(99, 4), reading(98, 3), reading(7, 5))
    assert delta.uj == 2
    assert deltas(reading(5, 4), reading(0, 5, status="gone"), reading(6, 3), reading(7, 4)) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 59 * SECOND), st.integers(0, 3_000_000_000)), min_size=2))
def test_integrated_power_loses_no_part_of_a_microjoule(steps: list[tuple[int, int]]) -> None:
    meter, at_ns, total, twice = Meter(1000), 0, 0, 0
    last: int | None = None
    for wait_ns, power_uw in steps:
        at_ns += wait_ns
        one = Reading("d", "gpu", "power", power_uw, None, at_ns)
        delta = meter.advance(one)
        if last is not None and delta is not None:
            total += delta.uj
            twice += (last + power_uw) * wait_ns
        last = power_uw
    assert total == twice // (2 * SECOND)


def test_power_is_not_assumed_over_a_long_silence() -> None:
    first, last = reading(10, 0, kind="power"), reading(10, 61, kind="power")
    (delta,) = deltas(first, last)
    assert (delta.uj, delta.covered_ns, delta.flags) == (0, 0, Flag.GAP)
    assert deltas(first, reading(0, 5, kind="power", status="denied"), last) == []


@settings(deadline=None)
@given(st.data())
def test_deltas_never_overlap_and_never_run_backwards(data: st.DataObject) -> None:
    """Whatever comes: any status, any value, any order of times."""
    one = st.builds(
        Reading,
        domain=st.just("d"),
        component=st.just("cpu"),
        kind=st.sampled_from(["counter", "power"]),
        value=st.integers(0, RANGE),
        range_uj=st.sampled_from([None, RANGE]),
        at_boot_ns=st.integers(0, 1000 * SECOND),
        status=st.sampled_from(["ok", "stale", "reset", "denied", "gone"]),
    )
    kind = data.draw(st.sampled_from(["counter", "power"]))
    readings = [each for each in data.draw(st.lists(one)) if each.kind == kind]
    end = 0
    for delta in deltas(*readings):
        assert end <= delta.t0_boot_ns < delta.t1_boot_ns
        assert delta.uj >= 0
        assert delta.covered_ns in (0, delta.t1_boot_ns - delta.t0_boot_ns)
        assert delta.uj == 0 or delta.covered_ns
        end = delta.t1_boot_ns


def test_each_domain_has_its_own_meter() -> None:
    meters = Meters()
    first = [Reading(name, "cpu", "counter", 5, None, SECOND) for name in ("a", "b")]
    later = [
        Reading(name, "cpu", "counter", n, None, 2 * SECOND) for name, n in (("a", 6), ("b", 9))
    ]
    assert meters.advance(first) == []
    assert [(delta.domain, delta.uj) for delta in meters.advance(later)] == [("a", 1), ("b", 4)]
