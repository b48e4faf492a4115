"""What a component draws when nobody uses its node: configured, or learned."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEPT = 1000
_LEAST_NS = 500_000_000
"""Powers over less than this are mostly chance."""


class IdlePower:
    """
    The least power that a component was seen to draw while nothing was allocated.

    It is the first percentile: less than that is an outlier.

    Parameters
    ----------
    configured_uw : int or None
        If somebody measured it, in microwatts.
    seen_uw : iterable of int
        What was seen before.
    """

    def __init__(self, configured_uw: int | None = None, seen_uw: Iterable[int] = ()) -> None:
        self._configured_uw = configured_uw
        self._seen_uw = deque(seen_uw, maxlen=_KEPT)
        self._known_uw = self._percentile()

    def see(self, uj: int, dur_ns: int) -> None:
        """Take the energy of a time in which nobody had anything of the node."""
        if dur_ns >= _LEAST_NS:
            self._seen_uw.append(uj * 1_000_000_000 // dur_ns)
            self._known_uw = self._percentile()

    def _percentile(self) -> int | None:
        ordered = sorted(self._seen_uw)
        return ordered[(len(ordered) - 1) // 100] if ordered else None

    @property
    def power_uw(self) -> int | None:
        """Microwatts; None: not known."""
        return self._known_uw if self._configured_uw is None else self._configured_uw

    def energy_uj(self, dur_ns: int) -> int | None:
        """Return what it draws in a time; None: not known."""
        power_uw = self.power_uw
        return None if power_uw is None else power_uw * dur_ns // 1_000_000_000

    @property
    def seen_uw(self) -> list[int]:
        """What it has seen, to be remembered."""
        return list(self._seen_uw)
