"""The commands `cmfd carbon` and `cmfd report shift`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from support.energy import E_NS, Metered
from support.factors import FACTORS, GB, HEAD, FactorSite
from support.sites import ASite, from_json

from cmfd.carbon.instants import instant
from cmfd.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Invoke = Callable[..., Result]

HOUR_NS = 3_600_000_000_000
KWH_UJ = 3_600_000_000_000


@pytest.fixture
def invoke(site: FactorSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site, in this process."""
    monkeypatch.setenv("CMFD_SITE", str(site.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gb.csv").write_text(f"{HEAD}\n{GB}")
    (tmp_path / "factors.toml").write_text(FACTORS)

    def run(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


def test_import_says_what_is_missing_and_comes_again_to_nothing(invoke: Invoke) -> None:
    """A gap is told each time; the second time, that it was here already."""
    first = invoke("carbon", "intensity", "import", "gb.csv").stdout
    second = invoke("carbon", "intensity", "import", "gb.csv").stdout

    for said in (first, second):
        assert "no value of GB (average, lifecycle) from 2026-03-29T02:00:00Z" in said
    assert "3 rows: imported" in first
    assert "nothing changed" in second
    assert invoke("carbon", "intensity", "import", "gb.csv", "-q").output == ""


def test_who_wants_no_gaps_gets_none(invoke: Invoke) -> None:
    """Nothing is imported."""
    assert (
        "has 1 gap"
        in invoke("carbon", "intensity", "import", "--complete", "gb.csv", code=20).stderr
    )
    assert from_json(invoke("carbon", "intensity", "list", "--json")) == []


def test_series_are_listed_with_what_they_cover(invoke: Invoke) -> None:
    """For people and for programs."""
    made = from_json(invoke("carbon", "intensity", "import", "gb.csv", "--json"))["imported"]
    (listed,) = from_json(invoke("carbon", "intensity", "list", "--json"))

    assert listed == made
    (part,) = listed["parts"]
    assert (part["zone"], part["n_rows"], part["covered_share"]) == ("GB", 3, 0.75)
    assert part["mean_gco2e_per_kwh"] == (100 + 200.5 + 300) / 3
    assert "75.0 %" in invoke("carbon", "intensity", "list").stdout
    assert "source: NESO" in invoke("carbon", "intensity", "show", "last").stdout
    shown = invoke("carbon", "intensity", "show", listed["series"][:6], "--csv").stdout
    assert shown == f"{HEAD}\n{GB}"


def test_a_file_with_errors_has_an_exit_code_of_its_own(invoke: Invoke, tmp_path: Path) -> None:
    """And says every line, on standard error."""
    (tmp_path / "bad.csv").write_text(f"{HEAD}\n{GB.replace('100', 'NaN')}")
    (tmp_path / "bad.toml").write_text("name = 3")

    assert "line 2" in invoke("carbon", "intensity", "import", "bad.csv", code=20).stderr
    assert "bad.toml" in invoke("carbon", "factors", "add", "bad.toml", code=20).stderr
    assert "none.csv" in invoke("carbon", "intensity", "import", "none.csv", code=20).stderr


def test_factors_are_added_chosen_and_shown(invoke: Invoke, tmp_path: Path) -> None:
    """What is in use is what `show` prints, as it was written."""
    invoke("carbon", "factors", "show", code=4)
    assert "not in use" in invoke("carbon", "factors", "add", "factors.toml").stdout
    assert "in use" in invoke("carbon", "factors", "use", "plain").stdout
    (tmp_path / "newer.toml").write_text(FACTORS.replace("plain", "newer"))
    added = from_json(invoke("carbon", "factors", "add", "--use", "newer.toml", "--json"))

    assert (added["is_new"], added["added"]["is_current"]) == (True, True)
    assert invoke("carbon", "factors", "show").stdout == FACTORS.replace("plain", "newer")
    assert invoke("carbon", "factors", "show", "plain").stdout == FACTORS
    listed = from_json(invoke("carbon", "factors", "list", "--json"))
    assert [(one["name"], one["is_current"]) for one in listed] == [
        ("plain", False),
        ("newer", True),
    ]
    assert "newer" in invoke("carbon", "factors", "list").stdout


def test_sources_that_have_nothing_are_told_when_they_are_named(
    invoke: Invoke, tmp_path: Path
) -> None:
    """A zone that is misspelt, or a country that is none, is found before a report lacks it."""
    more = 'zone = "GB"\ncountry = "ZZZ"'
    text = FACTORS.replace('zone = "GB"', more).replace('["series"]', '["series", "country"]')
    (tmp_path / "factors.toml").write_text(text)

    told = invoke("carbon", "factors", "add", "factors.toml").stderr
    assert "no intensity series of zone GB" in told
    assert "country ZZZ" in told or "cmfd[energy]" in told  # without codecarbon's data
    invoke("carbon", "intensity", "import", "gb.csv")
    added = from_json(invoke("carbon", "factors", "add", "factors.toml", "--json"))
    assert not [one for one in added["problems"] if "GB" in one]


def test_a_set_in_use_that_is_gone_is_named(invoke: Invoke, site: FactorSite) -> None:
    """Somebody removed its file: nothing is reckoned with another one instead."""
    book = site.factors()
    (site.path / "factors" / "sets" / f"{book.factor_set_id}.toml").unlink()

    assert book.factor_set_id in invoke("carbon", "factors", "show", code=4).stderr


def with_energy(site: FactorSite) -> None:
    """Give the site two runs, of ten minutes each, and two hours of intensities."""
    metered = Metered()
    metered.spend(0, {1: KWH_UJ // 10, 2: KWH_UJ // 10}, n_buckets=10)
    ASite(site.path).take(*metered.contents())
    hours = [
        f"GB,{instant(E_NS + n * HOUR_NS)},{instant(E_NS + (n + 1) * HOUR_NS)},{grams},"
        "average,lifecycle,false,NESO"
        for n, grams in enumerate((300, 100))
    ]
    site.series("\n".join(hours) + "\n")
    site.factors()


def test_shift_says_when_a_run_had_better_begun(invoke: Invoke, site: FactorSite) -> None:
    """An hour later the grid emitted a third."""
    with_energy(site)
    found = from_json(invoke("report", "shift", "--after", "2", "--json"))

    assert found["n_known"] == 2
    assert found["operational_gco2e"] == pytest.approx(2 * 1.25 * 300)
    assert found["best_gco2e"] == pytest.approx(2 * 1.25 * 100)
    run: dict[str, Any] = found["runs"][0]
    assert run["operational_gco2e"] == run["worst_gco2e"] == pytest.approx(375)
    assert (run["n_starts"], run["n_unknown"]) == (9, 1)
    text = invoke("report", "shift", "--after", "2")
    assert "66.7 % less" in text.stdout


def test_shift_narrows_as_other_reports_do(invoke: Invoke, site: FactorSite) -> None:
    """To a run, and to another factor set."""
    with_energy(site)
    one = from_json(invoke("report", "shift", "last", "--json"))
    assert len(one["runs"]) == 1
    invoke("report", "shift", "--factors", "none", code=4)
    assert "Nothing is known" in invoke("report", "shift", "--user", "nobody").stderr


def test_shift_without_series_knows_nothing(invoke: Invoke, site: FactorSite) -> None:
    """And says what must be there."""
    metered = Metered()
    metered.spend(0, {1: KWH_UJ})
    ASite(site.path).take(*metered.contents())

    assert "Of no run both is known" in invoke("report", "shift").stdout
