"""
Cray pm_counters: the node's own meter, and what it says of processors, memory and accelerators.

Files of ``/sys/cray/pm_counters`` hold a line as ``12044825101 J 7810213855886 us``; older ones
lack the time. ``energy`` is all of the node, accelerators included. ``freshness`` changes with
each renewal (10 Hz), ``startup`` when the counters began anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cmfd.energy.readings import Probe, Reading, boottime_ns
from cmfd.energy.sources.files import KERNEL, KeptFile
from cmfd.energy.sources.sensors import READ_ADVICE

if TYPE_CHECKING:
    from cmfd.config import Settings
    from cmfd.energy.readings import Component, Grade, ReadingStatus, Roots, Scope
    from cmfd.energy.sources.files import Files

_UJ_PER_J = 1_000_000
_NAMES: dict[str, tuple[str, Component]] = {
    "energy": ("node", "node"),
    "cpu_energy": ("cpu", "cpu"),
    "memory_energy": ("memory", "dram"),
}
_ACCELERATOR = re.compile(r"(accel\d+)_energy")


class PmCounters:
    """The counters of one Cray node, in joules."""

    name = "pm_counters"
    grade: Grade = "A"
    scope: Scope = "node"
    min_interval_s = 0.1

    def __init__(self, roots: Roots, _settings: Settings, files: Files = KERNEL) -> None:
        self._directory = roots.sys / "cray" / "pm_counters"
        self._files = files
        self._freshness, self._startup = self._kept("freshness"), self._kept("startup")
        self._open: list[tuple[str, Component, KeptFile]] = []
        self._last = (b"", b"")

    def probe(self) -> Probe:
        """Read every counter once."""
        counters = self._counters()
        if not counters:
            reason = f"no counters in {self._directory}: no Cray node"
            return Probe(self.name, "absent", reason)
        status = {domain: _joules(file)[1] for domain, _, file in counters}
        for _, _, file in counters:
            file.close()
        usable = [one for one in counters if status[one[0]] == "ok"]
        if not usable:
            if "denied" in status.values():
                reason = f"{self._directory} may be read by root only"
                return Probe(self.name, "denied", reason, READ_ADVICE)
            return Probe(self.name, "broken", f"{self._directory} holds no number of joules")
        domains = tuple(domain for domain, _, _ in usable)
        return Probe(
            source=self.name,
            status="available",
            reason=f"the node's counters: {', '.join(domains)}",
            grade=self.grade,
            domains=domains,
            components=tuple(dict.fromkeys(component for _, component, _ in usable)),
        )

    def open(self) -> None:
        """Keep the counters open."""
        self.close()
        self._open = self._counters()

    def read(self) -> list[Reading]:
        """Read all counters, and whether they were renewed or began anew since the last time."""
        renewal = self._renewal()
        return [_reading(*one, renewal) for one in self._open]

    def close(self) -> None:
        """Close them."""
        for file in (self._freshness, self._startup, *(file for _, _, file in self._open)):
            file.close()
        self._open, self._last = [], (b"", b"")

    def _renewal(self) -> ReadingStatus:
        now = (self._startup.read(), self._freshness.read())
        last, self._last = self._last, now
        if last[0] and now[0] and last[0] != now[0]:
            return "reset"
        return "stale" if now[1] and now == last else "ok"

    def _counters(self) -> list[tuple[str, Component, KeptFile]]:
        found: list[tuple[str, Component, KeptFile]] = []
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except OSError:
            return []
        for name in names:
            if name in _NAMES:
                found.append((*_NAMES[name], self._kept(name)))
            elif accelerator := _ACCELERATOR.fullmatch(name):
                found.append((accelerator[1], "gpu", self._kept(name)))
        return found

    def _kept(self, name: str) -> KeptFile:
        return KeptFile(self._directory / name, self._files)


def _joules(file: KeptFile) -> tuple[int, ReadingStatus]:
    number, _, rest = file.read().partition(b" ")
    if number.isdigit() and rest.startswith(b"J"):
        return int(number), "ok"
    return 0, "gone" if file.status == "ok" else file.status


def _reading(domain: str, component: Component, file: KeptFile, renewal: ReadingStatus) -> Reading:
    joules, status = _joules(file)
    at_boot_ns = boottime_ns()
    return Reading(
        domain,
        component,
        "counter",
        joules * _UJ_PER_J,
        None,
        at_boot_ns,
        renewal if status == "ok" else status,
    )
