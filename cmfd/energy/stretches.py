"""Stretches of time in which nobody came or went, and by what energy is split over them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.lives import Window
from cmfd.energy.presence import WHOLE_GPU
from cmfd.energy.split import Claim, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cmfd.energy.presence import Sample

_QUIET_PART, _QUIET_CPU_PART = 100, 10
"""Of all processors, or of one: more than an operating system takes for itself is somebody's."""


class Piece(NamedTuple):
    """
    What of a stretch is kept for a while.

    Attributes
    ----------
    end_boot_ns : int
        When it ended.
    window : Window
        When it was, and what processes used in it.
    used_ns : mapping
        Processor time of those who were there; None: not known.
    """

    end_boot_ns: int
    window: Window
    used_ns: Mapping[bytes, int | None]


def joined(pieces: Sequence[Piece]) -> Piece:
    """Return pieces that follow each other as one."""
    process_ns: dict[bytes, int] = {}
    used_ns: dict[bytes, int | None] = {}
    for piece in pieces:
        for instance, moved_ns in piece.window.process_ns.items():
            process_ns[instance] = process_ns.get(instance, 0) + moved_ns
        for run, moved in piece.used_ns.items():
            before_ns = used_ns.get(run)
            used_ns[run] = before_ns if moved is None else (before_ns or 0) + moved
    window = Window(pieces[0].window.began_ns, pieces[-1].window.ended_ns, process_ns)
    return Piece(pieces[-1].end_boot_ns, window, used_ns)


class Stretch:
    """
    The time between two samples.

    Parameters
    ----------
    before, after : Sample
        Who was there, the first says.
    cpus, memory_bytes : int
        What the node has.
    looked : Sample, optional
        The last sample until `before` for which processes were looked at; without, that one.

    Attributes
    ----------
    works : tuple of Work
        Who was there.
    dur_ns, end_boot_ns : int
        How long it was, and when it ended.
    """

    def __init__(
        self, before: Sample, after: Sample, cpus: int, memory_bytes: int,
        looked: Sample | None = None,
    ) -> None:  # fmt: skip
        self.works = before.works
        self.dur_ns = after.boot_ns - before.boot_ns
        self.end_boot_ns = after.boot_ns
        self._cpus = cpus
        self._memory_bytes = memory_bytes
        self._node_ns = max(0, after.node.cpu_ns - before.node.cpu_ns)
        self._node_memory = after.node.memory_bytes
        self._run_ns = {work.run: _run_ns(work.run, before, after) for work in self.works}
        self._run_memory = {run: usage.memory_bytes for run, usage in after.runs.items()}
        self._looked, self._after = looked or before, after

    @cached_property
    def by_processor(self) -> Weights[bytes]:
        """By what processors' energy is split, and what is no component's."""
        claims = [
            Claim(work.run, work.allocation.cpus, self._run_ns[work.run], work.allocation.exclusive)
            for work in self.works
        ]
        weights: Weights[bytes] = Weights()
        weights.add(claims, self._cpus, self._node_ns, self.dur_ns)
        return weights

    @cached_property
    def by_memory(self) -> Weights[bytes]:
        """By what the memory's energy is split: bytes over time."""
        claims = []
        for work in self.works:
            memory = self._run_memory.get(work.run)
            use = None if memory is None else memory * self.dur_ns
            given = work.allocation
            claims.append(Claim(work.run, given.memory_bytes, use, given.exclusive))
        used = self._node_memory
        weights: Weights[bytes] = Weights()
        weights.add(
            claims, self._memory_bytes, None if used is None else used * self.dur_ns, self.dur_ns
        )
        return weights

    def by_device(self, domain: str) -> Weights[bytes]:
        """By what a GPU's energy is split: by how much of it was given to each."""
        claims = []
        for work in self.works:
            gpus, exclusive = work.allocation.gpus, work.allocation.exclusive
            part = None if gpus is None else dict(gpus).get(domain, 0)
            if part != 0 or exclusive:
                claims.append(Claim(work.run, part, None, exclusive))
        weights: Weights[bytes] = Weights()
        weights.add(claims, WHOLE_GPU, None, self.dur_ns)
        return weights

    @cached_property
    def piece(self) -> Piece | None:
        """
        What of it is needed to divide what runs were given; None where it is not known at its end.

        With it comes the time before it in which processes were not looked at.
        """
        then, now = self._looked.processes or {}, self._after.processes
        if now is None:
            return None
        moved = {key: used_ns - then.get(key, used_ns) for key, used_ns in now.items()}
        window = Window(self._looked.utc_ns, self._after.utc_ns, moved)
        runs = {work.run: _run_ns(work.run, self._looked, self._after) for work in self.works}
        return Piece(self.end_boot_ns, window, runs)

    def used_ns(self, run: bytes) -> int | None:
        """Return a run's processor time; None: not known, or it was not there."""
        return self._run_ns.get(run)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody was there and next to nothing was used, not by others either."""
        bound_ns = max(self._cpus * self.dur_ns // _QUIET_PART, self.dur_ns // _QUIET_CPU_PART)
        return not self.works and self._node_ns <= bound_ns

    @property
    def rest_ns(self) -> int:
        """Processor time that no run used."""
        return max(0, self._node_ns - sum(used or 0 for used in self._run_ns.values()))


def _run_ns(run: bytes, before: Sample, after: Sample) -> int | None:
    """Return a run's processor time; None: not known."""
    now = after.runs.get(run)
    if now is None:
        return None
    then = before.runs.get(run)
    # It was there without having anything that could be read: its control group is younger.
    return max(0, now.cpu_ns - (then.cpu_ns if then is not None else 0))


def weights_of(stretches: Sequence[Stretch], component: str, domain: str) -> Weights[bytes]:
    """
    Return by what a component's energy over stretches is split.

    Parameters
    ----------
    stretches : sequence of Stretch
        One after the other.
    component : str
        ``cpu``, ``dram``, ``gpu`` or ``other``.
    domain : str
        Of a GPU.
    """
    found = [_weights(stretch, component, domain) for stretch in stretches]
    return found[0] if len(found) == 1 else _added(found)


def _weights(stretch: Stretch, component: str, domain: str) -> Weights[bytes]:
    if component == "gpu":
        return stretch.by_device(domain)
    return stretch.by_memory if component == "dram" else stretch.by_processor


def _added(several: Sequence[Weights[bytes]]) -> Weights[bytes]:
    whole: Weights[bytes] = Weights()
    for one in several:
        for key, alloc in one.alloc.items():
            whole.alloc[key] = whole.alloc.get(key, 0) + alloc
            whole.use[key] = whole.use.get(key, 0) + one.use[key]
        whole.idle_alloc += one.idle_alloc
        whole.idle_use += one.idle_use
        whole.system_use += one.system_use
        whole.shared |= one.shared
        whole.by_alloc |= one.by_alloc
    return whole
