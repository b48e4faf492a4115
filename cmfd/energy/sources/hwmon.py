"""
Sensors of energy and power that drivers show as hwmon, and NVIDIA Grace among them.

A chip's sensors may overlap those of others, so that only chips whose meaning is known are read:
see `_CHIPS`. Energies are microjoules and powers microwatts
(`Documentation/hwmon/sysfs-interface.rst` of the kernel).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.sources.files import KERNEL, text_of
from cmfd.energy.sources.sensors import Sensor, SensorSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.config import Settings
    from cmfd.energy.readings import Component, Grade, Kind, Probe, Roots, Scope
    from cmfd.energy.sources.files import Files


class _Chip(NamedTuple):
    component: Component
    kind: Kind
    label: str
    """A pattern for the labels of the sensors that are counted; the others are parts of these."""


_CHIPS = {
    "power_meter": _Chip("node", "power", r".*"),  # the platform's meter, by ACPI
    "ibmpowernv": _Chip("node", "power", r"System"),
    "amd_energy": _Chip("cpu", "counter", r"Esocket\d+"),
    "amdgpu": _Chip("gpu", "power", r"|PPT|slowPPT"),
    "i915": _Chip("gpu", "counter", r""),
    "xe": _Chip("gpu", "counter", r"card"),
}
_GRACE = re.compile(r"(Module|Grace|CPU|SysIO) Power Socket (\d+)")


def _directories(sys: Path) -> list[Path]:
    """Return the chips, in the order of their numbers."""
    found = (sys / "class" / "hwmon").glob("hwmon*")
    return sorted(found, key=lambda path: (len(path.name), path.name))


class Hwmon(SensorSource):
    """Sensors of the chips that are known."""

    name = "hwmon"
    grade: Grade = "C"
    scope: Scope = "other"

    def __init__(self, roots: Roots, _settings: Settings, files: Files = KERNEL) -> None:
        super().__init__(files)
        self._sys = roots.sys

    def probe(self) -> Probe:
        """Read every sensor once; what only counts energy is better than what says a power."""
        counters_only = all(sensor.kind == "counter" for sensor in self.sensors())
        self.grade = "B" if counters_only else "C"
        return super().probe()

    def absence(self) -> str:
        """Say what was looked for in vain."""
        return f"no chip under {self._sys / 'class' / 'hwmon'} whose energy or power is known"

    def sensors(self) -> list[Sensor]:
        """Return the sensors of known chips."""
        return [sensor for chip in _directories(self._sys) for sensor in _of_chip(chip)]


class GraceHwmon(SensorSource):
    """
    The power of Grace processors, from the kernel's ACPI power meters.

    Each says in `power1_oem_info` what it measures: ``Grace`` is a socket, ``CPU`` and ``SysIO``
    are parts of it, and ``Module`` is the socket with what shares its module.
    """

    name = "grace"
    grade: Grade = "C"
    scope: Scope = "package"

    def __init__(self, roots: Roots, _settings: Settings, files: Files = KERNEL) -> None:
        super().__init__(files)
        self._sys = roots.sys

    def absence(self) -> str:
        """Say what was looked for in vain."""
        return "no power meter of a Grace socket"

    def sensors(self) -> list[Sensor]:
        """Return one sensor for each socket, or its two parts where only these are there."""
        found = dict(self._all())
        chosen = []
        for (part, socket), path in sorted(found.items()):
            if part == "Grace" or (part in ("CPU", "SysIO") and ("Grace", socket) not in found):
                domain = f"{part.lower()}-{socket}"
                chosen.append(Sensor(domain, "cpu", "power", path))
        return chosen

    def _all(self) -> Iterator[tuple[tuple[str, str], Path]]:
        for directory in _directories(self._sys):
            meter = directory / "device"
            if named := _GRACE.fullmatch(text_of(meter / "power1_oem_info")):
                yield (named[1], named[2]), meter / "power1_average"


def _is_grace(directory: Path) -> bool:
    """Tell whether a power meter is one of a Grace socket, not of a node."""
    return _GRACE.fullmatch(text_of(directory / "device" / "power1_oem_info")) is not None


def _of_chip(directory: Path) -> Iterator[Sensor]:
    name = text_of(directory / "name")
    chip = _CHIPS.get(name)
    if chip is None or _is_grace(directory):
        return
    place = (directory / "device").resolve().name
    for number, path in sorted(_inputs(directory, chip.kind).items()):
        prefix = "energy" if chip.kind == "counter" else "power"
        label = text_of(directory / f"{prefix}{number}_label")
        if re.fullmatch(chip.label, label):
            yield Sensor(f"{name}/{place}/{label or number}", chip.component, chip.kind, path)


def _inputs(directory: Path, kind: Kind) -> dict[str, Path]:
    """Return a chip's inputs by number; an averaged power rather than one of this instant."""
    if kind == "counter":
        return {_number(path): path for path in directory.glob("energy*_input")}
    found = {_number(path): path for path in directory.glob("power*_input")}
    return found | {_number(path): path for path in directory.glob("power*_average")}


def _number(path: Path) -> str:
    return re.sub(r"\D", "", path.name)
