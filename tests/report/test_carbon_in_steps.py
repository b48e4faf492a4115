"""Emissions in reports are those of the rows, however finely a grid's intensity changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.energy import E_NS, Metered
from support.factors import FactorSite
from support.sites import ASite, from_json

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
