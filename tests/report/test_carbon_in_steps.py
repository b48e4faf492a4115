"""Emissions in reports are those of the rows, and of what they were spent on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.energy import DAEMON, E_NS, Metered
from support.factors import FACTORS, FactorSite
from support.jobs import a_job
from support.packs import an_id
from support.sites import ASite, a_run, from_json

from cmfd.carbon.instants import instant
from cmfd.cli.main import cli
from cmfd.query.energy import rows
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
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


def test_energy_over_the_border_of_two_hours_is_in_both(tmp_path: Path) -> None:
    """A third of a row's time, and of its 3 kWh, is before the hour: 100 g/kWh then, 400 after."""
    site, metered = FactorSite(tmp_path), Metered()
    border_ns = E_NS // HOUR_NS * HOUR_NS + HOUR_NS
    metered.spend(0, {1: 3 * KWH_UJ})
    metered.rows = [row._replace(t0_ns=border_ns - MINUTE_NS // 3) for row in metered.rows]
    ASite(site.path).take(*metered.contents())
    site.series("".join(
        f"GB,{instant(border_ns + n * HOUR_NS)},{instant(border_ns + (n + 1) * HOUR_NS)},{grams},"
        "average,lifecycle,false,NESO\n"
        for n, grams in ((-1, 100), (0, 400))
    ))  # fmt: skip
    site.factors()

    words = ["report", "carbon", "--by", "user", "--json", "--site", str(site.path)]
    carbon = from_json(CliRunner().invoke(cli, words, catch_exceptions=False))["total"]["carbon"]

    assert carbon["operational_gco2e"] == pytest.approx((100 + 2 * 400) * 1.25, rel=1e-12)
    assert carbon["energy_j"] == 3 * KWH_UJ / 1e6


@pytest.mark.slow
@pytest.mark.parametrize("zone_of_n2", ["GB", "FR"])
def test_however_runs_are_put_together_emissions_are_those_of_the_rows(
    tmp_path: Path, zone_of_n2: str
) -> None:
    """Two users on two nodes, of one grid or each of its own; some rows are in several hours."""
    site, metered = FactorSite(tmp_path), Metered()
    begin_ns = E_NS // HOUR_NS * HOUR_NS
    for minute in range(0, 200, 7):
        for node, owners in (("n1", (1, 2)), ("n2", (2, 3))):
            metered.spend(
                minute, {one: (minute + one) * KWH_UJ // 10**6 for one in owners}, node=node
            )
    metered.rows = [row._replace(t0_ns=row.t0_ns + row.t0_ns % 59 * 10**9) for row in metered.rows]
    metered.rows += [
        row._replace(t0_ns=row.t0_ns + 1, dur_ns=3 * HOUR_NS) for row in metered.rows[:8]
    ]
    jobs = [a_job(number, user) for number, user in ((1, "ann"), (2, "bob"), (3, "ann"))]
    ASite(site.path).take(*metered.contents(*jobs))
    site.series("".join(
        f"{zone},{instant(begin_ns + n * HOUR_NS)},{instant(begin_ns + (n + 1) * HOUR_NS)},"
        f"{100 * n + number}.123456789012,average,lifecycle,{str(n == 1).lower()},NESO\n"
        for number, zone in enumerate(("GB", "FR"))
        for n in range(5)
    ))  # fmt: skip
    place = FACTORS[FACTORS.index("[[places]]") : FACTORS.index("[[node_types]]")]
    other = place.replace('"*"', '"n2"').replace("GB", "FR").replace("1.25", "1.125")
    places = place if zone_of_n2 == "GB" else other + place
    book = site.factors(FACTORS.replace(place, places))
    with open_index(site.path) as db:
        wanted = book.of(rows(db))

    for by in ("user", "node", "run", "stage", "month"):
        words = ["report", "carbon", "--by", by, "--json", "--site", str(site.path)]
        found = from_json(CliRunner().invoke(cli, words, catch_exceptions=False))
        whole = found["total"]["carbon"]
        assert whole["energy_j"] == wanted.energy_j
        assert whole["covered_share"] == 1
        for figure in ("operational_gco2e", "low_gco2e", "high_gco2e"):
            parts = [group["carbon"][figure] for group in found["groups"] if group["carbon"]]
            assert sum(parts) == pytest.approx(whole[figure], rel=1e-12)
            assert whole[figure] == pytest.approx(getattr(wanted, figure), rel=1e-9)
        shares = {(one["factor"], one["estimated_share"] > 0) for one in whole["provenance"]}
        assert ("intensity", True) in shares


def test_stages_side_by_side_hold_a_node_once(tmp_path: Path) -> None:
    """Two stages of a run for the same minute: of a node's hardware, each has half."""
    site, metered = FactorSite(tmp_path), Metered()
    metered.spend(0, {1: KWH_UJ})
    metered.rows = [row._replace(method="exclusive") for row in metered.rows if row.owner == "run"]
    content = a_run(1)
    (one,), (ended,) = (
        content["execution"],
        [(an_id("exec", 1), E_NS, DAEMON, "completed", 0, None)],
    )
    content["execution"] = [(name, E_NS, *one[2:6], stage, one[7]) for name, stage in (
        (an_id("exec", 1), "left"), (an_id("exec", 9), "right")
    )]  # fmt: skip
    content["execution_end"] = [
        (name, E_NS + MINUTE_NS, *ended[2:]) for name in (an_id("exec", 1), an_id("exec", 9))
    ]
    metered.rows = [
        row._replace(execution=name, uj=row.uj // 2)
        for row in metered.rows
        for name in (an_id("exec", 1), an_id("exec", 9))
    ]
    ASite(site.path).take(*metered.contents(content))
    site.factors()

    words = ["report", "carbon", "--by", "stage", "--json", "--site", str(site.path)]
    found = from_json(CliRunner().invoke(cli, words, catch_exceptions=False))

    parts = [group["carbon"]["embodied_gco2e"] for group in found["groups"]]
    assert len(parts) == 2
    assert parts[0] == pytest.approx(parts[1])
    assert sum(parts) == pytest.approx(found["total"]["carbon"]["embodied_gco2e"])
    (share,) = (
        one for one in found["total"]["carbon"]["provenance"] if one["factor"] == "embodied"
    )
    lifetime_ns = 6 * 365.25 * 86400 * 1e9
    assert sum(parts) == pytest.approx(share["value"] * 1000 * MINUTE_NS / lifetime_ns, rel=1e-3)


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
