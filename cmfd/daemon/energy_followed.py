"""
What the daemon that counts says, in place of sources, for one that stands by.

That daemon may be anybody's, and say anything: no more of it is believed than a node can be and
draw, so that what comes of it has room wherever it is stored and added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.energy.presence import WHOLE_GPU, Measured
from cmfd.energy.readings import Reading, boottime_ns

if TYPE_CHECKING:
    from cmfd.daemon.energy_election import Election
    from cmfd.daemon.energy_mark import Mark, Marks
    from cmfd.energy.presence import Counted
    from cmfd.energy.readings import ReadingStatus

_MOST_FIGURES = 64
_MOST_CHARACTERS = 200
_MOST_UJ_PER_NS = 100
"""A hundred kilowatts."""
_MOST_UJ = 1 << 60
_LATE_NS = 2_000_000_000
"""What is said may be so much older than it looks: counters are renewed late."""


class Followed:
    """
    Figures of the daemon that counts.

    Parameters
    ----------
    marks : Marks
        Where it says them.
    election : Election
        Who that is.
    """

    def __init__(self, marks: Marks, election: Election) -> None:
        self._marks = marks
        self._election = election
        self._last: Mark | None = None
        self._uj: dict[tuple[str, str], int] = {}
        self._last_uj: dict[tuple[str, str], int] = {}
        self._last_ns = 0

    def read(self) -> list[Measured]:
        """Return what its counters have moved since it began; nothing where it does not say."""
        mark, moved = self._said()
        if mark is None:
            return []
        last, self._last = self._last, mark
        status: ReadingStatus = "ok"
        if last is not None and last.chain != mark.chain:
            status = "reset"  # another counts, or from a new beginning
        elif last is not None and last.boot_ns >= mark.boot_ns:
            status = "stale"
        now_ns, before_ns = boottime_ns(), self._last_ns
        self._last_ns = now_ns
        most_uj = _MOST_UJ_PER_NS * (now_ns - before_ns + _LATE_NS)
        return [
            self._measured(one, mark, status if self._add(one, most_uj) else "reset")
            for one in moved
            if self._is_known(one)
        ]

    def _add(self, one: Counted, most_uj: int) -> bool:
        """Add what is new; tells whether a node can have drawn that since the last time."""
        last_uj = self._last_uj.get(_name(one), one.uj)
        self._last_uj[_name(one)] = one.uj
        can_be = 0 <= one.uj - last_uj <= most_uj
        so_far_uj = self._uj.get(_name(one), 0)
        self._uj[_name(one)] = so_far_uj + one.uj - last_uj if can_be else so_far_uj
        return can_be

    def _measured(self, one: Counted, mark: Mark, status: ReadingStatus) -> Measured:
        _, domain = _name(one)
        uj = self._uj[_name(one)]
        reading = Reading(domain, one.component, "counter", uj, None, mark.boot_ns, status)
        return Measured(one.source, one.grade, "count", reading)

    def _is_known(self, one: Counted) -> bool:
        """Tell whether a figure is one of those that were there first: a node has only so many."""
        return _name(one) in self._uj or len(self._uj) < _MOST_FIGURES

    def devices(self) -> list[tuple[str, int]]:
        """Return its GPUs."""
        _, moved = self._said()
        return [(one.domain, WHOLE_GPU) for one in moved if one.component == "gpu"]

    @property
    def is_said(self) -> bool:
        """Whether there are figures."""
        return self._said()[0] is not None

    def _said(self) -> tuple[Mark | None, list[Counted]]:
        uid = self._election.holder_uid
        found = None if uid is None else self._marks.moved(uid)
        if found is None or found[0].boot_ns > boottime_ns() or not _is_sane(found[1]):
            return None, []
        return found

    def document(self) -> dict[str, Any]:
        """Describe sources: it has none of its own."""
        return {}

    def close(self) -> None:
        """Keep nothing: nothing is open."""


def _name(one: Counted) -> tuple[str, str]:
    """Return what a figure is told apart by, as meters do."""
    return one.source, one.domain or one.component


def _is_sane(moved: list[Counted]) -> bool:
    """Tell whether figures may be a node's: few, once each, with names and in numbers of a size."""
    if len(set(map(_name, moved))) != len(moved):
        return False
    return len(moved) <= _MOST_FIGURES and all(
        0 <= one.uj <= _MOST_UJ and len(one.source + one.domain) <= _MOST_CHARACTERS
        for one in moved
    )
