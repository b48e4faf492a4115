"""Emissions in reports are those of the rows, and of what they were spent on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.energy import E_NS, Metered
from support.factors import FactorSite
from support.packs import an_id
from support.sites import ASite, a_run, from_json

from cmfd.carbon.instants import instant
from cmfd.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = 60_000_000_000
KWH_UJ = 3_600_000_000_000


@pytest.mark.parametrize("minutes", [1, 5, 20])
def test_energy_meets_the_intensity_of_its_minute(tmp_path: Path, minutes: int) -> None:
    """Every minute takes more than the last, and every few of them the grid changes."""
    site = FactorSite(tmp_path)
    metered, grams = Metered(), [(n * 37) % 101 for n in range(40)]
    for minute in range(40):
        metered.spend(minute, {1: minute * KWH_UJ})
    ASite(site.path).take(*metered.contents())
    step_ns = minutes * MINUTE_NS
    site.series("".join(
        f"GB,{instant(E_NS + n * step_ns)},{instant(E_NS + (n + 1) * step_ns)},{one},"
        "average,lifecycle,false,NESO\n"
        for n, one in enumerate(grams)
    ))  # fmt: skip
    site.factors()

    words = ["report", "carbon", "--by", "user", "--json", "--site", str(site.path)]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)

    wanted = sum(minute * grams[minute // minutes] * 1.25 for minute in range(40))
    assert from_json(done)["total"]["carbon"]["operational_gco2e"] == pytest.approx(wanted)


def test_the_job_card_has_the_sci_score_of_a_sample(tmp_path: Path) -> None:
    """((E * I) + M) per R: 1 kWh, a minute of a whole node, 600 samples of which two ranks."""
    site, metered = FactorSite(tmp_path), Metered()
    metered.spend(0, {1: KWH_UJ})
    metered.rows = [
        row._replace(method="exclusive", execution=an_id("exec", 1))
        for row in metered.rows
        if row.owner == "run"
    ]
    ASite(site.path).take(*metered.contents(a_run(1, samples=[290.0])))
    until = instant(E_NS + 60 * MINUTE_NS)
    site.series(f"GB,{instant(E_NS)},{until},200,average,lifecycle,false,NESO\n")
    site.factors()

    words = ["report", "carbon", "1", "--site", str(site.path)]
    found = from_json(CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False))
    (card,) = found["cards"]
    carbon, (unit,) = card["carbon"], card["units"]

    assert unit["n_samples"] == 590  # 290, and 300 of the second rank
    assert carbon["operational_gco2e"] == pytest.approx(250)
    assert carbon["embodied_gco2e"] > 0
    score = (carbon["operational_gco2e"] + carbon["embodied_gco2e"]) / 590
    assert unit["sci_gco2e_per_sample"] == pytest.approx(score)
    text = CliRunner().invoke(cli, words, catch_exceptions=False).stdout
    assert f"SCI {score:.3g} gCO2e per sample" in text
