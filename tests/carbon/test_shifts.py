"""What runs would have emitted, had they begun at other times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.factors import FACTORS, HOUR_NS, KWH_UJ, Energy, FactorSite, at
from support.laws import examples

from cmfd.carbon.shift import Window, starts

if TYPE_CHECKING:
    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.shift import Start

MINUTE_NS = 60_000_000_000
EARLIER_AND_LATER = Window(HOUR_NS, 2 * HOUR_NS, HOUR_NS // 2)


def by_hours(found: list[Start]) -> dict[float, float | None]:
    """Return grams by when the start is, in hours."""
    return {(one.began_ns - at(0)) / HOUR_NS: one.operational_gco2e for one in found}


def test_the_same_energy_meets_another_intensity(site: FactorSite) -> None:
    """A run of an hour, had it begun up to an hour before, up to two after."""
    site.series()
    found = starts(site.factors(), [Energy("n1", at(1), HOUR_NS, KWH_UJ)], at(1), EARLIER_AND_LATER)

    assert by_hours(found) == {
        0: 125,
        0.5: pytest.approx(1.25 * (100 + 200.5) / 2),
        1: 1.25 * 200.5,
        1.5: None,  # half of it in a time that no series covers
        2: None,
        2.5: None,
        3: 375,
    }


def test_annual_means_are_no_reason_to_wait(site: FactorSite) -> None:
    """Where a run would meet a fallback, nothing is said, though the figure of the run has it."""
    site.series()
    text = FACTORS.replace('["series"]', '["series", "constant"]').replace(
        'zone = "GB"', 'zone = "GB"\nconstant = { g_per_kwh = 1, source = "x" }'
    )
    found = starts(site.factors(text), [Energy("n1", at(1), HOUR_NS, KWH_UJ)], at(1),
                   EARLIER_AND_LATER)  # fmt: skip

    assert by_hours(found)[2] is None


def test_a_run_without_energy_has_no_starts(site: FactorSite) -> None:
    """There is nothing to say."""
    assert starts(site.factors(), [], at(1), EARLIER_AND_LATER) == []


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CarbonBook:
    """Return a book with a day of half-hourly intensities."""
    site = FactorSite(tmp_path_factory.mktemp("shifts"))
    site.series("".join(
        f"GB,2026-03-29T{n // 2:02d}:{n % 2 * 30:02d}Z,"
        f"2026-03-{29 + (n + 1) // 48}T{(n + 1) // 2 % 24:02d}:{(n + 1) % 2 * 30:02d}Z,"
        f"{(n * 37) % 101},average,lifecycle,false,NESO\n"
        for n in range(48)
    ))  # fmt: skip
    return site.factors()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    profile=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 90), st.integers(0, 10**12)),
        min_size=1, max_size=6,
    ),
    began=st.integers(0, 24 * 60),
)  # fmt: skip
def test_a_shift_is_what_the_shifted_rows_are(
    book: CarbonBook, profile: list[tuple[int, int, int]], began: int
) -> None:
    """Every start has the figure that a report has of a run that really began then."""
    t0_ns = at(0) + began * MINUTE_NS
    rows = [
        Energy("n1", t0_ns + after * MINUTE_NS, dur * MINUTE_NS, uj) for after, dur, uj in profile
    ]
    found = starts(book, rows, t0_ns, Window(2 * HOUR_NS, 3 * HOUR_NS, 37 * MINUTE_NS))

    assert t0_ns in [one.began_ns for one in found]
    for one in found:
        shift_ns = one.began_ns - t0_ns
        moved = book.of([row._replace(t0_ns=row.t0_ns + shift_ns) for row in rows if row.uj])
        if moved.covered_share == 1 or not any(row.uj for row in rows):
            wanted = moved.operational_gco2e or 0.0
            assert one.operational_gco2e == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        else:
            assert one.operational_gco2e is None


def test_a_book_knows_in_which_steps_energy_may_be_added_up(
    book: CarbonBook, site: FactorSite
) -> None:
    """Half an hour here; a day, where nothing changes; less, where PUE does."""
    assert book.step_ns == HOUR_NS // 2
    constant = FACTORS.replace('["series"]', '["constant"]').replace(
        'zone = "GB"', 'constant = { g_per_kwh = 1, source = "x" }'
    )
    assert site.factors(constant).step_ns == 24 * HOUR_NS
    until = constant.replace('"metered"', '"metered", end_utc = 2026-03-29T00:20:00Z')
    assert site.factors(until).step_ns == HOUR_NS // 3
