"""Intensity series and factor sets as an operator has them, and energy to reckon with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon import kept
from cmfd.carbon.book import CarbonBook
from cmfd.carbon.instants import instant_ns
from cmfd.merge.layout import init_site

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "zone,start_utc,end_utc,g_per_kwh,basis,scope,estimated,source"
HOUR_NS = 3_600_000_000_000
KWH_UJ = 3_600_000_000_000
T0_NS = instant_ns("2026-03-29T00:00:00Z")
"""A night in which clocks are put forward in Europe: of no matter to UTC."""

GB = """\
GB,2026-03-29T00:00:00Z,2026-03-29T01:00:00Z,100,average,lifecycle,false,NESO
GB,2026-03-29T01:00:00Z,2026-03-29T02:00:00Z,200.5,average,lifecycle,true,NESO
GB,2026-03-29T03:00:00Z,2026-03-29T04:00:00Z,300,average,lifecycle,false,NESO
"""
"""Three hours with a gap of one before the last."""

FACTORS = """\
name = "plain"

[[places]]
nodes = ["*"]
zone = "GB"
order = ["series"]
pue = [{ value = 1.25, source = "metered" }]

[[node_types]]
name = "standard"
nodes = ["n*"]
embodied_kg = 1100.0
lifetime_years = 6.0
source = "the maker"
"""


class Energy(NamedTuple):
    """A row of energy."""

    node: str
    t0_ns: int
    dur_ns: int
    uj: int
    grade: str = "A"


class FactorSite:
    """A site to which factors are added."""

    def __init__(self, path: Path) -> None:
        self.path = path / "site"
        self._files = path
        init_site(self.path)

    def series(self, rows: str = GB, name: str = "gb.csv") -> kept.KeptSeries:
        """Import a series."""
        file = self._files / name
        file.write_text(f"{HEAD}\n{rows}", "utf-8")
        return kept.add_series(self.path, file)[0]

    def factors(self, text: str = FACTORS, name: str = "factors.toml") -> CarbonBook:
        """Add a factor set, and use it."""
        file = self._files / name
        file.write_text(text, "utf-8")
        return CarbonBook(self.path, kept.use(self.path, kept.add_factors(self.path, file)[0].id))


def at(hours: float) -> int:
    """Return a time, in hours after `T0_NS`."""
    return T0_NS + round(hours * HOUR_NS)
