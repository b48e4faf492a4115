"""Laws of emissions: nothing depends on how energy was cut, shared or sorted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.factors import FACTORS, HOUR_NS, Energy, FactorSite, at
from support.laws import examples

from cmfd.carbon.hours import Product

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.hours import Hours
    from cmfd.carbon.model import Weighed

QUICK = settings(max_examples=examples(60), deadline=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip

rows = st.lists(
    st.builds(
        Energy,
        node=st.sampled_from(["n1", "n2"]),
        t0_ns=st.integers(at(-1), at(5)),
        dur_ns=st.integers(0, 2 * HOUR_NS),
        uj=st.integers(0, 10**15),
        grade=st.sampled_from("ABCDE"),
    ),
    max_size=8,
)
places = st.lists(st.integers(0, 10**9), max_size=4)
"""Where something is cut, in billionths of it."""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CarbonBook:
    """Return a book with gaps, a fallback, two PUEs and a contract."""
    site = FactorSite(tmp_path_factory.mktemp("laws"))
    site.series()
    pue = (
        '[{ value = 1.23, source = "a", end_utc = 2026-03-29T01:20:00Z, uncertainty = 0.03 },'
        ' { value = 1.37, source = "b", start_utc = 2026-03-29T01:20:00Z }]'
    )
    more = (
        'zone = "GB"\nconstant = { g_per_kwh = 333.3, source = "c" }\n'
        'contracts = [{ share = 0.3, g_per_kwh = 7, source = "d",'
        " end_utc = 2026-03-29T03:30:00Z }]\n"
        'residual = { g_per_kwh = 412.7, source = "e" }'
    )
    text = FACTORS.replace('["series"]', '["series", "constant"]').replace('zone = "GB"', more)
    return site.factors(text.replace('[{ value = 1.25, source = "metered" }]', pue))


hours = st.lists(
    st.builds(
        Energy,
        node=st.sampled_from(["n1", "n2", "elsewhere"]),
        t0_ns=st.integers(-1, 5).map(at),
        dur_ns=st.just(HOUR_NS),
        uj=st.integers(0, 2**63 - 1),
        grade=st.sampled_from("AD"),
    ),
    max_size=8,
)
"""As an index keeps sums of energy."""


@pytest.fixture(scope="module")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> CarbonBook:
    """Return a book whose factors change at whole hours: some intensities have many digits."""
    site = FactorSite(tmp_path_factory.mktemp("hourly"))
    site.series("".join(
        f"GB,2026-03-29T0{hour}:00:00Z,2026-03-29T0{hour + 1}:00:00Z,{grams},average,lifecycle,"
        f"{estimated},NESO\n"
        for hour, grams, estimated in (
            (0, "123.456789012345", "false"), (1, "0", "false"), (2, "0.001", "true"),
            (3, "4999.9", "false"),
        )
    ))  # fmt: skip
    return site.factors(FACTORS.replace('nodes = ["*"]', 'nodes = ["n*"]', 1))


def products(found: Hours, energy: list[Energy], numbers: dict[str, int]) -> Iterator[Weighed]:
    """Yield what a database makes of energy and the factors of its hours."""
    groups: dict[tuple[int, int, str, int], list[tuple[int, int, int]]] = {}
    for row in energy:
        for at_node, began_ns, part, kind, grams in found.factors:
            assert 0 <= grams < 2**20
            if (at_node, began_ns) == (numbers[row.node], row.t0_ns):
                key = (at_node, kind, row.grade, part)
                groups.setdefault(key, []).append((began_ns, row.uj, grams))
    for (at_node, _, grade, part), group in groups.items():
        product = Product(
            min(began_ns for began_ns, _, _ in group),
            max(began_ns for began_ns, _, _ in group),
            sum(uj for _, uj, _ in group),
            sum((uj >> 40) * grams for _, uj, grams in group),
            sum((uj >> 20 & 1048575) * grams for _, uj, grams in group),
            sum((uj & 1048575) * grams for _, uj, grams in group),
        )
        yield found.weighed(at_node, part, grade, product)


def parts(amount: int, cuts: list[int]) -> list[int]:
    """Divide an integer."""
    edges = sorted({0, amount, *(amount * cut // 10**9 for cut in cuts)})
    return [after - before for before, after in pairwise(edges)] or [0]


@QUICK
@given(energy=rows, cuts=places)
def test_sharing_energy_among_owners_changes_nothing(
    book: CarbonBook, energy: list[Energy], cuts: list[int]
) -> None:
    """The sum over jobs is the node's, to the last digit of a float."""
    shared = [row._replace(uj=uj) for row in energy for uj in parts(row.uj, cuts)]

    assert book.of(shared) == book.of(energy)


