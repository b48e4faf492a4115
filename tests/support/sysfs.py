"""
Trees in the format of the kernel's sysfs and procfs, which a test advances, resets and removes.

Values are written in place, so that files that are kept open say the new ones, as the kernel's do.
What a directory of ordinary files cannot do, `KernelFiles` does: refuse root, and fail on a file
that was removed.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from cmfd.energy.sources.files import Kernel

if TYPE_CHECKING:
    from pathlib import Path

INTEL_RANGE_UJ = 262_143_328_850
INTEL_DRAM_RANGE_UJ = 65_712_999_613
AMD_RANGE_UJ = 65_532_610_987


def say(path: Path, value: object) -> None:
    """Let a file say something, as one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f"{value}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o444)
    try:
        os.pwrite(descriptor, line, 0)
        os.ftruncate(descriptor, len(line))
    finally:
        os.close(descriptor)


class KernelFiles(Kernel):
    """
    Files that fail as the kernel's do, for root as well.

    Attributes
    ----------
    denied : set of Path
        What may not be opened.
    n_opened : int
        How often a file was opened.
    """

    def __init__(self) -> None:
        self.denied: set[Path] = set()
        self.n_opened = 0
        self._paths: dict[int, Path] = {}

    def open(self, path: Path) -> int:
        if path in self.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        descriptor = super().open(path)
        self._paths[descriptor] = path
        self.n_opened += 1
        return descriptor

    def pread(self, descriptor: int, n_bytes: int) -> bytes:
        if not self._paths[descriptor].exists():
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return super().pread(descriptor, n_bytes)


class Powercap:
    """
    ``/sys/class/powercap``: links to zones, which lie below each other.

    Parameters
    ----------
    sys : Path
        Where sysfs is.
    """

    def __init__(self, sys: Path) -> None:
        self._devices = sys / "devices" / "virtual" / "powercap"
        self._links = sys / "class" / "powercap"
        self._range: dict[Path, int] = {}
        self._links.mkdir(parents=True)

    @classmethod
    def intel(cls, sys: Path, n_packages: int = 2) -> Powercap:
        """Make what a server of Intel's shows."""
        tree = cls(sys)
        for n in range(n_packages):
            tree.zone(f"intel-rapl:{n}", f"package-{n}", INTEL_RANGE_UJ)
            tree.zone(f"intel-rapl:{n}:0", "core", INTEL_RANGE_UJ)
            tree.zone(f"intel-rapl:{n}:1", "uncore", INTEL_RANGE_UJ)
            tree.zone(f"intel-rapl:{n}:2", "dram", INTEL_DRAM_RANGE_UJ)
            tree.zone(f"intel-rapl-mmio:{n}", f"package-{n}", INTEL_RANGE_UJ)
        tree.zone(f"intel-rapl:{n_packages}", "psys", INTEL_RANGE_UJ)
        return tree

    @classmethod
    def amd(cls, sys: Path, n_packages: int = 2) -> Powercap:
        """Make what a server of AMD's shows."""
        tree = cls(sys)
        for n in range(n_packages):
            tree.zone(f"intel-rapl:{n}", f"package-{n}", AMD_RANGE_UJ)
            tree.zone(f"intel-rapl:{n}:0", "core", AMD_RANGE_UJ)
        return tree

    def zone(self, place: str, name: str, range_uj: int | None, energy_uj: int = 0) -> None:
        """Add a zone and its link, and what holds it."""
        control, *numbers = place.split(":")
        directory = self._devices / control
        for depth in range(len(numbers)):
            directory /= ":".join((control, *numbers[: depth + 1]))
        directory.mkdir(parents=True)
        for link in (self._links / control, self._links / place):
            target = self._devices / control if link.name == control else directory
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(target, link.parent))
        say(directory / "name", name)
        say(directory / "energy_uj", energy_uj)
        (directory / "energy_uj").chmod(0o400)
        if range_uj is not None:
            say(directory / "max_energy_range_uj", range_uj)
            self._range[self.counter(place)] = range_uj

    def counter(self, place: str) -> Path:
        """Return a zone's counter."""
        return self._links / place / "energy_uj"

    def advance(self, place: str, uj: int) -> None:
        """Let a zone draw energy; its counter begins again at its end."""
        path = self.counter(place)
        total = int(path.read_text()) + uj
        say(path, total % self._range[path] if path in self._range else total)

    def reset(self, place: str, energy_uj: int = 0) -> None:
        """Let a counter begin anew."""
        say(self.counter(place), energy_uj)

    def remove(self, place: str) -> None:
        """Take a zone's counter away."""
        self.counter(place).unlink()


