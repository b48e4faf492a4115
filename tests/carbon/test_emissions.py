"""What energy means in emissions, by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.factors import FACTORS, GB, HOUR_NS, KWH_UJ, Energy, at

from cmfd.carbon.book import CarbonBook
from cmfd.carbon.model import Hold

if TYPE_CHECKING:
    from support.factors import FactorSite

CONSTANT = 'constant = { g_per_kwh = 50.0, source = "the provider" }'


def with_place(*lines: str, order: str = '["series"]') -> str:
    """Return the factor set with more in its place."""
    text = FACTORS.replace('["series"]', order)
    return text.replace('zone = "GB"', "\n".join(('zone = "GB"', *lines)))


def hour(number: float, uj: int = KWH_UJ, *, node: str = "n1", grade: str = "A") -> Energy:
    """Return energy over one hour of the series."""
    return Energy(node, at(number), HOUR_NS, uj, grade)


def test_energy_times_pue_times_intensity(site: FactorSite) -> None:
    """Two hours: 1 kWh at 100 and 3 kWh at 200.5 g, 1.25 times."""
    site.series()
    found = site.factors().of([hour(0), hour(1, 3 * KWH_UJ)])

    assert found.operational_gco2e == 1.25 * (100 + 3 * 200.5)
    assert found.energy_j == 4 * 3.6e6
    assert found.pue == 1.25
    assert found.intensity_gco2e_per_kwh == (100 + 3 * 200.5) / 4
    assert found.covered_share == 1
    assert found.missing == []


def test_each_figure_says_where_it_is_from(site: FactorSite) -> None:
    """The series by its digest, how much of it is an estimate, and the factor set."""
    series, book = site.series(), site.factors()
    found = book.of([hour(0), hour(1, 3 * KWH_UJ)])
    intensity, pue = found.provenance

    assert (intensity.factor, intensity.kind, intensity.source) == ("intensity", "series", "NESO")
    assert intensity.version == series.id
    assert (intensity.basis, intensity.scope) == ("average", "lifecycle")
    assert (intensity.share, intensity.estimated_share) == (1, 0.75)
    assert (pue.factor, pue.value, pue.source) == ("pue", 1.25, "metered")
    assert (found.factor_set_id, found.factor_set_name) == (book.factor_set_id, "plain")


def test_a_row_over_a_border_is_cut_there(site: FactorSite) -> None:
    """A quarter of it before one o'clock, the rest after."""
    site.series()
    found = site.factors().of([Energy("n1", at(0.75), HOUR_NS, KWH_UJ)])

    assert found.operational_gco2e == 1.25 * (0.25 * 100 + 0.75 * 200.5)


def test_borders_are_half_open(site: FactorSite) -> None:
    """At the instant of a border, the new value is true; a nanosecond before, the old one."""
    site.series()
    book = site.factors()

    assert book.of([Energy("n1", at(1), 0, KWH_UJ)]).operational_gco2e == 1.25 * 200.5
    assert book.of([Energy("n1", at(1) - 1, 0, KWH_UJ)]).operational_gco2e == 1.25 * 100
    assert book.of([Energy("n1", at(1) - 1, 1, KWH_UJ)]).operational_gco2e == 1.25 * 100
    assert book.of([Energy("n1", at(2), 0, KWH_UJ)]).operational_gco2e is None
    assert book.of([Energy("n1", at(0) - 1, 0, KWH_UJ)]).operational_gco2e is None
    first, second = book.intensity(at(1) - 1, at(1) + 1)
    assert (first.ended_ns, first.gco2e_per_kwh) == (at(1), 100)
    assert (second.began_ns, second.gco2e_per_kwh) == (at(1), 200.5)


def test_a_gap_is_neither_filled_nor_hidden(site: FactorSite) -> None:
    """Of an hour without a value nothing is said, and how much that is."""
    site.series()
    found = site.factors().of([hour(1), hour(2, 3 * KWH_UJ)])

    assert found.operational_gco2e == 1.25 * 200.5
    assert found.covered_share == 0.25
    (said,) = found.missing
    assert "75 % of the energy" in said
    assert "between 2026-03-29T02:00:00Z and 2026-03-29T03:00:00Z (GB)" in said


def test_only_what_nothing_is_known_of_is_none(site: FactorSite) -> None:
    """Not zero: no energy is ever free of emissions because nobody knows them."""
    site.series()
    found = site.factors().of([hour(2)])

    assert (found.operational_gco2e, found.low_gco2e, found.high_gco2e) == (None, None, None)
    assert (found.intensity_gco2e_per_kwh, found.covered_share) == (None, 0)
    assert found.missing


