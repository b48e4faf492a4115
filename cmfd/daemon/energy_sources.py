"""The sources of energy that are read on a node: opened, read together, and told of."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from cmfd.daemon.border import attempt
from cmfd.energy.presence import WHOLE_GPU, Measured
from cmfd.energy.probing import candidates, choose
from cmfd.energy.readings import GpuSource, boottime_ns
from cmfd.store.energy import HardwareRow, ProbeRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cmfd.config import Settings
    from cmfd.energy.readings import Reading, Roots, Source
    from cmfd.energy.usage import Node

log = logging.getLogger(__name__)


class Sources:
    """
    All sources that can be read, those that count and those to compare with.

    Parameters
    ----------
    roots : Roots
        Where the kernel shows itself.
    settings : Settings
        Those of sources.
    """

    def __init__(self, roots: Roots, settings: Settings) -> None:
        self._found = candidates(roots, settings)
        chosen = choose(self._found)
        self._of_component = {component: source.name for component, source in chosen.items()}
        available = [one.source for one in self._found if one.probe.status == "available"]
        # A model beside a counter tells nothing.
        counting = set(self._of_component.values())
        self._open: list[Source] = [
            source
            for source in available
            if source is not None and (source.name in counting or source.grade not in {"D", "E"})
        ]
        self._problems: dict[str, str] = {}
        for source in self._open:
            self._try(source, source.open)
        self._next_ns: dict[str, int] = {}
        self._roots = roots
        self._document = [
            {
                "source": probe.source, "status": probe.status, "reason": probe.reason,
                "advice": probe.advice, "grade": probe.grade,
                "counts": sorted(c for c, n in self._of_component.items() if n == probe.source),
            }
            for _, probe in self._found
        ]  # fmt: skip

    @property
    def names(self) -> list[str]:
        """Those that count."""
        return sorted(set(self._of_component.values()))

    def read(self) -> list[Measured]:
        """Read each source that may have something new."""
        return [one for source in self._open for one in self._read(source)]

    def _read(self, source: Source) -> Iterator[Measured]:
        now_ns = boottime_ns()
        if now_ns < self._next_ns.get(source.name, 0):
            return
        self._next_ns[source.name] = now_ns + round(source.min_interval_s * 900_000_000)
        for reading in self._said(source):
            if reading.status == "denied":
                continue
            counts = self._counts(source, reading)
            yield Measured(source.name, source.grade, "count" if counts else "check", reading)

    def _said(self, source: Source) -> list[Reading]:
        found: list[Reading] = []
        self._try(source, lambda: found.extend(source.read()))
        return found

    def _try(self, source: Source, action: Callable[[], object]) -> None:
        """Do what somebody else's source may fail at in any way; it costs only itself."""
        error = attempt(action)
        problem = "" if error is None else repr(error)
        if problem and problem != self._problems.get(source.name):
            log.error("energy source %s fails: %s; the others are read", source.name, problem)
        self._problems[source.name] = problem

    def _counts(self, source: Source, reading: Reading) -> bool:
        """Tell whether a reading is added; beside the node's own, what is left is `other`."""
        if reading.component == "other" and "node" in self._of_component:
            return False
        return self._of_component.get(reading.component) == source.name

    def devices(self) -> list[tuple[str, int]]:
        """Return GPUs, or the parts that they are divided into, as SLURM numbers them."""
        known = [
            gpu for source in self._open if isinstance(source, GpuSource) for gpu in source.gpus()
        ]
        devices: list[tuple[str, int]] = []
        for gpu in sorted(known, key=lambda gpu: gpu.minor):
            parts = [round(share * WHOLE_GPU) for share in gpu.slices.values()] or [WHOLE_GPU]
            devices += [(gpu.domain, part) for part in parts]
        if devices:
            return devices
        domains = [one.domain for each in self._found for one in self._domains(each.probe.source)]
        return [(domain, WHOLE_GPU) for domain in domains]

    def _domains(self, name: str) -> Iterator[Reading]:
        if self._of_component.get("gpu") == name:
            for source in self._open:
                if source.name == name:
                    yield from (one for one in self._said(source) if one.component == "gpu")

    def idle_uw(self, configured_w: float) -> dict[str, int]:
        """Return what is configured to be drawn when idle, where it can be only one component's."""
        counted = {
            "other" if component == "node" else component
            for component in self._of_component
            if component != "gpu"
        }
        if configured_w <= 0 or len(counted) != 1:
            return {}
        return dict.fromkeys(counted, round(configured_w * 1e6))

    def probe_rows(self, node: str, boot: bytes, origin: bytes) -> tuple[ProbeRow, ...]:
        """Return what was found of each source, to be stored."""
        chosen = set(self._of_component.values())
        return tuple(
            ProbeRow(
                boot, node, probe.source, time.time_ns(), origin, probe.status, probe.reason,
                probe.advice, probe.grade, probe.scope, json.dumps(probe.components),
                json.dumps(probe.domains), int(probe.source in chosen),
            )
            for _, probe in self._found
        )  # fmt: skip

    def hardware(
        self, cluster: str, node: str, boot: bytes, origin: bytes, usage: Node
    ) -> HardwareRow:
        """Return what the node is made of, to be stored."""
        text = (self._roots.proc / "cpuinfo").read_text("utf-8", errors="replace")
        lines = [line.partition(":") for line in text.splitlines()]
        said = [(key.strip(), value.strip()) for key, _, value in lines]
        models = [value for key, value in said if key == "model name"]
        sockets = {value for key, value in said if key == "physical id"}
        cores = [int(value) for key, value in said if key == "cpu cores" and value.isdecimal()]
        n_sockets = max(1, len(sockets))
        n_cores = cores[0] * n_sockets if cores else usage.cpus
        model = models[0] if models else os.uname().machine
        gpus = json.dumps(
            [{"uuid": domain} for domain in dict.fromkeys(d for d, _ in self.devices())]
        )
        return HardwareRow(
            boot, node, time.time_ns(), origin, cluster, model,
            n_sockets, n_cores, usage.cpus, usage.memory_bytes, gpus,
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """Describe the sources."""
        return {"sources": self._document}

    def close(self) -> None:
        """Close all of them."""
        for source in self._open:
            self._try(source, source.close)
