"""What was used in a time: energy and emissions are divided where it begins and ends."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.energy import BUCKET_NS, E_NS, Metered
from support.factors import HEAD
from support.laws import examples
from support.sites import ASite, Invoke, from_json, invoker

from cmfd.carbon import kept
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.query.selection import Selection
from cmfd.report.costs.asked import Asked
from cmfd.report.costs.build import build

if TYPE_CHECKING:
    from cmfd.report.costs.model import Report

DAY_BUCKETS = 24 * 60
NOVEMBER_BUCKETS = 23_147
"""Minutes from `E_NS`, 2023-11-14T22:13, to the end of the month."""
END_NS = E_NS + (NOVEMBER_BUCKETS + 30) * BUCKET_NS
FACTORS = """\
name = "plain"

[[places]]
nodes = ["*"]
order = ["constant"]
constant = { g_per_kwh = 500.0, source = "our contract" }
pue = [{ value = 2.0, source = "metered" }]
"""


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory) -> ASite:
    """Make a site: run 1 on a day, 2 over midnight on two nodes, 3 over the end of the month."""
    metered = Metered()
    metered.spend(0, {1: 7_000_001, "idle": 13, "system": 999_983}, n_buckets=30)
    metered.spend(90, {1: 1_000_003, 2: 3_000_017, "idle": 500_009}, n_buckets=40)
    metered.spend(100, {2: 31_000_003}, node="n2", component="gpu", source="nvml", n_buckets=20)
    begun = NOVEMBER_BUCKETS - 30
    metered.spend(begun, {3: 7_777_777, "idle": 1_000_001, "system": 77}, n_buckets=60)
    return ASite(tmp_path_factory.mktemp("periods") / "site").take(*metered.contents())


@pytest.fixture
def invoke(two_months: ASite, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site, in this process."""
    return invoker(two_months, tmp_path, monkeypatch)


def reported(
    site: ASite, by: str, since_ns: int | None, until_ns: int | None, factors: str | None = None
) -> Report:
    """Return the energy of a time; with factors, its emissions."""
    with open_index(site.path) as db:
        selection = Selection(since_ns=since_ns, until_ns=until_ns, when="during")
        asked = Asked(
            about="carbon" if factors else "energy", by=by, selection=selection, factors=factors,
            now_ns=END_NS, is_operator=True,
        )  # fmt: skip
        return build(db, open_site(site.path), asked)


def amounts_uj(report: Report) -> Counter[Any]:
    """Return what each group was given, and idle time and the system."""
    found: Counter[Any] = Counter()
    for group in report.groups:
        if group.energy is not None:
            found[tuple(sorted(group.names.items()))] += round(group.energy.energy_j * 1e6)
    for name, energy in (("idle", report.idle), ("system", report.system)):
        found[name] += 0 if energy is None else round(energy.energy_j * 1e6)
    return +found


instants = st.one_of(
    st.integers(E_NS - BUCKET_NS, END_NS + BUCKET_NS),
    st.integers(-1, 125).map(lambda n: E_NS + n * BUCKET_NS),
    st.integers(E_NS, E_NS + 130 * BUCKET_NS),
    st.integers(-31, 31).map(lambda n: E_NS + (NOVEMBER_BUCKETS + n) * BUCKET_NS),
)


@pytest.mark.parametrize("by", ["user", "run", "node", "stage", "month"])
@settings(deadline=None, max_examples=examples(25))
@given(borders=st.lists(instants, min_size=1, max_size=3, unique=True))
def test_times_that_adjoin_add_up_to_the_whole(
    two_months: ASite, by: str, borders: list[int]
) -> None:
    """To the microjoule, for each line, wherever the borders are."""
    ends = [None, *sorted(borders), None]
    parts: Counter[Any] = Counter()
    for since_ns, until_ns in pairwise(ends):
        parts += amounts_uj(reported(two_months, by, since_ns, until_ns))

    assert parts == amounts_uj(reported(two_months, by, None, None))


SERIES = f"""{HEAD}
DE,2023-11-14T22:00:00Z,2023-11-14T22:20:30Z,200.7,average,lifecycle,false,the grid
DE,2023-11-14T22:20:30Z,2023-11-14T23:50:10Z,411.3,average,lifecycle,true,the grid
DE,2023-11-15T00:05:00Z,2023-12-01T00:10:00Z,333.3,average,lifecycle,false,the grid
"""
CHANGING = """\
name = "changing"

[[places]]
nodes = ["*"]
zone = "DE"
order = ["series", "constant"]
constant = { g_per_kwh = 512.9, source = "our contract" }
pue = [
  { value = 1.23, source = "a", end_utc = 2023-11-14T23:49:59Z },
  { value = 1.41, source = "b", start_utc = 2023-11-14T23:49:59Z },
]
contracts = [{ share = 0.3, g_per_kwh = 7.0, source = "d", end_utc = 2023-12-01T00:00:00Z }]
residual = { g_per_kwh = 412.7, source = "e" }
"""


