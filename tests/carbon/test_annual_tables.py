"""Annual intensities, from codecarbon's files and without it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from cmfd.carbon import tables
from cmfd.errors import FactorsError

if TYPE_CHECKING:
    from pathlib import Path

USA = {
    "_unit": {"emissions": "lbs/MWh"},
    "_source": {"year": 2023},
    "california": {"emissions": 394.769, "regionCode": "CA"},
    "united states": {"emissions": 770.884, "regionCode": "usa"},
}
CANADA = {
    "alberta": {"total": 100.1, "coal": 50.0, "naturalGas": 40.0, "petroleum": 0.1, "hydro": 10}
}
CHINA = {"data": {"CN-BJ": {"emission_factor": 555.4, "year": 2023, "names": ["beijing"]}}}
NORDIC = {"data": {"SE3": {"emission_factor": 27.0, "year": 2025}}}
WORLD = {
    "FRA": {"carbon_intensity": 56.039, "year": 2023},
    "XXX": {"total_TWh": 1.0},
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data of a package of codecarbon's form, which fails if it is imported."""
    package = tmp_path / "codecarbon"
    data = package / "data" / "private_infra"
    (data / "2023").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    for name, content in (
        ("global_energy_mix.json", WORLD),
        ("nordic_emissions.json", NORDIC),
        ("2023/usa_emissions.json", USA),
        ("2023/canada_energy_mix.json", CANADA),
        ("2023/china_provincial_emissions.json", CHINA),
    ):
        (data / name).write_text(json.dumps(content))
    monkeypatch.syspath_prepend(tmp_path)
    return data


def test_a_country_is_as_its_file_says(installed: Path) -> None:
    """With where it is from: the file, the year, and the file's digest."""
    found = tables.country("FRA")

    assert float(found.gco2e_per_kwh) == 56.039
    assert "global_energy_mix.json: FRA, 2023" in found.source
    data = (installed / "global_energy_mix.json").read_bytes()
    assert found.version == hashlib.sha256(data).hexdigest()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("country", "region", "grams"),
    [
        ("USA", "california", 394.769 * 0.45359237),
        ("USA", "California", 394.769 * 0.45359237),
        ("CAN", "alberta", (50 * 995.725971 + 40 * 743.8415916 + 0.1 * 816.6885263) / 100.1),
        ("CHN", "beijing", 555.4),
        ("SWE", "se3", 27.0),
    ],
)
def test_regions_are_as_codecarbon_reckons_them(country: str, region: str, grams: float) -> None:
    """Pounds for a megawatt hour, shares of fuels, or the factor itself."""
    assert float(tables.region(country, region).gco2e_per_kwh) == pytest.approx(grams, rel=1e-12)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("country", "region"),
    [
        ("USA", "_source"), ("USA", "united states"), ("USA", "atlantis"), ("CAN", "x"),
        ("CHN", "x"), ("SWE", "NO1"), ("NOR", "NO1"), ("FRA", "bretagne"),
    ],
)  # fmt: skip
def test_a_region_that_is_not_known_is_no_guess(country: str, region: str) -> None:
    """Neither the country's nor the world's average takes its place."""
    with pytest.raises(FactorsError, match="no intensity of the region"):
        tables.region(country, region)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("code", ["XXX", "ATL"])
def test_a_country_that_is_not_known_is_no_world_average(code: str) -> None:
    """Codecarbon itself would say 475 g/kWh."""
    with pytest.raises(FactorsError, match=f"no intensity of the country {code}"):
        tables.country(code)


def test_a_file_that_is_broken_is_told(installed: Path) -> None:
    """By its name."""
    (installed / "global_energy_mix.json").write_text("{")
    with pytest.raises(FactorsError, match=r"global_energy_mix\.json cannot be read"):
        tables.country("FRA")


def test_without_codecarbon_it_says_what_to_install() -> None:
    """In a Python that has none."""
    program = """if True:
    import sys
    from cmfd.carbon import tables
    from cmfd.errors import FactorsError
    tables.find_spec = lambda name: None
    try:
        tables.country("FRA")
    except FactorsError as error:
        print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "pip install 'cmfd[energy]'" in done.stdout


@pytest.mark.skipif(find_spec("codecarbon") is None, reason="needs the data of cmfd[energy]")
def test_the_real_files_are_read_without_importing_the_package() -> None:
    """Countries, and each kind of region, are of a size that can be."""
    program = """if True:
    import sys
    from cmfd.carbon import tables
    found = [tables.country(code) for code in ("FRA", "DEU", "GBR")]
    regions = {"USA": "california", "CAN": "quebec", "CHN": "beijing", "SWE": "SE1"}
    found += [tables.region(code, name) for code, name in regions.items()]
    assert "codecarbon" not in sys.modules
    print(*(float(one.gco2e_per_kwh) for one in found))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    france, germany, britain, california, quebec, beijing, sweden = map(float, done.stdout.split())

    assert quebec < sweden < france < california < britain < germany < beijing