@QUICK
@given(energy=rows, cuts=places)
def test_cutting_a_row_in_time_changes_nothing(
    book: CarbonBook, energy: list[Energy], cuts: list[int]
) -> None:
    """Buckets of a second, a minute or an hour of an even power are the same."""
    even = [row._replace(uj=row.dur_ns * (row.uj % 1000)) for row in energy if row.dur_ns]
    cut = []
    for row in even:
        t0_ns = row.t0_ns
        for dur_ns in parts(row.dur_ns, cuts):
            cut.append(Energy(row.node, t0_ns, dur_ns, dur_ns * row.uj // row.dur_ns, row.grade))
            t0_ns += dur_ns

    assert book.of(cut) == book.of(even)


@pytest.mark.slow
@QUICK
@given(energy=hours, share=st.integers(0, 8))
def test_what_a_database_multiplies_is_what_rows_give(
    hourly: CarbonBook, energy: list[Energy], share: int
) -> None:
    """All of it or only some, in 64 bits, however many digits an intensity has."""
    numbers = {"n1": 0, "n2": 0, "elsewhere": 1}
    found = hourly.hours([(0, "n1"), (1, "elsewhere")], (at(-1), at(6)))
    assert found is not None

    weighed = products(found, energy[share:], numbers)

    assert hourly.of(energy[:share], weighed=weighed) == hourly.of(energy)


@QUICK
@given(energy=rows, data=st.data())
def test_the_order_of_rows_is_of_no_matter(
    book: CarbonBook, energy: list[Energy], data: st.DataObject
) -> None:
    """However a database sorts them."""
    assert book.of(data.draw(st.permutations(energy))) == book.of(energy)


@QUICK
@given(energy=rows, share=st.integers(0, 8))
def test_sums_of_parts_are_the_whole(book: CarbonBook, energy: list[Energy], share: int) -> None:
    """A report of users and a report of the site agree."""
    whole, one, other = (book.of(some) for some in (energy, energy[:share], energy[share:]))

    for name in ("operational_gco2e", "low_gco2e", "high_gco2e", "market_gco2e", "energy_j"):
        added = (getattr(one, name) or 0) + (getattr(other, name) or 0)
        assert added == pytest.approx(getattr(whole, name) or 0, rel=1e-12, abs=1e-12)


@QUICK
@given(energy=rows)
def test_bounds_are_around_the_figure(book: CarbonBook, energy: list[Energy]) -> None:
    """And a mean intensity times energy and PUE is the figure."""
    found = book.of(energy)
    if found.operational_gco2e is None:
        assert not energy
        return
    assert found.low_gco2e is not None
    assert found.high_gco2e is not None
    assert found.low_gco2e <= found.operational_gco2e <= found.high_gco2e
    if found.operational_gco2e:
        assert found.intensity_gco2e_per_kwh is not None
        assert found.pue is not None
        product = found.energy_j / 3.6e6 * found.pue * found.intensity_gco2e_per_kwh
        assert product == pytest.approx(found.operational_gco2e, rel=1e-12)


@QUICK
@given(began=st.integers(at(-1), at(5)), lengths=st.lists(st.integers(1, HOUR_NS), max_size=5))
def test_stretches_do_not_depend_on_what_is_asked_beside_them(
    book: CarbonBook, began: int, lengths: list[int]
) -> None:
    """The intensity of a time is the same, however long a plot is."""
    for length in lengths:
        inside = book.intensity(began, began + length)
        around = book.intensity(began - HOUR_NS, began + length + HOUR_NS)
        for one in inside:
            (same,) = (it for it in around if it.began_ns <= one.began_ns < it.ended_ns)
            assert same.ended_ns >= one.ended_ns
            assert (same.gco2e_per_kwh, same.pue) == (one.gco2e_per_kwh, one.pue)
