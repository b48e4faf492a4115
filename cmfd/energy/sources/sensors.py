"""What sources of counters in sysfs have in common: a file for each domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.readings import Probe, Reading, boottime_ns
from cmfd.energy.sources.files import KERNEL, KeptFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cmfd.energy.readings import Component, Grade, Kind, Scope
    from cmfd.energy.sources.files import Files

READ_ADVICE = (
    "An administrator can let the daemon's group read it, as `cmfd slurm install` does, or give "
    "its service CAP_DAC_READ_SEARCH (see the reference of energy sources)."
)


class Sensor(NamedTuple):
    """
    One file that says the energy or power of one domain, in microjoules or microwatts.

    Attributes
    ----------
    domain, component, kind : str
        As in a reading.
    path : Path
        The file.
    range_uj : int or None
        Where it begins again at zero.
    """

    domain: str
    component: Component
    kind: Kind
    path: Path
    range_uj: int | None = None


class SensorSource:
    """
    Reads a list of sensors, which a subclass finds.

    Attributes
    ----------
    name, grade, scope, min_interval_s
        As `cmfd.energy.readings.Source`.
    """

    name: str
    grade: Grade
    scope: Scope
    min_interval_s = 0.001

    def __init__(self, files: Files = KERNEL) -> None:
        self._files = files
        self._open: list[tuple[Sensor, KeptFile]] = []

    def sensors(self) -> list[Sensor]:
        """Return what there is here."""
        raise NotImplementedError

    def absence(self) -> str:
        """Say what was looked for in vain."""
        raise NotImplementedError

    def probe(self) -> Probe:
        """Read every sensor once."""
        found = self.sensors()
        if not found:
            return Probe(self.name, "absent", self.absence(), scope=self.scope)
        status = {sensor.domain: self._try(sensor) for sensor in found}
        usable = [sensor for sensor in found if status[sensor.domain] == "ok"]
        denied = [sensor for sensor in found if status[sensor.domain] == "denied"]
        if not usable:
            return self._unusable(found, denied)
        reason = f"{len(usable)} of {len(found)} counters can be read: {_names(usable)}"
        if denied:
            reason += f"; may not be read: {_names(denied)}"
        return Probe(
            source=self.name,
            status="available",
            reason=reason,
            advice=READ_ADVICE if denied else "",
            grade=self.grade,
            scope=self.scope,
            domains=tuple(sensor.domain for sensor in usable),
            components=components_of(usable),
        )

    def open(self) -> None:
        """Keep the files open that can be; the others are tried again with each reading."""
        self.close()
        self._open = [(sensor, KeptFile(sensor.path, self._files)) for sensor in self.sensors()]

    def read(self) -> list[Reading]:
        """Read every file."""
        return [_reading(sensor, file) for sensor, file in self._open]

    def close(self) -> None:
        """Close the files."""
        for _, file in self._open:
            file.close()
        self._open = []

    def _try(self, sensor: Sensor) -> str:
        file = KeptFile(sensor.path, self._files)
        file.integer()
        file.close()
        return file.status

    def _unusable(self, found: list[Sensor], denied: list[Sensor]) -> Probe:
        if denied:
            reason = f"{denied[0].path} may be read by root only"
            return Probe(self.name, "denied", reason, READ_ADVICE, scope=self.scope)
        reason = f"{found[0].path} says nothing that can be used"
        return Probe(self.name, "broken", reason, scope=self.scope)


def components_of(sensors: Iterable[Sensor]) -> tuple[Component, ...]:
    """Return which components the sensors are of, each once."""
    return tuple(dict.fromkeys(sensor.component for sensor in sensors))


def _names(sensors: Iterable[Sensor]) -> str:
    return ", ".join(sensor.domain for sensor in sensors)


def _reading(sensor: Sensor, file: KeptFile) -> Reading:
    value = file.integer()
    return Reading(
        sensor.domain,
        sensor.component,
        sensor.kind,
        value,
        sensor.range_uj,
        boottime_ns(),
        file.status,
    )
