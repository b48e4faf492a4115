"""Splitting energy: exact, and by allocation and use as documented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd.energy.split import Claim, Share, Weights, apportion, divide, split

SECOND_NS = 1_000_000_000


def weights_of(
    *claims: Claim[str], capacity: int, use: int | None, dur_ns: int = SECOND_NS
) -> Weights[str]:
    weights: Weights[str] = Weights()
    weights.add(claims, capacity, use, dur_ns)
    return weights


def test_the_example_of_two_jobs_on_a_shared_node() -> None:
    """
    A watt is given to who had it: static by allocation, dynamic by use.

    64 cores and 300 W, of which 100 W when idle. A has 16 cores, all busy; B has 32, a quarter
    busy; the system uses 1 % of what they use.
    """
    a, b = Claim("a", 16, 1600), Claim("b", 32, 800)
    done = split(300_000_000, 100_000_000, weights_of(a, b, capacity=64, use=2450))

    assert done.shares["a"] == Share(25_000_000, 130_612_245)
    assert done.shares["b"] == Share(50_000_000, 65_306_122)
    assert done.idle == Share(25_000_000, 0)
    assert done.system == Share(0, 4_081_633)


def test_a_job_alone_on_its_node_is_given_everything() -> None:
    """It asked for the whole node: what it left unused was still for it."""
    alone = Claim("a", 1, 5, exclusive=True)
    done = split(1001, 300, weights_of(alone, capacity=64, use=1000))
    assert done.shares == {"a": Share(300, 701)}
    assert done.idle == done.system == Share()


def test_an_empty_node_is_idle() -> None:
    """Also what the system used then: no job made it do so."""
    done = split(1000, 100, weights_of(capacity=4, use=77))
    assert done.idle == Share(100, 900)


def test_a_power_that_exceeds_what_was_drawn_leaves_nothing_dynamic() -> None:
    """The configured idle power is only a power; the counter is the truth."""
    done = split(50, 100, weights_of(Claim("a", 4, 1), capacity=4, use=1))
    assert done.shares["a"] == Share(50, 0)


def test_jobs_of_unknown_allocation_share_what_is_left() -> None:
    """Equal parts of what nobody is known to have."""
    claims = (Claim("a", 2, 0), Claim("b", None, 0), Claim("c", None, 0))
    done = split(800, 800, weights_of(*claims, capacity=8, use=0))
    assert [done.shares[name].uj for name in "abc"] == [200, 300, 300]
    assert done.idle.uj == 0


def test_more_than_all_cannot_be_used() -> None:
    """Processor times of groups and of the node are not read at the same instant."""
    claims = (Claim("a", 2, 60), Claim("b", 2, 60))
    done = split(100, 0, weights_of(*claims, capacity=4, use=100))
    assert done.shares == {"a": Share(0, 50), "b": Share(0, 50)}
    assert done.system == Share()


def test_more_than_all_cannot_be_allocated() -> None:
    """Where SLURM gives the same cores twice, each job has less of them."""
    claims = (Claim("a", 4, 0), Claim("b", 4, 0))
    done = split(100, 100, weights_of(*claims, capacity=4, use=0))
    assert done.shares == {"a": Share(50, 0), "b": Share(50, 0)}


def test_without_any_known_use_allocation_stands_in() -> None:
    """A GPU is given to who has it; of one that nobody has, the energy is idle."""
    weights = weights_of(Claim("a", 1, None), capacity=4, use=None)
    done = split(100, 0, weights)
    assert weights.by_alloc
    assert (done.shares["a"], done.idle) == (Share(0, 25), Share(0, 75))


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [(10, [1, 1, 1], [4, 3, 3]), (1, [1, 2], [0, 1]), (0, [5], [0]), (7, [0, 3, 0], [0, 7, 0])],
)
def test_the_largest_remainder_has_what_is_left(
    total: int, weights: list[int], parts: list[int]
) -> None:
    """Of equal ones the first."""
    assert apportion(total, weights) == parts


@given(
    st.integers(0, 10**15), st.lists(st.integers(0, 10**18), min_size=1, max_size=40).filter(any)
)
def test_parts_add_up_and_are_within_one_of_what_is_due(total: int, weights: list[int]) -> None:
    """To the microjoule, however large the numbers."""
    parts = apportion(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) < whole


CLAIMS = st.lists(
    st.tuples(st.none() | st.integers(0, 200), st.none() | st.integers(0, 10**12), st.booleans()),
    max_size=6,
)


@given(
    st.integers(0, 10**13),
    st.integers(0, 10**13),
    st.lists(
        st.tuples(
            CLAIMS, st.integers(1, 256), st.none() | st.integers(0, 10**13), st.integers(1, 10**10)
        ),
        max_size=4,
    ),
)
def test_whoever_was_there_energy_is_conserved(
    energy_uj: int,
    static_uj: int,
    stretches: list[tuple[list[tuple[int | None, int | None, bool]], int, int | None, int]],
) -> None:
    """Law: runs, idle time and the system add up to what there was, and nobody has less than 0."""
    weights: Weights[int] = Weights()
    for claims, capacity, use, dur_ns in stretches:
        known = [Claim(n, alloc, used, alone) for n, (alloc, used, alone) in enumerate(claims)]
        weights.add(known, capacity, use, dur_ns)
    done = split(energy_uj, static_uj, weights)
    shares = [*done.shares.values(), done.idle, done.system]
    assert sum(share.uj for share in shares) == energy_uj
    assert sum(share.static_uj for share in shares) == min(static_uj, energy_uj)
    assert all(min(share) >= 0 for share in shares)


AMOUNTS = st.dictionaries(st.integers(0, 5), st.integers(0, 10**12), max_size=4)


@given(st.integers(0, 10**12), st.integers(0, 10**12), AMOUNTS, AMOUNTS)
def test_the_parts_of_a_run_add_up_to_it(
    static: int, dynamic: int, times: dict[int, int], uses: dict[int, int]
) -> None:
    """Energy of executions is part of their run's, never on top of it."""
    if not any((*times.values(), *uses.values())):
        times[0] = 1
    done = divide(Share(static, dynamic), times, uses)
    assert sum(part.static_uj for part in done.values()) == static
    assert sum(part.dynamic_uj for part in done.values()) == dynamic
