"""Sources of energy: which can be read here, which count, and what they say now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from cmfd.cli.checks import codecarbon
from cmfd.cli.checks.finding import Finding
from cmfd.energy.counters import Meters
from cmfd.energy.probing import Candidate, candidates, choose
from cmfd.energy.readings import MODELLED, Roots
from cmfd.energy.sources.processor import processor_of, table_of_codecarbon, tdp_w

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.config import Settings
    from cmfd.energy.readings import Component, Probe, Reading, Source

_LOOK_S = 1.0
"""Long enough for counters of whole joules, ten times a second."""

_ADVICE = "See the reference of energy sources for what each of them needs."
_CODECARBON = "energy: codecarbon's table"
_FULL_SHARE = (0.02, 1.5)
"""Of its thermal design power: what a processor draws, from deep sleep to its turbo."""


class _Look(NamedTuple):
    candidate: Candidate
    counts_for: list[Component]
    power_w: dict[Component, float]
    cpu_j: float = 0.0
    """What counters of processors moved meanwhile."""


def check_energy(settings: Settings) -> Finding:
    """Say in one finding which sources count on this node."""
    found = candidates(_roots(settings), settings)
    if not settings.energy:
        advice = "Set energy = true to have it measured."
        return Finding("energy", "warn", "is not measured: the setting energy is off", advice)
    said, advice = [], ""
    for probe, components in _counting(found):
        said.append(f"{', '.join(components)} by {probe.source} (grade {probe.grade})")
        if probe.grade in MODELLED:
            advice = f"It is a model. `cmfd doctor --energy` says why. {probe.advice}"
    if not said:
        return Finding("energy", "warn", "nothing says it here", _ADVICE)
    return Finding("energy", "warn" if advice else "ok", "; ".join(said), advice)


def check_energy_sources(settings: Settings) -> Iterator[Finding]:
    """Say of each source what was found, and read for a second those that can be."""
    roots = _roots(settings)
    found = candidates(roots, settings)
    has_rapl = any((probe.source, probe.status) == ("rapl", "available") for _, probe in found)
    reader = codecarbon.Reader(roots.sys) if has_rapl and codecarbon.is_installed() else None
    try:
        looks = _look(found, reader)
    finally:
        if reader is not None:
            reader.close()
    yield from (_of_source(look) for look in looks)
    yield _of_table(roots, looks)
    if reader is not None:
        own_j = sum(look.cpu_j for look in looks if look.candidate.probe.source == "rapl")
        yield codecarbon.compared(own_j, reader.energy_j)


def _roots(settings: Settings) -> Roots:
    return Roots(sys=settings.energy_sysfs)


def _counting(found: list[Candidate]) -> list[tuple[Probe, list[Component]]]:
    """Return the sources that count, and for what."""
    chosen = choose(found)
    of_each = (
        (probe, [component for component, by in chosen.items() if by is source])
        for source, probe in found
    )
    return [(probe, components) for probe, components in of_each if components]


def _look(found: list[Candidate], reader: codecarbon.Reader | None) -> list[_Look]:
    """Read every source that can be, twice, and have codecarbon do so in between."""
    chosen = choose(found)
    usable = [one.source for one in found if one.source and one.probe.status == "available"]
    meters = {source.name: Meters() for source in usable}
    for source in usable:
        source.open()
        meters[source.name].advance(source.read())
    if reader is not None:
        reader.begin()
    time.sleep(_LOOK_S if usable else 0)
    if reader is not None:
        reader.end()
    said = {source.name: _moved(source, meters[source.name]) for source in usable}
    for source in usable:
        source.close()
    return [
        _Look(
            one,
            [component for component, by in chosen.items() if by is one.source],
            *said.get(one.probe.source, ({}, 0.0)),
        )
        for one in found
    ]


def _moved(source: Source, meters: Meters) -> tuple[dict[Component, float], float]:
    """
    Return what each component draws: of powers the last, of counters what they moved.

    With it comes what counters of processors moved, in joules.
    """
    readings = source.read()
    power_w: dict[Component, float] = {}
    cpu_j = 0.0
    for delta in meters.advance(one for one in readings if one.kind == "counter"):
        if delta.covered_ns:
            own_w = delta.uj * 1000 / delta.covered_ns
            power_w[delta.component] = power_w.get(delta.component, 0.0) + own_w
            cpu_j += delta.uj / 1e6 if delta.component == "cpu" else 0.0
    for one in readings:
        if one.kind == "power" and _has_value(one):
            power_w[one.component] = power_w.get(one.component, 0.0) + one.value / 1e6
    return power_w, cpu_j


def _has_value(reading: Reading) -> bool:
    return reading.status in ("ok", "stale")


def _of_source(look: _Look) -> Finding:
    probe = look.candidate.probe
    check = f"energy: {probe.source}"
    if probe.status == "absent":
        return Finding(check, "ok", f"absent: {probe.reason}", probe.advice)
    if probe.status != "available":
        return Finding(check, "warn", f"{probe.status}: {probe.reason}", probe.advice or _ADVICE)
    role = f"counts for {', '.join(look.counts_for)}" if look.counts_for else "a check only"
    what = f"grade {probe.grade}, {role}: {probe.reason}"
    if look.power_w:
        what += f"; now {_watts(look.power_w)}"
    is_poor = bool(look.counts_for) and probe.grade in MODELLED
    return Finding(check, "warn" if is_poor else "ok", what, probe.advice)


def _watts(power_w: dict[Component, float]) -> str:
    return ", ".join(f"{component} {value:.1f} W" for component, value in power_w.items())


def _of_table(roots: Roots, looks: Iterable[_Look]) -> Finding:
    """Compare what counts for the processors with their thermal design power."""
    processor, table = processor_of(roots.proc), table_of_codecarbon()
    if not table:
        return Finding(_CODECARBON, "ok", "not installed; nothing to compare with")
    name = processor.model or "an unnamed processor"
    each_w = tdp_w(processor.model, table)
    if each_w is None or processor.is_virtual:
        why = "is a virtual machine's" if processor.is_virtual else "is not in it"
        return Finding(_CODECARBON, "ok", f"{name} {why}; nothing to compare with")
    most_w = each_w * processor.n_sockets
    what = f"{processor.n_sockets} x {name}: {most_w:g} W at most"
    for look in looks:
        is_of_processors = look.candidate.probe.scope != "node" and "cpu" in look.counts_for
        if is_of_processors and "cpu" in look.power_w:
            own_w, by = look.power_w["cpu"], look.candidate.probe.source
            what += f"; {by} says {own_w:.1f} W"
            if not _FULL_SHARE[0] <= own_w / most_w <= _FULL_SHARE[1]:
                advice = f"One of them is wrong: compare {by} with the node's own meter."
                return Finding(_CODECARBON, "warn", what, advice)
    return Finding(_CODECARBON, "ok", what)