@pytest.fixture(scope="module")
def factors(two_months: ASite, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Add factors all of which change in time, and none of which is in use; returns their id."""
    files = tmp_path_factory.mktemp("factors")
    (files / "grid.csv").write_text(SERIES, "utf-8")
    kept.add_series(two_months.path, files / "grid.csv")
    (files / "changing.toml").write_text(CHANGING, "utf-8")
    return kept.add_factors(two_months.path, files / "changing.toml")[0].id


def emissions(report: Report) -> Counter[Any]:
    """Return each line's emissions and the whole's: by place and market, and bounds."""
    found: Counter[Any] = Counter()
    for group in (*report.groups, report.total):
        if group is None or group.carbon is None:
            continue
        for name in ("operational_gco2e", "market_gco2e", "low_gco2e", "high_gco2e"):
            key = (tuple(sorted(group.names.items())), name)
            found[key] += getattr(group.carbon, name) or 0
    return found


@pytest.mark.slow
@pytest.mark.parametrize("by", ["run", "node"])
@settings(deadline=None, max_examples=examples(15))
@given(borders=st.lists(instants, min_size=1, max_size=3, unique=True))
def test_emissions_of_times_that_adjoin_add_up_to_the_whole(
    two_months: ASite, factors: str, by: str, borders: list[int]
) -> None:
    """Wherever the borders are, and whatever intensity, PUE and contracts do there."""
    ends = [None, *sorted(borders), None]
    parts: Counter[Any] = Counter()
    for since_ns, until_ns in pairwise(ends):
        parts.update(emissions(reported(two_months, by, since_ns, until_ns, factors)))

    assert parts == pytest.approx(
        emissions(reported(two_months, by, None, None, factors)), rel=1e-9, abs=1e-9
    )


def test_a_run_over_the_end_of_a_month_is_in_both(invoke: Invoke) -> None:
    """Half an hour of it in each; of 2023-11 with all that other runs were given."""
    found = from_json(invoke("report", "energy", "--by", "month", "--json"))
    months = {one["names"]["month"]: one for one in found["groups"]}
    assert {name: one["n_runs"] for name, one in months.items()} == {"2023-11": 3, "2023-12": 1}
    assert months["2023-12"]["energy"]["energy_j"] == pytest.approx(30 * 7.777777, rel=1e-12)

    then = from_json(
        invoke("report", "energy", "--since", "2023-12-01", "--until", "2024-01-01", "--json")
    )
    assert then["total"]["energy"]["energy_j"] == months["2023-12"]["energy"]["energy_j"]
    assert then["idle"]["energy_j"] == pytest.approx(30 * 1.000001, rel=1e-12)


def test_a_minute_over_the_border_is_divided_by_time(invoke: Invoke) -> None:
    """Of 7,000,001 uJ, 15 of 60 seconds are 1,750,000: what does not divide comes later."""
    words = ("--since", "2023-11-14T22:13:00Z", "--until", "2023-11-14T22:13:15Z", "--json")
    found = from_json(invoke("report", "energy", *words))
    assert round(found["total"]["energy"]["energy_j"] * 1e6) == 1_750_000


def test_any_time_is_reckoned_with_any_factors(invoke: Invoke, tmp_path: Any) -> None:
    """Emissions of December are those of its energy: 500 g a kWh, of which as much again is PUE."""
    (tmp_path / "factors.toml").write_text(FACTORS, "utf-8")
    invoke("carbon", "factors", "add", "--use", "factors.toml")
    december = ("--since", "2023-12-01", "--until", "2024-01-01")
    found = from_json(invoke("report", "carbon", *december, "--json"))
    whole_j = found["total"]["energy"]["energy_j"]
    assert whole_j == pytest.approx(30 * 7.777777, rel=1e-12)
    assert found["total"]["carbon"]["operational_gco2e"] == pytest.approx(whole_j * 2 * 500 / 3.6e6)

    before = from_json(invoke("report", "carbon", "--until", "2023-12-01", "--json"))
    every = from_json(invoke("report", "carbon", "--json"))
    assert every["total"]["carbon"]["operational_gco2e"] == pytest.approx(
        sum(one["total"]["carbon"]["operational_gco2e"] for one in (before, found))
    )


def test_runtime_is_of_runs_that_ended_then(invoke: Invoke) -> None:
    """Each run counts once, whole."""
    months = ("2023-11-01", "2023-12-01", "2024-01-01")
    counts = []
    for since, until in pairwise(months):
        words = ("--by", "run", "--since", since, "--until", until, "--json")
        counts.append(len(from_json(invoke("report", "runtime", *words))["runtimes"]))
    assert sum(counts) == len(
        from_json(invoke("report", "runtime", "--by", "run", "--json"))["runtimes"]
    )
