"""Powers that take long to ask for: a thread asks, and readings tell its last answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.readings import Probe, Reading, boottime_ns

if TYPE_CHECKING:
    from cmfd.energy.readings import Grade, ReadingStatus, Scope

INTERVAL_S = 10.0
"""A node's controller renews its power about so often, and is slowed by more questions."""

_UW_PER_W = 1_000_000


class Unanswered(Exception):  # noqa: N818 - no error of cmfd: it ends up in a probe or a reading
    """
    No power was said.

    Attributes
    ----------
    status : str
        As of a probe: ``absent``, ``denied`` or ``broken``.
    advice : str
        What to do about it.
    """

    def __init__(self, status: str, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.advice = advice


class _Answer(NamedTuple):
    power_uw: int
    at_boot_ns: int
    status: ReadingStatus


class SlowSource:
    """
    A node's power, asked for by a thread; a subclass says how.

    Attributes
    ----------
    name, grade, scope, min_interval_s
        As `cmfd.energy.readings.Source`.
    """

    name: str
    grade: Grade = "C"
    scope: Scope = "node"
    min_interval_s = INTERVAL_S

    def __init__(self) -> None:
        self._last: _Answer | None = None
        self._told: _Answer | None = None
        self._end = threading.Event()

    def power_w(self) -> float:
        """
        Ask for the power, however long it takes.

        Raises
        ------
        Unanswered
            There is none; it says why.
        """
        raise NotImplementedError

    def probe(self) -> Probe:
        """Ask once; this waits for the answer."""
        try:
            power_w = self.power_w()
        except Unanswered as error:
            return Probe(self.name, error.status, str(error), error.advice)  # type: ignore[arg-type] # a probe's words
        reason = f"the node's controller says {power_w:g} W, every {self.min_interval_s:g} s"
        return Probe(
            source=self.name,
            status="available",
            reason=reason,
            advice="Power between two questions is not seen; a counter of energy sees all.",
            grade=self.grade,
            domains=("node",),
            components=("node",),
        )

    def open(self) -> None:
        """Begin to ask."""
        self.close()
        self._end = threading.Event()
        name = f"cmfd-{self.name}"
        threading.Thread(target=self._ask, args=(self._end,), name=name, daemon=True).start()

    def read(self) -> list[Reading]:
        """Return the last answer: ``stale`` from its second time on, ``gone`` when it is old."""
        last, told = self._last, self._told
        if last is None:
            return []
        self._told = last
        status = "stale" if last is told else last.status
        if boottime_ns() - last.at_boot_ns > 3 * self.min_interval_s * 1e9:
            status = "gone"
        return [Reading("node", "node", "power", last.power_uw, None, last.at_boot_ns, status)]

    def close(self) -> None:
        """End the thread, but wait for no answer."""
        self._end.set()

    def _ask(self, end: threading.Event) -> None:
        while not end.is_set():
            try:
                power_uw = round(self.power_w() * _UW_PER_W)
                self._last = _Answer(power_uw, boottime_ns(), "ok")
            except Exception as error:  # noqa: BLE001 - whatever a controller answers, it is asked again
                denied = isinstance(error, Unanswered) and error.status == "denied"
                self._last = _Answer(0, boottime_ns(), "denied" if denied else "gone")
            end.wait(self.min_interval_s)