class CrayCounters:
    """
    ``/sys/cray/pm_counters`` of one node.

    Parameters
    ----------
    sys : Path
        Where sysfs is.
    n_accelerators : int
        How many it has.
    has_times : bool
        Lines end in the time, as newer ones do.
    """

    def __init__(self, sys: Path, n_accelerators: int = 0, *, has_times: bool = True) -> None:
        self.directory = sys / "cray" / "pm_counters"
        self._has_times = has_times
        self._us = 7_810_213_855_886
        self._freshness = 60_043_284
        self._startup = 1_778_580_757_634_187
        names = ["energy", "cpu_energy", "memory_energy"]
        names += [f"accel{n}_energy" for n in range(n_accelerators)]
        self.joules = dict.fromkeys(names, 12_044_825_101)
        for name, value in (("raw_scan_hz", "10"), ("generation", "16"), ("version", "3")):
            say(self.directory / name, value)
        self._line("power_cap", "2894 W")
        self.advance()

    def advance(self, **joules: int) -> None:
        """Renew all counters, 100 ms later; some of them have gained."""
        self._us += 100_000
        self._freshness += 1
        for name, gained in joules.items():
            self.joules[name] += gained
        for name, value in self.joules.items():
            self._line(name, f"{value} J")
            self._line(name.replace("energy", "power"), "724 W")
        say(self.directory / "freshness", self._freshness)
        say(self.directory / "startup", self._startup)

    def restart(self) -> None:
        """Begin anew, as after the node's controller was restarted."""
        self._startup += 1_000_000
        self.joules = dict.fromkeys(self.joules, 0)
        self.advance()

    def _line(self, name: str, value: str) -> None:
        say(self.directory / name, f"{value} {self._us} us" if self._has_times else value)


def hwmon_chip(sys: Path, name: str, device: str, **files: object) -> Path:
    """
    Add a chip to ``/sys/class/hwmon``, with a link to its device.

    Parameters
    ----------
    sys : Path
        Where sysfs is.
    name : str
        Of the driver.
    device : str
        Of the device, as a PCI address.
    **files
        What its files say; those named ``device_...`` lie in the device's directory.

    Returns
    -------
    Path
        The chip's directory.
    """
    number = len(list((sys / "class" / "hwmon").glob("hwmon*")))
    place = sys / "devices" / device
    directory = place / "hwmon" / f"hwmon{number}"
    say(directory / "name", name)
    (directory / "device").symlink_to("../..")
    for file, value in files.items():
        below = file.removeprefix("device_")
        say((directory if below == file else place) / below, value)
    link = sys / "class" / "hwmon" / directory.name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(directory, link.parent))
    return link


def grace_sockets(sys: Path, n_sockets: int = 1, *, has_total: bool = True) -> None:
    """Add the power meters of Grace processors, in microwatts averaged over 50 ms."""
    watts = {"Module": 500, "Grace": 300, "CPU": 200, "SysIO": 40}
    parts = [part for part in watts if has_total or part != "Grace"]
    for socket in range(n_sockets):
        for part in parts:
            hwmon_chip(
                sys,
                "power_meter",
                f"ACPI000D:{part}{socket}",
                device_power1_oem_info=f"{part} Power Socket {socket}",
                device_power1_average=watts[part] * 1_000_000,
                device_power1_average_interval=50,
            )


def processors(proc: Path, model: str, n_threads: int, n_sockets: int = 1, flags: str = "") -> None:
    """Write ``/proc/cpuinfo`` as on x86."""
    blocks = [
        f"processor\t: {n}\nvendor_id\t: Vendor\nmodel name\t: {model}\n"
        f"physical id\t: {n * n_sockets // n_threads}\nflags\t\t: fpu {flags}\n"
        for n in range(n_threads)
    ]
    say(proc / "cpuinfo", "\n".join(blocks))


def load(proc: Path, busy_ticks: int, idle_ticks: int = 0) -> None:
    """Write ``/proc/stat``; of the busy time, a part is system's."""
    system = busy_ticks // 4
    say(
        proc / "stat", f"cpu  {busy_ticks - system} 0 {system} {idle_ticks} 5 0 0 9 0 0\ncpu0 1 2 3"
    )
