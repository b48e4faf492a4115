"""What the daemon that counts says, in place of sources, for one that stands by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.energy.presence import WHOLE_GPU, Measured
from cmfd.energy.readings import Reading

if TYPE_CHECKING:
    from cmfd.daemon.energy_election import Election
    from cmfd.daemon.energy_mark import Mark, Marks
    from cmfd.energy.presence import Counted
    from cmfd.energy.readings import ReadingStatus


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
        return [
            Measured(
                one.source, one.grade, "count",
                Reading(
                    one.domain or one.component, one.component, "counter", one.uj, None,
                    mark.boot_ns, status,
                ),
            )
            for one in moved
        ]  # fmt: skip

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
        return (None, []) if found is None else found

    def document(self) -> dict[str, Any]:
        """Describe sources: it has none of its own."""
        return {}

    def close(self) -> None:
        """Keep nothing: nothing is open."""
