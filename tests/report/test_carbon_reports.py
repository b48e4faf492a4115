"""`cmfd report carbon`: emissions that can be reckoned by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.energy import Metered
from support.factors import HEAD
from support.jobs import a_job
from support.sites import from_json

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import ASite, Invoke

KWH_UJ = 3_600_000_000_000

SERIES = f"""{HEAD}
DE,2023-11-14T22:00:00Z,2023-11-14T22:15:00Z,200,average,lifecycle,false,the grid
DE,2023-11-14T22:15:00Z,2023-11-14T23:00:00Z,400,average,lifecycle,false,the grid
"""
"""Energy of these tests begins at 22:13."""

FACTORS = """\
name = "plain"

[[places]]
nodes = ["*"]
zone = "DE"
order = ["series"]
pue = [{{ value = {pue}, source = "metered" }}]

[[node_types]]
name = "standard"
nodes = ["n*"]
embodied_kg = 1100.0
lifetime_years = 6.0
source = "the maker"
"""


@pytest.fixture
def a_site(site: ASite, invoke: Invoke, tmp_path: Path) -> ASite:
    """
    Return a site with an intensity of 200 and then 400 g/kWh, and a PUE of 1.25.

    Ann took 1 kWh in each of two minutes and 3 kWh in each of two more, bob 0.5 kWh in each.
    """
    metered = Metered().spend(0, {1: KWH_UJ, 2: KWH_UJ // 2}, n_buckets=2)
    metered.spend(2, {1: 3 * KWH_UJ, 2: KWH_UJ // 2}, n_buckets=2)
    ann, bob = a_job(1, elapsed_s=240), a_job(2, "bob", 1001, elapsed_s=240, state="FAILED")
    site.take(*metered.contents(ann, bob))
    (tmp_path / "grid.csv").write_text(SERIES, "utf-8")
    invoke("carbon", "intensity", "import", "grid.csv")
    use_factors(invoke, tmp_path, 1.25)
    return site


def use_factors(invoke: Invoke, tmp_path: Path, pue: float) -> None:
    (tmp_path / "factors.toml").write_text(FACTORS.format(pue=pue), "utf-8")
    invoke("carbon", "factors", "add", "--use", "factors.toml")


def report(invoke: Invoke, *words: str) -> dict[str, Any]:
    """Return a report of emissions."""
    found: dict[str, Any] = from_json(invoke("report", "carbon", *words, "--json"))
    return found


@pytest.mark.usefixtures("a_site")
def test_emissions_follow_the_intensity_in_time(invoke: Invoke) -> None:
    """
    Ann's 22:13 and 22:14 are at 200 g/kWh, 22:15 and 22:16 at 400 g/kWh, all with a PUE of 1.25.

    (1 + 1) * 200 * 1.25 + (3 + 3) * 400 * 1.25 = 3500; bob's 1 * 200 * 1.25 + 1 * 400 * 1.25 came
    to nothing.
    """
    found = report(invoke)
    groups = {one["names"]["user"]: one["carbon"] for one in found["groups"]}
    assert groups["ann"]["operational_gco2e"] == pytest.approx(3500)
    assert groups["bob"]["operational_gco2e"] == pytest.approx(750)
    assert groups["ann"]["intensity_gco2e_per_kwh"] == pytest.approx(350)
    assert groups["ann"]["market_gco2e"] is None
    assert found["total"]["carbon"]["operational_gco2e"] == pytest.approx(4250)
    (lost,) = found["total"]["lost"]
    assert lost["operational_gco2e"] == pytest.approx(750)
    assert [one["operational_gco2e"] for one in found["top"]] == pytest.approx([3500, 750])


@pytest.mark.usefixtures("a_site")
def test_the_hardwares_share_follows_cores_and_time(invoke: Invoke) -> None:
    """4 of the node's 128 threads for 240 s of six years: 1100 kg * 240 / 189 345 600 * 4 / 128."""
    carbon = report(invoke, "--user", "ann")["groups"][0]["carbon"]
    share = 4 / 128 * 240 / (6 * 365.25 * 86400)
    assert carbon["embodied_gco2e"] == pytest.approx(1_100_000 * share, rel=2e-3)


@pytest.mark.usefixtures("a_site")
def test_any_period_can_be_reckoned_again(invoke: Invoke, tmp_path: Path) -> None:
    """With the factor set that was in use before: the report says which it used."""
    before = report(invoke)
    use_factors(invoke, tmp_path, 2.5)
    now = report(invoke)
    assert now["total"]["carbon"]["operational_gco2e"] == pytest.approx(8500)
    assert now["factors"]["id"] != before["factors"]["id"]
    again = report(invoke, "--factors", before["factors"]["id"][:12])
    assert again["factors"] == before["factors"]
    assert again["total"]["carbon"] == before["total"]["carbon"]


@pytest.mark.usefixtures("a_site")
def test_the_card_says_where_its_figures_are_from(invoke: Invoke) -> None:
    """Factor set, intensity, PUE; the energy, the embodied part, emissions of a core hour."""
    (card,) = report(invoke, "1")["cards"]
    assert card["carbon"]["operational_gco2e"] == pytest.approx(3500)
    assert card["gco2e_per_core_h"] == pytest.approx(3500 / (4 * 240 / 3600))
    assert card["power"]["components_w"]["cpu"] == pytest.approx([60_000, 60_000, 180_000, 180_000])
    assert card["power"]["intensity_gco2e_per_kwh"] == pytest.approx([200, 200, 400, 400])
    shown = invoke("report", "carbon", "1").stdout
    for words in ("3.50 kg", "plain", "the grid", "PUE", "embodied", "8.00 kWh"):
        assert words in shown, words


def test_without_factors_nothing_is_guessed(site: ASite, invoke: Invoke) -> None:
    """No emissions, and a word on how to get them."""
    site.take(*Metered().spend(0, {1: KWH_UJ}).contents(a_job(1)))
    carbon = report(invoke)["total"]["carbon"]
    assert carbon["operational_gco2e"] is None
    assert carbon["missing"]
    assert "cmfd carbon factors add" in invoke("report", "carbon").stdout


@pytest.mark.slow
@pytest.mark.usefixtures("a_site")
def test_every_format_can_be_had(invoke: Invoke) -> None:
    """For a table, a browser, and Prometheus."""
    assert "carbon_operational_gco2e" in invoke("report", "carbon", "--format", "csv").stdout
    assert invoke("report", "carbon", "--format", "html").stdout.startswith("<!DOCTYPE html>")
    assert "# TYPE cmfd_" in invoke("report", "carbon", "--format", "prometheus").stdout
