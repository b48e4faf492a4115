"""What a run used in a window, divided among its executions."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from cmfd.energy import lives
from cmfd.energy.lives import Life, Parts, Window
from cmfd.energy.presence import NOBODY

A, B = b"a" * 16, b"b" * 16
INSTANCES = st.sampled_from((A, B))
TIMES = st.integers(0, 10**11)


@given(
    st.tuples(TIMES, TIMES).map(sorted),
    st.dictionaries(INSTANCES, st.integers(-(10**6), 10**12)),
    st.builds(
        Life, instance=INSTANCES, run=st.just(A), execution=INSTANCES,
        outer=st.sampled_from((NOBODY, A, B)), began_ns=TIMES, ended_ns=st.none() | TIMES,
        cpu_ns=st.none() | st.integers(-1, 10**12), wraps=st.booleans(),
    ),
)  # fmt: skip
def test_the_short_way_for_one_that_goes_on_is_the_long_one(
    times: list[int], process_ns: dict[bytes, int], life: Life
) -> None:
    """Nearly all windows go the short way: it must not come to anything else."""
    window = Window(times[0], times[1], process_ns)
    assume(window.shared_ns(life) and window.is_within(life))
    long = Parts(lives._times(window, [life]), lives._uses(window, [life]))
    assert lives._of_only(window, life) == long
