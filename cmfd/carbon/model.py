"""
What carbon figures are made from and what they say.

Grams of CO2 equivalent (``_gco2e``), grams per kilowatt hour (``_gco2e_per_kwh``), UTC nanoseconds
(``_ns``). Times are half-open. None is what is not known: never a zero, and never a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from cmfd.query.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction


class EnergyRow(Protocol):
    """
    A row of energy, as far as emissions depend on it.

    Only rows that are counted (role ``count``), each once.
    """

    @property
    def node(self) -> str:
        """The node that took it."""

    @property
    def t0_ns(self) -> int:
        """When its time begins."""

    @property
    def dur_ns(self) -> int:
        """How long its time is."""

    @property
    def uj(self) -> int:
        """Microjoules, spread evenly over its time."""

    @property
    def grade(self) -> str:
        """How well it is known: ``A`` to ``E``."""


class Weighed(NamedTuple):
    """Energy in steps of time whose factors differ in nothing but the grid's intensity."""

    node: str
    """One that took it, or one that has the same factors."""
    grade: str
    first_ns: int
    """When the first step begins."""
    end_ns: int
    """When the last one ends."""
    uj: int
    weighted: Fraction
    """Microjoules, those of each step times its intensity (gCO2e/kWh); 0 where none is known."""


class Hold(NamedTuple):
    """A share of a node that was held for some time, used or not: what embodied carbon goes by."""

    node: str
    dur_ns: int
    """TiR of SCI, time reserved."""
    share: float
    """RR / ToR of SCI: resources reserved of those that the node has, as cores; 0 to 1."""


class Stretch(Result, frozen=True, kw_only=True):
    """A time with one intensity of the grid."""

    began_ns: int
    ended_ns: int
    gco2e_per_kwh: float | None
    """None where no source has one."""
    market_gco2e_per_kwh: float | None
    pue: float | None
    kind: str | None
    """``series``, ``regional``, ``country``, ``constant``; None where no source has one."""
    source: str | None
    estimated: bool


class Provenance(Result, frozen=True, kw_only=True):
    """A factor that went into a figure, and where it is from."""

    factor: str
    """``intensity``, ``pue``, ``market`` or ``embodied``."""
    kind: str
    """Of an intensity: ``series``, ``regional``, ``country``, ``constant``; else ``configured``."""
    value: float
    """Mean of it, each moment weighted by the energy it took."""
    unit: str
    """``gCO2e/kWh``, ``1`` or ``kgCO2e``."""
    source: str
    """Who says so, for people."""
    version: str
    """SHA-256 of the series or of the file; the version of the package; empty for configured."""
    share: float
    """Of the energy (embodied: of the node time) that it was used for."""
    basis: str | None = None
    """Of an intensity: ``average`` or ``marginal``."""
    scope: str | None = None
    """Of an intensity: ``lifecycle`` or ``direct``."""
    estimated_share: float = 0.0
    """Of the energy for which the source itself says that the value is an estimate."""


class Carbon(Result, frozen=True, kw_only=True):
    """Emissions; location-based and market-based ones are never added up."""

    energy_j: float
    """What it is about, without PUE."""
    operational_gco2e: float | None
    """
    Location-based, PUE included; of the covered share of the energy only. None where nothing is
    covered: `missing` says why.
    """
    low_gco2e: float | None
    high_gco2e: float | None
    """Bounds of it: energy, PUE and intensity each at its own extreme, all at once."""
    market_gco2e: float | None
    """Market-based, PUE included; None where no factor is configured for all of the time."""
    embodied_gco2e: float | None
    """The hardware's share, after SCI; None where a node's type is not configured."""
    intensity_gco2e_per_kwh: float | None
    """
    Mean of the grid's, each moment weighted by the energy that the facility took for it (PUE
    included); PUE is no part of the value: emissions are energy times `pue` times this.
    """
    pue: float | None
    """Mean, each moment weighted by the energy that it took."""
    covered_share: float
    """Share of the energy for whose time an intensity and a PUE are known."""
    provenance: list[Provenance]
    factor_set_id: str
    """SHA-256; empty if the site has no factor set."""
    factor_set_name: str
    missing: list[str]
    """What is not known, or taken from elsewhere, and what to do: one sentence each."""

    @property
    def total_gco2e(self) -> float | None:
        """Operational (location-based) and embodied; None where either is not known."""
        if self.operational_gco2e is None or self.embodied_gco2e is None:
            return None
        return self.operational_gco2e + self.embodied_gco2e

    def per_unit_gco2e(self, n_units: float) -> float | None:
        """
        Return the SCI score, ``((E * I) + M) per R`` (ISO/IEC 21031:2024).

        Parameters
        ----------
        n_units : float
            How many functional units (R) it is about, as samples, steps or jobs; above 0.

        Returns
        -------
        float or None
            gCO2e for each; None where `total_gco2e` is, or not all of the energy is covered.
        """
        total = self.total_gco2e
        return None if total is None or self.covered_share < 1 else total / n_units


GRADE_BOUNDS: Mapping[str, tuple[float, float]] = {
    "A": (0.05, 0.05),
    "B": (0.10, 0.10),
    "C": (0.20, 0.20),
    "D": (0.50, 0.50),
    "E": (0.50, 1.00),
}
"""
How far energy of each grade may lie below and above what is said, as shares of it, where nobody
says otherwise.
"""
