"""
Successive readings of a domain, turned into the energy between them.

Nothing is guessed: where a counter began anew, or a power was not known for long, the energy
of that time is not known, and the time not covered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cmfd.energy.readings import Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.energy.readings import Component, Reading

MAX_POWER_W: dict[Component, int] = {
    "node": 20_000,
    "cpu": 1_000,
    "dram": 500,
    "gpu": 3_000,
    "other": 20_000,
}
"""More than one domain of each component can draw: tells a wrap from a reset."""

MAX_GAP_NS = 60_000_000_000
"""Between two powers that are farther apart, nothing is assumed."""

_LATE_NS = 2_000_000_000
"""A counter may be renewed so late: what it gained in a short time may be of a longer one."""

_UW_NS_PER_UJ = 1_000_000_000


class Delta(msgspec.Struct, frozen=True):
    """
    The energy of one domain between two readings.

    Attributes
    ----------
    domain, component : str
        As in the readings.
    t0_boot_ns, t1_boot_ns : int
        From when to when (``CLOCK_BOOTTIME``); a domain's deltas overlap nowhere.
    uj : int
        Microjoules.
    covered_ns : int
        How much of that time the energy is known for: all, or nothing.
    flags : Flag
        What is to be known beside.
    """

    domain: str
    component: Component
    t0_boot_ns: int
    t1_boot_ns: int
    uj: int
    covered_ns: int
    flags: Flag = Flag(0)


class Meter:
    """
    Turns the readings of one domain into energy.

    Parameters
    ----------
    max_power_w : int
        More than the domain can draw.
    max_gap_ns : int
        Between two powers that are farther apart, nothing is assumed.
    """

    def __init__(self, max_power_w: int, max_gap_ns: int = MAX_GAP_NS) -> None:
        self._max_power_w = max_power_w
        self._max_gap_ns = max_gap_ns
        self._base: Reading | None = None
        self._last_boot_ns = -1
        self._seen = Flag(0)
        self._rest = 0

    @property
    def has_base(self) -> bool:
        """Whether there is a reading that the next one gives energy since."""
        return self._base is not None

    def advance(self, reading: Reading) -> Delta | None:
        """
        Take the next reading.

        Returns
        -------
        Delta or None
            From the last reading that had a value to this one; nothing where this is the first,
            is not later, or has none that is new.
        """
        if reading.status in ("denied", "gone"):
            self._lose(reading)
            return None
        if reading.status == "stale":
            self._seen |= Flag.STALE
            return None
        if reading.at_boot_ns <= self._last_boot_ns:
            return None
        base, self._base, self._last_boot_ns = self._base, reading, reading.at_boot_ns
        flags, self._seen = self._seen, Flag(0)
        return None if base is None else self._between(base, reading, flags)

    def _lose(self, reading: Reading) -> None:
        """Go on after a reading without a value: a counter counts on unread, unless it is gone."""
        self._seen |= Flag.GAP
        if reading.kind == "power" or reading.status == "gone":
            self._base = None

    def _between(self, base: Reading, reading: Reading, flags: Flag) -> Delta:
        if reading.kind == "power":
            uj, more = self._integrated(base, reading)
        else:
            uj, more = self._counted(base, reading)
        dur_ns = reading.at_boot_ns - base.at_boot_ns
        return Delta(
            domain=reading.domain,
            component=reading.component,
            t0_boot_ns=base.at_boot_ns,
            t1_boot_ns=reading.at_boot_ns,
            uj=uj or 0,
            covered_ns=0 if uj is None else dur_ns,
            flags=flags | more,
        )

    def _counted(self, base: Reading, reading: Reading) -> tuple[int | None, Flag]:
        """Return what a counter moved, or nothing where it began anew."""
        dur_ns = reading.at_boot_ns - base.at_boot_ns
        uj, flags = reading.value - base.value, Flag(0)
        if reading.status == "reset":
            return None, Flag.RESET
        if uj < 0:
            uj, flags = uj + (reading.range_uj or 0), Flag.WRAPPED
            if not 0 <= uj <= self._max_power_w * (dur_ns + _LATE_NS) // 1000:
                return None, Flag.RESET
        if reading.range_uj is not None and self._max_power_w * dur_ns // 1000 > reading.range_uj:
            flags |= Flag.WRAP_AMBIGUOUS
        return uj, flags

    def _integrated(self, base: Reading, reading: Reading) -> tuple[int | None, Flag]:
        """Return the energy under a line between two powers; what is no whole uJ comes later."""
        dur_ns = reading.at_boot_ns - base.at_boot_ns
        if dur_ns > self._max_gap_ns or reading.status == "reset":
            self._rest = 0
            return None, Flag.GAP
        twice = (base.value + reading.value) * dur_ns + self._rest
        uj, self._rest = divmod(twice, 2 * _UW_NS_PER_UJ)
        return uj, Flag(0)


class Meters:
    """The meters of one source's domains, each made when it is first read."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def advance(self, readings: Iterable[Reading]) -> list[Delta]:
        """
        Take what a source read.

        Returns
        -------
        list of Delta
            Of the domains that have something new, in the order of the readings.
        """
        return [delta for one in readings if (delta := self._of(one).advance(one)) is not None]

    def has_base(self, domain: str) -> bool:
        """Tell whether a domain has a reading that the next one gives energy since."""
        return domain in self._meters and self._meters[domain].has_base

    def _of(self, reading: Reading) -> Meter:
        found = self._meters.get(reading.domain)
        if found is None:
            found = self._meters[reading.domain] = Meter(MAX_POWER_W[reading.component])
        return found
