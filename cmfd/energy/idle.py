"""What a component draws when nobody uses its node: configured, or learned."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEPT = 1000
_LEAST_NS = 500_000_000
"""Powers over less than this are mostly chance."""
_LEAST_SEEN = 3
"""Of fewer, nobody knows whether they are alike."""
_TENTH = 10


class Known(NamedTuple):
    """
    A power when idle.

    Attributes
    ----------
    power_uw : int
        Microwatts.
    spread_uw : int
        So much more was usual while it was learned: how far it may be wrong.
    n_seen : int
        Of how many times; 0: it was configured.
    """

    power_uw: int
    spread_uw: int = 0
    n_seen: int = 0


class IdlePower:
    """
    The power that a component draws while nothing is allocated and nothing is used.

    It is the first decile of what was seen: a little less is an outlier, and more is mostly what
    somebody made it draw whom cmfd does not know.

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
        self._known = self._learned()

    def see(self, uj: int, dur_ns: int) -> None:
        """Take the energy of a time in which nobody had or used anything of the node."""
        if dur_ns >= _LEAST_NS:
            self._seen_uw.append(uj * 1_000_000_000 // dur_ns)
            self._known = self._learned()

    def _learned(self) -> Known | None:
        if len(self._seen_uw) < _LEAST_SEEN:
            return None
        ordered = sorted(self._seen_uw)
        low_uw, usual_uw = ordered[(len(ordered) - 1) // _TENTH], ordered[len(ordered) // 2]
        return Known(low_uw, usual_uw - low_uw, len(ordered))

    @property
    def known(self) -> Known | None:
        """The power; None: not known."""
        return self._known if self._configured_uw is None else Known(self._configured_uw)

    def energy_uj(self, dur_ns: int) -> int | None:
        """Return what it draws in a time; None: not known."""
        known = self.known
        return None if known is None else known.power_uw * dur_ns // 1_000_000_000

    @property
    def seen_uw(self) -> list[int]:
        """What it has seen, to be remembered."""
        return list(self._seen_uw)