def test_a_site_without_factors_knows_nothing(site: FactorSite) -> None:
    """And says what its operator can do."""
    site.series()
    book = CarbonBook.open(site.path)
    found = book.of([hour(0)], [Hold("n1", HOUR_NS, 1.0)])

    assert (found.operational_gco2e, found.market_gco2e, found.embodied_gco2e) == (None,) * 3
    assert (found.factor_set_id, found.covered_share) == ("", 0)
    assert "cmfd carbon factors add" in found.missing[0]
    (stretch,) = book.intensity(at(0), at(1))
    assert stretch.gco2e_per_kwh is None


def test_a_factor_set_without_its_series_says_so(site: FactorSite) -> None:
    """Which zone, and how to import one."""
    found = site.factors().of([hour(0)])

    assert found.operational_gco2e is None
    assert "no intensity series of zone GB (average, lifecycle)" in found.missing[0]


def test_the_next_source_fills_what_the_first_leaves_free(site: FactorSite) -> None:
    """In the order of the factor set; the result says for how much of the energy, and when."""
    site.series()
    found = site.factors(with_place(CONSTANT, order='["series", "constant"]')).of(
        [hour(1), hour(2, 3 * KWH_UJ)]
    )

    assert found.operational_gco2e == 1.25 * (200.5 + 3 * 50)
    assert found.covered_share == 1
    kinds = {one.kind: one.share for one in found.provenance if one.factor == "intensity"}
    assert kinds == {"series": 0.25, "constant": 0.75}
    (said,) = found.missing
    assert "For 75 % of the energy" in said
    assert "the constant one was used" in said


def test_the_order_of_sources_is_the_operators(site: FactorSite) -> None:
    """A constant that comes first leaves nothing to the series."""
    site.series()
    book = site.factors(with_place(CONSTANT, order='["constant", "series"]'))

    assert book.of([hour(0)]).operational_gco2e == 1.25 * 50


def test_the_last_import_counts_where_series_have_the_same_time(site: FactorSite) -> None:
    """A correction covers what it corrects; to import the first again does not undo it."""
    first = site.series()
    second = site.series(GB.splitlines()[1].replace("200.5", "400"), "correction.csv")
    site.series()
    book = site.factors()

    assert book.of([hour(0), hour(1)]).operational_gco2e == 1.25 * (100 + 400)
    pinned = site.factors(with_place(f'series = ["{first.id}"]'))
    assert pinned.of([hour(0), hour(1)]).operational_gco2e == 1.25 * (100 + 200.5)
    pinned = site.factors(with_place(f'series = ["{second.id[:12]}"]'))
    assert pinned.of([hour(0), hour(1)]).covered_share == 0.5


def test_average_and_marginal_are_never_mixed(site: FactorSite) -> None:
    """Nor life cycle and direct: a factor set asks for one kind, and others are not there."""
    site.series(GB.replace("average", "marginal"))
    site.series(GB.replace("lifecycle", "direct").replace("100", "70"), "direct.csv")

    assert site.factors().of([hour(0)]).operational_gco2e is None
    marginal = site.factors(with_place('basis = "marginal"')).of([hour(0)])
    assert (marginal.operational_gco2e, marginal.provenance[0].basis) == (125, "marginal")
    direct = site.factors(with_place('scope = "direct"')).of([hour(0)])
    assert (direct.operational_gco2e, direct.provenance[0].scope) == (1.25 * 70, "direct")


def test_pue_changes_with_time(site: FactorSite) -> None:
    """Half-open as everything; a time without one has no figure."""
    pue = (
        '[{ value = 1.25, source = "winter", end_utc = 2026-03-29T00:30:00Z },'
        ' { value = 1.5, source = "summer", start_utc = 2026-03-29T00:30:00Z,'
        " end_utc = 2026-03-29T01:00:00Z }]"
    )
    site.series()
    text = FACTORS.replace('[{ value = 1.25, source = "metered" }]', pue)
    found = site.factors(text).of([hour(0), hour(1)])

    assert found.operational_gco2e == 100 * (1.25 + 1.5) / 2
    assert (found.pue, found.covered_share) == (1.375, 0.5)
    assert "No PUE is configured for 50 % of the energy" in found.missing[0]


def test_each_node_has_the_factors_of_its_place(site: FactorSite) -> None:
    """The first that fits; a node that stands nowhere has no figure."""
    site.series()
    site.series(GB.replace("GB", "FR").replace("100", "40"), "fr.csv")
    text = FACTORS.replace('["*"]', '["n1"]', 1).replace(
        "[[node_types]]",
        '[[places]]\nnodes = ["n*"]\nzone = "FR"\norder = ["series"]\n'
        'pue = [{ value = 1.5, source = "metered" }]\n[[node_types]]',
    )
    found = site.factors(text).of([hour(0), hour(0, node="n2"), hour(0, 2 * KWH_UJ, node="x")])

    assert found.operational_gco2e == 1.25 * 100 + 1.5 * 40
    assert found.covered_share == 0.5
    assert "no place for the nodes x" in found.missing[0]


