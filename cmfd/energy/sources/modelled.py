"""
Models, for nodes where nothing can be measured: load times power, and a constant.

Both count energy since the node booted, as a counter would, so that no sampling of them adds an
error of its own: ``idle * t + (most - idle) * busy / threads``, with the busy time of all threads
from ``/proc/stat`` (user, nice, system, interrupts; not time that a hypervisor took).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.readings import Probe, Reading, boottime_ns
from cmfd.energy.sources.files import KERNEL, KeptFile
from cmfd.energy.sources.processor import processor_of, table_of_codecarbon, tdp_w

if TYPE_CHECKING:
    from cmfd.config import Settings
    from cmfd.energy.readings import Grade, Roots, Scope
    from cmfd.energy.sources.files import Files

IDLE_SHARE = 0.3
"""Of its thermal design power, what a server's processor draws when idle; within grade D."""

GUESSED_W_PER_THREAD = 4.0
"""Where the processor is not known: what codecarbon takes, too."""

_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_BUSY = (1, 2, 3, 6, 7)  # user, nice, system, irq, softirq: proc_stat(5)
_FIRST_LINE_BYTES = 256
_BETTER = (
    "Better: measured watts in energy_idle_w and energy_max_w, or read access to the node's "
    "counters (see the reference of energy sources)."
)


class _Model(NamedTuple):
    idle_w: float
    max_w: float
    grade: Grade
    scope: Scope
    reason: str
    advice: str


class TdpLoad:
    """
    The processors' power from their load.

    Where an operator has said what a node draws idle and busy, these are the model's ends, and
    it is of the whole node without its GPUs; its component still is ``cpu``, by whose use it is
    shared. Else it is of the processors, by their thermal design power.

    Attributes
    ----------
    idle_w : float
        What the model says of an idle node.
    """

    name = "tdp_load"
    min_interval_s = 0.1

    def __init__(self, roots: Roots, settings: Settings, files: Files = KERNEL) -> None:
        self._roots, self._settings = roots, settings
        self._stat = KeptFile(roots.proc / "stat", files, _FIRST_LINE_BYTES)
        self._found: _Model | None = None
        self._n_threads = 1

    @property
    def grade(self) -> Grade:
        """How good the model is here."""
        return self._model().grade

    @property
    def scope(self) -> Scope:
        """What it covers here."""
        return self._model().scope

    @property
    def idle_w(self) -> float:
        """What an idle node draws by it."""
        return self._model().idle_w

    def probe(self) -> Probe:
        """Look which processor this is; there always is one."""
        model = self._model()
        read = self._busy_ns()
        self.close()
        if read is None:
            return Probe(self.name, "broken", f"{self._stat.path} tells no load")
        return Probe(
            source=self.name,
            status="available",
            reason=model.reason,
            advice=model.advice,
            grade=model.grade,
            scope=model.scope,
            domains=("cpu",),
            components=("cpu",),
        )

    def open(self) -> None:
        """Find the model."""
        self._model()

    def read(self) -> list[Reading]:
        """Return what the model says since the node booted."""
        model, busy_ns, at_boot_ns = self._model(), self._busy_ns(), boottime_ns()
        if busy_ns is None:
            return [Reading("cpu", "cpu", "counter", 0, None, at_boot_ns, self._stat.status)]
        spread_w = (model.max_w - model.idle_w) / self._n_threads
        uj = round((model.idle_w * at_boot_ns + spread_w * busy_ns) / 1000)
        return [Reading("cpu", "cpu", "counter", uj, None, at_boot_ns)]

    def close(self) -> None:
        """Close the file of the load."""
        self._stat.close()

    def _busy_ns(self) -> int | None:
        fields = self._stat.read().partition(b"\n")[0].split()
        if len(fields) <= max(_BUSY) or fields[0] != b"cpu":
            if self._stat.status == "ok":
                self._stat.status = "gone"
            return None
        return sum(int(fields[index]) for index in _BUSY) * _NS_PER_TICK

    def _model(self) -> _Model:
        if self._found is None:
            self._found = self._chosen()
        return self._found

    def _chosen(self) -> _Model:
        processor = processor_of(self._roots.proc)
        self._n_threads = processor.n_threads
        idle_w, max_w = self._settings.energy_idle_w, self._settings.energy_max_w
        if max_w > idle_w > 0:
            reason = f"load between {idle_w:g} W idle and {max_w:g} W busy, as configured"
            advice = "A counter that measures is better: see what the other sources lack."
            return _Model(idle_w, max_w, "D", "node", reason, advice)
        known_w = None if processor.is_virtual else tdp_w(processor.model, table_of_codecarbon())
        name = processor.model or "an unnamed processor"
        if known_w is not None:
            max_w = known_w * processor.n_sockets
            reason = f"load x TDP of {processor.n_sockets} {name}, {known_w:g} W each"
            reason += " (codecarbon's table); memory and the rest of the node are not in it"
            return _Model(IDLE_SHARE * max_w, max_w, "D", "package", reason, _BETTER)
        max_w = GUESSED_W_PER_THREAD * processor.n_threads
        kind = "a virtual machine's" if processor.is_virtual else "no TDP is known of"
        reason = f"{kind} {name}: guessed, {processor.n_threads} threads of "
        reason += f"{GUESSED_W_PER_THREAD:g} W at full load"
        return _Model(IDLE_SHARE * max_w, max_w, "E", "package", reason, _advice(processor.model))


def _advice(model: str) -> str:
    if model and not table_of_codecarbon():
        return "pip install 'cmfd[energy]' brings a table of processors. " + _BETTER
    return _BETTER


class Constant:
    """The power of a node as its operator says it, at any load."""

    name = "constant"
    grade: Grade = "E"
    scope: Scope = "node"
    min_interval_s = 0.1

    def __init__(self, _roots: Roots, settings: Settings) -> None:
        self._power_w = settings.energy_constant_w

    def probe(self) -> Probe:
        """Look whether there is a setting."""
        if not self._power_w:
            return Probe(self.name, "absent", "energy_constant_w is not set")
        return Probe(
            source=self.name,
            status="available",
            reason=f"{self._power_w:g} W at any load, as configured",
            advice=_BETTER,
            grade=self.grade,
            domains=("node",),
            components=("other",),
        )

    def open(self) -> None:
        """Nothing is to be opened."""

    def read(self) -> list[Reading]:
        """Return what the node drew since it booted."""
        at_boot_ns = boottime_ns()
        uj = round(self._power_w * at_boot_ns / 1000)
        return [Reading("node", "other", "counter", uj, None, at_boot_ns)]

    def close(self) -> None:
        """Nothing is open."""
