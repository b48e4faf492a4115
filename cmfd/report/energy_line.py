"""What a run took, in a line, and in another one how to get a better number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.query.energy import EnergySum, SourceProbe

_MODELLED = frozenset("DE")


def energy_lines(taken: Sequence[EnergySum], probes: Sequence[SourceProbe]) -> Iterator[str]:
    """
    Yield what `cmfd show` says of a run's energy; nothing where nothing is known.

    Parameters
    ----------
    taken : sequence of EnergySum
        The run's energy.
    probes : sequence of SourceProbe
        What was found of sources on its nodes.
    """
    if not taken:
        return
    parts: Counter[str] = Counter()
    for one in taken:
        parts[one.component] += one.uj
    grades = {one.grade for one in taken if one.uj} or {one.grade for one in taken}
    sources = sorted({one.source for one in taken})
    said = ", ".join(f"{name} {units.energy(uj / 1e6)}" for name, uj in sorted(parts.items()))
    whole = units.energy(sum(parts.values()) / 1e6)
    worst = max(grades)
    yield printable(f"energy   {whole} ({said}), grade {worst} by {', '.join(sources)}")
    if worst not in _MODELLED:
        return
    usable = [one for one in probes if one.advice and (one.chosen or one.status == "denied")]
    best = min(usable, key=lambda one: (one.status != "denied", one.grade), default=None)
    if best is not None:
        yield printable(f"         modelled, not measured. {best.advice}")
