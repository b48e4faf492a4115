"""
Annual intensities of countries and regions, from the data files of codecarbon.

The files are found and read; the package is never imported, which would take a quarter of a
second, ask for GPUs, and read settings of its own. Its answer for what it does not know, a world
average, is never given. Checked against codecarbon 3.3.2.

Sources, as its files name them: countries: Our World in Data; states of the USA: EPA eGRID;
provinces of Canada: shares of fossil fuels times their emissions; bidding zones of Sweden and
Norway, and Finland: ENTSO-E; provinces of China: MEE and NBS.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from cmfd.errors import FactorsError

KG_PER_LB = Fraction("0.45359237")
"""The international pound."""

FUELS_G_PER_KWH = {
    "coal": Fraction("995.725971"),
    "petroleum": Fraction("816.6885263"),
    "naturalGas": Fraction("743.8415916"),
}
"""As codecarbon has them in `core/emissions.py`, from the project energy-usage."""

NORDIC = {"SWE": ("SE1", "SE2", "SE3", "SE4"), "NOR": ("NO1", "NO2", "NO3", "NO4", "NO5"),
          "FIN": ("FI",)}  # fmt: skip

_COUNTRIES = "global_energy_mix.json"


class Annual(NamedTuple):
    """An intensity that holds for a whole year, or several."""

    gco2e_per_kwh: Fraction
    scope: str
    source: str
    version: str
    """SHA-256 of the file."""


def country(code: str) -> Annual:
    """
    Return the annual intensity of a country.

    Parameters
    ----------
    code : str
        ISO 3166-1 alpha-3, in capitals.

    Raises
    ------
    FactorsError
        It is not known; the message says why.
    """
    file = _File.read(_COUNTRIES)
    found = file.content.get(code)
    if found is None or found.get("carbon_intensity") is None:
        raise FactorsError(f"codecarbon's data has no intensity of the country {code}")
    year = f", {found['year']}" if "year" in found else ""
    return file.annual(found["carbon_intensity"], "lifecycle", f"{code}{year}")


def region(code: str, name: str) -> Annual:
    """
    Return the annual intensity of a region of a country.

    Parameters
    ----------
    code : str
        Of the country: USA, CAN, CHN, SWE, NOR or FIN.
    name : str
        As ``california``, ``quebec``, ``beijing``, ``SE3``.

    Raises
    ------
    FactorsError
        It is not known; the message says why.
    """
    if name.upper() in NORDIC.get(code, ()):
        file = _File.read("nordic_emissions.json")
        found = file.content["data"].get(name.upper())
        if found:
            what = f"{name.upper()}, {found.get('year', 'no year')}"
            return file.annual(found["emission_factor"], "lifecycle", what)
    elif code in _OF_REGIONS and (annual := _OF_REGIONS[code](name.lower())) is not None:
        return annual
    raise FactorsError(f"codecarbon's data has no intensity of the region {name!r} of {code}")


def _of_the_usa(name: str) -> Annual | None:
    file = _File.read("2023/usa_emissions.json")
    found = file.content.get(name)
    if found is None or found.get("regionCode") in (None, "usa"):
        return None
    assert file.content["_unit"]["emissions"] == "lbs/MWh"
    grams = _exact(found["emissions"]) * KG_PER_LB  # lb/MWh is g/kWh, but for the mass
    return file.annual(grams, "direct", f"USA, {name}, eGRID {file.content['_source']['year']}")


def _of_canada(name: str) -> Annual | None:
    file = _File.read("2023/canada_energy_mix.json")
    found = file.content.get(name)
    if found is None:
        return None
    total = _exact(found["total"])
    grams = sum(
        (_exact(found[fuel]) / total * g for fuel, g in FUELS_G_PER_KWH.items()), Fraction()
    )
    return file.annual(grams, "direct", f"CAN, {name}, shares of fossil fuels 2023")


def _of_china(name: str) -> Annual | None:
    file = _File.read("2023/china_provincial_emissions.json")
    for found in file.content["data"].values():
        if name in found["names"]:
            what = f"CHN, {name}, {found['year']}, CO2 only"
            return file.annual(found["emission_factor"], "direct", what)
    return None


_OF_REGIONS = {"USA": _of_the_usa, "CAN": _of_canada, "CHN": _of_china}


class _File(NamedTuple):
    """A data file of codecarbon."""

    name: str
    content: Any
    digest: str

    @classmethod
    def read(cls, name: str) -> _File:
        path = data_directory() / "private_infra" / name
        try:
            data = path.read_bytes()
            return cls(name, json.loads(data), hashlib.sha256(data).hexdigest())
        except (OSError, ValueError) as error:
            raise FactorsError(f"codecarbon's {name} cannot be read: {error}") from error

    def annual(self, grams: float | Fraction, scope: str, what: str) -> Annual:
        source = f"codecarbon {_version()} {self.name}: {what}"
        return Annual(_exact(grams), scope, source, self.digest)


def _exact(value: float | Fraction) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(repr(value))


def data_directory() -> Path:
    """
    Return where codecarbon keeps its data, without importing it.

    Raises
    ------
    FactorsError
        It is not installed.
    """
    spec = find_spec("codecarbon")
    if spec is None or not spec.submodule_search_locations:
        raise FactorsError("codecarbon's data is not installed: pip install 'cmfd[energy]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def _version() -> str:
    try:
        return metadata.version("codecarbon")
    except metadata.PackageNotFoundError:  # a directory on the path
        return "of unknown version"
