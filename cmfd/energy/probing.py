"""Which sources there are on this node, whether they can be read, and which of them count."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple, get_args

from cmfd.energy.readings import MODELLED, Component, Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cmfd.config import Settings
    from cmfd.energy.readings import Roots, Source

GROUP = "cmfd.energy_sources"
"""Entry points of this group make sources: see `cmfd.energy.readings.SourceMaker`."""

ORDER = (
    "pm_counters", "redfish", "ipmi", "rapl", "grace", "hwmon", "nvml", "amdsmi", "tdp_load",
    "constant",
)  # fmt: skip
"""Best first; others come before the models."""

_ADVICE = "Correct or remove the package that brings it, or name it in energy_disabled."


class Candidate(NamedTuple):
    """
    A source and what was found of it.

    Attributes
    ----------
    source : Source or None
        None where it cannot even be made.
    probe : Probe
        What was found.
    """

    source: Source | None
    probe: Probe


def candidates(roots: Roots, settings: Settings) -> list[Candidate]:
    """
    Make and probe every source that is installed and not disabled; best first.

    It reads files, loads the drivers' libraries, runs a command and may ask the node's controller,
    for which it can take some seconds.

    Parameters
    ----------
    roots : Roots
        Where the kernel shows itself.
    settings : Settings
        Those of sources.

    Returns
    -------
    list of Candidate
        In the order of the setting `energy_sources`, else of `ORDER`.
    """
    points = metadata.entry_points(group=GROUP)
    names = [name for name in points.names if name not in settings.energy_disabled]
    order = (*settings.energy_sources, *ORDER)
    return [
        _candidate(name, points[name].load, roots, settings)
        for name in sorted(names, key=lambda name: _rank(name, order))
    ]


def choose(found: Iterable[Candidate]) -> dict[Component, Source]:
    """
    Choose which source counts for each component.

    The first that has it does. GPUs rather go by a source that knows them by UUID than by one of
    the whole node. A model counts only where nothing measures the node or its processors: the best
    one, a constant that somebody set rather than a guess. Every other available source is a check.

    Parameters
    ----------
    found : iterable of Candidate
        Best first.

    Returns
    -------
    dict
        The source of each component that has one.
    """
    usable = [(one.source, one.probe) for one in found if one.source and _is_available(one.probe)]
    chosen: dict[Component, Source] = {}
    for component in get_args(Component):
        able = [
            (source, probe)
            for source, probe in usable
            if component in probe.components and probe.grade not in MODELLED
        ]
        able.sort(key=lambda one: component == "gpu" and one[1].scope != "gpu")
        if able:
            chosen[component] = able[0][0]
    models = [(source, probe) for source, probe in usable if probe.grade in MODELLED]
    if models and not ("node" in chosen or "cpu" in chosen):
        source, probe = min(models, key=lambda one: (one[1].grade, one[1].scope != "node"))
        return {**dict.fromkeys(probe.components, source), **chosen}
    return chosen


def _is_available(probe: Probe) -> bool:
    return probe.status == "available"


def _rank(name: str, order: tuple[str, ...]) -> tuple[int, str]:
    """Sort by the first place in an order; what is not in it comes before the models."""
    return order.index(name if name in order else "tdp_load"), name


def _candidate(
    name: str, load: Callable[[], Callable[..., Source]], roots: Roots, settings: Settings
) -> Candidate:
    """Make and probe one source: somebody else's may fail in any way, and costs only itself."""
    try:
        source = load()(roots, settings)
        return Candidate(source, source.probe())
    except Exception as error:  # noqa: BLE001 - what a plug-in raises is not known here
        reason = f"it fails: {type(error).__name__}: {error}"
        return Candidate(None, Probe(name, "broken", reason, _ADVICE))
