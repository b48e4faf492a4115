"""What a run used in a window, divided among its executions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmfd.energy import lives
from cmfd.energy.lives import Life, Parts, Window
from cmfd.energy.presence import NOBODY

A, B = b"a" * 16, b"b" * 16
INSTANCES = st.sampled_from((A, B))
TIMES = st.integers(1, 10**11)


@given(
    st.tuples(TIMES, TIMES, TIMES, st.none() | TIMES),
    st.dictionaries(INSTANCES, st.integers(-(10**6), 10**12)),
    st.builds(
        Life, instance=INSTANCES, run=st.just(A), execution=INSTANCES,
        outer=st.sampled_from((NOBODY, A, B)), began_ns=st.just(0), ended_ns=st.none(),
        cpu_ns=st.none() | st.integers(-1, 10**12), wraps=st.booleans(),
    ),
)  # fmt: skip
def test_the_short_way_for_one_that_goes_on_is_the_long_one(
    durations: tuple[int, int, int, int | None], process_ns: dict[bytes, int], life: Life
) -> None:
    """Nearly all windows go the short way: it must not come to anything else."""
    before_ns, within_ns, began_ns, after_ns = durations
    ended_ns = began_ns + before_ns + within_ns
    window = Window(began_ns + before_ns, ended_ns, process_ns)
    life = life._replace(
        began_ns=began_ns, ended_ns=None if after_ns is None else ended_ns + after_ns
    )
    assert window.is_within(life)
    long = Parts(lives._times(window, [life]), lives._uses(window, [life]))
    assert lives._of_only(window, life) == long