def test_market_based_is_apart(site: FactorSite) -> None:
    """Contracts, and the residual mix for the rest; the grid's own intensity is of no matter."""
    site.series()
    contracts = 'contracts = [{ share = 0.6, g_per_kwh = 10, source = "wind farm" }]'
    residual = 'residual = { g_per_kwh = 400, source = "AIB" }'
    found = site.factors(with_place(contracts, residual)).of([hour(0), hour(2)])

    assert found.operational_gco2e == 125
    assert found.market_gco2e == 2 * 1.25 * (0.6 * 10 + 0.4 * 400)
    (market,) = (one for one in found.provenance if one.factor == "market")
    assert market.source == "wind farm (60%); residual mix: AIB (40%)"


def test_without_a_residual_mix_contracts_must_supply_all(site: FactorSite) -> None:
    """Otherwise nothing is said: the rest is not the grid's average."""
    site.series()
    contracts = 'contracts = [{ share = 0.6, g_per_kwh = 10, source = "wind farm" }]'
    found = site.factors(with_place(contracts)).of([hour(0)])

    assert (found.operational_gco2e, found.market_gco2e) == (125, None)
    assert "no market-based figure" in found.missing[0]
    whole = site.factors(with_place(contracts.replace("0.6", "1.0")))
    assert whole.of([hour(0)]).market_gco2e == 12.5


def test_nobody_who_has_no_contract_is_told_of_them(site: FactorSite) -> None:
    """Market-based figures are for those who want them."""
    site.series()
    found = site.factors().of([hour(0)])

    assert (found.market_gco2e, found.missing) == (None, [])


def test_uncertainty_is_passed_on(site: FactorSite) -> None:
    """Energy by its grade, PUE and intensity as configured, each at its extreme."""
    site.series()
    text = with_place("uncertainty = { series = 0.1 }").replace(
        'source = "metered"', 'source = "metered", uncertainty = 0.02'
    )
    found = site.factors(text).of([hour(0), hour(0, grade="E")])

    assert found.low_gco2e == pytest.approx(125 * (0.95 + 0.5) * 0.98 * 0.9)
    assert found.high_gco2e == pytest.approx(125 * (1.05 + 2.0) * 1.02 * 1.1)
    exact = site.factors().of([hour(0)], bounds={"A": (0.0, 0.0)})
    assert exact.low_gco2e == exact.operational_gco2e == exact.high_gco2e


def test_embodied_after_sci(site: FactorSite) -> None:
    """1100 kg over six years; four hours of a quarter of a node are one node-hour."""
    found = site.factors().of([], [Hold("n1", 4 * HOUR_NS, 0.25)])

    assert found.embodied_gco2e == pytest.approx(1_100_000 / (6 * 365.25 * 24))
    (origin,) = found.provenance
    assert (origin.factor, origin.value, origin.unit) == ("embodied", 1100, "kgCO2e")
    assert origin.source == "standard, 6 years: the maker"


def test_hardware_that_nobody_described_has_no_embodied_figure(site: FactorSite) -> None:
    """A sum that leaves some of it out would look like less."""
    holds = [Hold("n1", HOUR_NS, 1.0), Hold("x1", HOUR_NS, 1.0)]
    found = site.factors().of([], holds)

    assert found.embodied_gco2e is None
    assert "no type of node for x1" in found.missing[0]


def test_the_sci_score_is_for_one_functional_unit(site: FactorSite) -> None:
    """((E * I) + M) per R; nothing, where a part of it is not known."""
    site.series()
    book = site.factors()
    holds = [Hold("n1", HOUR_NS, 1.0)]

    found = book.of([hour(0)], holds)
    embodied = 1_100_000 / (6 * 365.25 * 24)
    assert found.per_unit_gco2e(1000) == pytest.approx((125 + embodied) / 1000)
    assert book.of([hour(0)]).per_unit_gco2e(1000) is None
    assert book.of([hour(0), hour(2)], holds).per_unit_gco2e(1000) is None


def test_no_energy_at_all_is_no_figure_and_no_failure(site: FactorSite) -> None:
    """Rows of zero are zero; no rows are nothing."""
    site.series()
    book = site.factors()

    assert book.of([]).operational_gco2e is None
    found = book.of([hour(0, 0)])
    assert (found.operational_gco2e, found.covered_share) == (0, 1)


def test_intensity_for_plots_has_no_holes(site: FactorSite) -> None:
    """From begin to end, each stretch beginning where the one before ended."""
    site.series()
    found = site.factors().intensity(at(-1), at(5))

    assert [one.gco2e_per_kwh for one in found] == [None, 100, 200.5, None, 300, None]
    edges = [at(n) for n in (-1, 0, 1, 2, 3, 4, 5)]
    assert [(one.began_ns, one.ended_ns) for one in found] == list(pairwise(edges))
    assert [one.estimated for one in found] == [False, False, True, False, False, False]
