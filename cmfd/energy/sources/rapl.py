"""
RAPL: the counters of processor packages and their memory, as the kernel's powercap shows them.

Packages and their ``dram`` are added. ``core`` and ``uncore`` are parts of a package, ``psys``
holds packages, and what ``intel-rapl-mmio`` shows is a package seen another way: none of these
is counted (`Documentation/power/powercap/powercap.rst` of the kernel). Fans, disks, network and
the losses of the power supply are in none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.energy.sources.files import KERNEL, text_of
from cmfd.energy.sources.sensors import Sensor, SensorSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.config import Settings
    from cmfd.energy.readings import Grade, Roots, Scope
    from cmfd.energy.sources.files import Files


class Rapl(SensorSource):
    """Package and dram counters in microjoules, which wrap after minutes."""

    name = "rapl"
    grade: Grade = "B"
    scope: Scope = "package"

    def __init__(self, roots: Roots, _settings: Settings, files: Files = KERNEL) -> None:
        super().__init__(files)
        self._zones = roots.sys / "class" / "powercap"

    def absence(self) -> str:
        """Say what was looked for in vain."""
        return f"no RAPL package under {self._zones}"

    def sensors(self) -> list[Sensor]:
        """Return each package and its dram once, from whichever interface has it first."""
        found: dict[str, Sensor] = {}
        for sensor in self._all():
            found.setdefault(sensor.domain, sensor)
        return sorted(found.values(), key=lambda sensor: sensor.domain)

    def _all(self) -> Iterator[Sensor]:
        try:
            zones = sorted(self._zones.iterdir(), key=_preference)
        except OSError:
            return
        for zone in zones:
            control, *place = zone.name.split(":")
            name = text_of(zone / "name")
            if len(place) == 1 and name.startswith("package"):
                yield _sensor(name, zone)
            elif len(place) == 2 and name == "dram":
                package = text_of(self._zones / f"{control}:{place[0]}" / "name")
                yield _sensor(f"{package}/dram", zone)


def _preference(zone: Path) -> tuple[bool, str]:
    """Sort what the processor's registers say before what its memory-mapped ones do."""
    return "mmio" in zone.name, zone.name


def _sensor(domain: str, zone: Path) -> Sensor:
    most = text_of(zone / "max_energy_range_uj")
    return Sensor(
        domain,
        "dram" if domain.endswith("/dram") else "cpu",
        "counter",
        zone / "energy_uj",
        int(most) if most.isdigit() else None,
    )
