"""
The words of energy measurement: readings, probes, and what a source of them is.

A source is a kind of counter (RAPL, NVML, ...) or a model in its place. It is made with
`Roots` and the settings, probed, and opened; then each `read` gives one `Reading` for each
of its domains. Energies are integer microjoules, powers integer microwatts, times integer
nanoseconds of ``CLOCK_BOOTTIME``.
"""

from __future__ import annotations

import time
from enum import IntFlag
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from cmfd.config import Settings

Component = Literal["node", "cpu", "dram", "gpu", "other"]
"""What draws the power. ``node`` is all of it; the others never overlap."""

Kind = Literal["counter", "power"]
ReadingStatus = Literal["ok", "stale", "reset", "denied", "gone"]
ProbeStatus = Literal["available", "denied", "absent", "broken"]
Scope = Literal["node", "package", "dram", "gpu", "other"]

Grade = Literal["A", "B", "C", "D", "E", "M"]
"""
How good a number is, best first.

A: the node's own meter. B: a component's counter. C: power, integrated. D: a model of load.
E: a constant. M: missing.
"""

MODELLED: frozenset[Grade] = frozenset(("D", "E"))
"""Grades of what nothing measured."""


class Flag(IntFlag):
    """What is to be known of an energy beside its value; stored as an integer."""

    WRAPPED = 1
    """The counter went past its end and began again; it was taken into account."""
    WRAP_AMBIGUOUS = 2
    """So long was not read that it may have gone round more often: the energy is a least value."""
    RESET = 4
    """The counter began anew; what it had counted until then is not known and not added."""
    STALE = 8
    """The counter stood still for a while: its energy came with a later reading."""
    GAP = 16
    """It could not be read for a while."""
    IDLE_UNKNOWN = 32
    """The power when idle was not known: all energy was shared by use."""
    NEGATIVE_OTHER = 64
    """The components said more than their node; the rest was taken as zero."""


class Roots(msgspec.Struct, frozen=True):
    """
    Where the kernel shows itself.

    Attributes
    ----------
    sys, proc, cgroup : Path
        Where sysfs, procfs and the cgroup hierarchy are mounted.
    """

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")


class Reading(msgspec.Struct, frozen=True):
    """
    What one domain said at one time.

    The domains of one source never overlap within a component: their sum is the component's.

    Attributes
    ----------
    domain : str
        Name within its source, which stays: ``package-0``, ``package-0/dram``, a GPU's UUID.
    component : str
        What draws it.
    kind : str
        ``counter``: energy since some time; ``power``: at this time.
    value : int
        Microjoules of a counter, microwatts of a power; 0 where the status is neither ``ok``,
        ``stale`` nor ``reset``.
    range_uj : int or None
        Where a counter begins again at zero; none where it never does.
    at_boot_ns : int
        When it was read (``CLOCK_BOOTTIME``).
    status : str
        ``ok``; ``stale``: not renewed since the last reading; ``reset``: began anew since then;
        ``denied``; ``gone``.
    """

    domain: str
    component: Component
    kind: Kind
    value: int
    range_uj: int | None
    at_boot_ns: int
    status: ReadingStatus = "ok"


class Probe(msgspec.Struct, frozen=True):
    """
    Whether a source can be read here, and why not.

    Attributes
    ----------
    source : str
        Its name.
    status : str
        ``available``; ``denied``: it is there, this user may not read it; ``absent``;
        ``broken``: it is there and gives nothing that can be used.
    reason : str
        What was found, as a sentence's part.
    advice : str
        One line on how to get a better number; empty where there is none.
    grade : str
        Of its readings, where it is available; else M.
    scope : str
        What it covers.
    domains : tuple of str
        What it would read.
    components : tuple of str
        Which components those are.
    """

    source: str
    status: ProbeStatus
    reason: str
    advice: str = ""
    grade: Grade = "M"
    scope: Scope = "node"
    domains: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()


class Gpu(msgspec.Struct, frozen=True):
    """
    One device, and the parts that it is divided into.

    Attributes
    ----------
    domain : str
        As in its readings: its UUID.
    minor : int
        The number in ``/dev/nvidia<N>``; -1 where there is none.
    slices : dict
        For each MIG device's UUID its share of the whole's multiprocessors, from 0 to 1; empty
        where it is not divided.
    """

    domain: str
    minor: int = -1
    slices: dict[str, float] = {}


@runtime_checkable
class GpuSource(Protocol):
    """A source that knows its GPUs by UUID."""

    def gpus(self) -> list[Gpu]:
        """Return the devices as they are now; between `open` and `close`."""


@runtime_checkable
class Source(Protocol):
    """
    A kind of counter, or a model; entry points of ``cmfd.energy_sources`` make one.

    Its maker is called with `Roots` and `Settings`, and does nothing else yet. `read` is called
    from one thread, never raises for what a counter does, and never waits for a network.

    Attributes
    ----------
    name : str
        As in settings and records.
    grade : str
        Of its readings.
    scope : str
        What it covers.
    min_interval_s : float
        Reading more often gives nothing new.
    """

    name: str
    grade: Grade
    scope: Scope
    min_interval_s: float

    def probe(self) -> Probe:
        """Look what there is, without keeping anything open."""

    def open(self) -> None:
        """Make ready to read; what cannot be opened is read as ``denied`` or ``gone``."""

    def read(self) -> list[Reading]:
        """Return one reading of each domain."""

    def close(self) -> None:
        """Give back what `open` took; twice is as good as once."""


class SourceMaker(Protocol):
    """What an entry point of ``cmfd.energy_sources`` names."""

    def __call__(self, roots: Roots, settings: Settings) -> Source:
        """Return the source, neither probed nor opened."""


def boottime_ns() -> int:
    """Return the time since this node booted, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
