"""Adding up energy, with how well it is known."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cmfd.report.costs.model import Component, Energy
from cmfd.report.costs.policy import GRADES, MEASURED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.query.energy import EnergySum
    from cmfd.query.reported import Given
    from cmfd.report.costs.policy import Policy

COMPONENTS = ("cpu", "dram", "gpu", "other")
CONTRIBUTES = 0.1
"""From this share on, a component's grade counts for the whole."""
SHARED = "shared_static_dynamic"
SHARED_BOUND = 0.15
"""Of what jobs on one node took over idle: turbo, vector units and threads are not told apart."""

_J = 1e-6


class Sum:
    """
    Energy of runs, executions or nodes, as it is added up.

    Microjoules are integers here, so that parts add up to their whole.
    """

    def __init__(self) -> None:
        self.uj = 0
        self._parts: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._times: dict[str, list[float]] = defaultdict(lambda: [0, 0])

    def add(self, row: EnergySum | Given) -> None:
        """Add energy of a component."""
        key = (row.component, row.grade, row.method, row.source)
        self.put(key, row.uj, row.static_uj)

    def put(self, key: tuple[str, str, str, str], uj: int, static_uj: int) -> None:
        """Add energy of a component, grade, method and source."""
        self.uj += uj
        part = self._parts[key]
        part[0] += uj
        part[1] += static_uj

    def cover(self, component: str, covered_ns: float, need_ns: float) -> None:
        """Say for how much of a time a component was read."""
        times = self._times[component]
        times[0] += covered_ns
        times[1] += need_ns

    def merge(self, other: Sum) -> None:
        """Add all of another sum."""
        for key, (uj, static_uj) in other._parts.items():
            self.put(key, uj, static_uj)
        for component, (covered_ns, need_ns) in other._times.items():
            self.cover(component, covered_ns, need_ns)

    def energy(self, policy: Policy) -> Energy | None:
        """Return all of it; None where nothing was added."""
        if not self._parts:
            return None
        components = [self._component(name, policy) for name in self._names()]
        grades, methods = self._by(1), self._by(2)
        shares = [times[0] / times[1] for times in self._times.values() if times[1]]
        return Energy(
            energy_j=self.uj * _J,
            static_j=sum(one.static_j for one in components),
            low_j=sum(one.low_j for one in components),
            high_j=sum(one.high_j for one in components),
            grade=_worst({one.grade: 0 for one in components if self._counts(one.energy_j)}),
            grades_j={grade: grades[grade] * _J for grade in GRADES if grade in grades},
            measured_share=_ratio(sum(grades.get(grade, 0) for grade in MEASURED), self.uj),
            coverage=min(*shares, 1.0) if shares else None,
            components=components,
            methods_j={name: uj * _J for name, uj in sorted(methods.items())},
        )

    def _counts(self, energy_j: float) -> bool:
        return energy_j >= CONTRIBUTES * self.uj * _J

    def _names(self) -> list[str]:
        present = {key[0] for key in self._parts}
        return sorted(present, key=lambda name: (COMPONENTS.index(name), name))

    def _by(self, field: int) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for key, (uj, _) in self._parts.items():
            found[key[field]] += uj
        return found

    def _component(self, name: str, policy: Policy) -> Component:
        rows = {key: part for key, part in self._parts.items() if key[0] == name}
        whole = sum(part[0] for part in rows.values())
        low, high = 0.0, 0.0
        for (_, grade, method, _), (uj, static_uj) in rows.items():
            less, more = policy.bounds(grade)
            shared = SHARED_BOUND * (uj - static_uj) if method == SHARED else 0.0
            low += max(uj * (1 - less) - shared, 0.0)
            high += uj * (1 + more) + shared
        grades: dict[str, int] = defaultdict(int)
        for key, part in rows.items():
            grades[key[1]] += part[0]
        return Component(
            component=name,
            energy_j=whole * _J,
            static_j=sum(part[1] for part in rows.values()) * _J,
            low_j=low * _J,
            high_j=high * _J,
            grade=_worst({grade: uj for grade, uj in grades.items() if uj >= CONTRIBUTES * whole}),
            sources=sorted({key[3] for key in rows}),
        )


def read_ns(rows: Sequence[EnergySum]) -> tuple[float, int]:
    """
    Return for how long a meter was read for a run, and how long its rows are.

    What executions took at the same time, and the run beside them, is of one time: it counts once.

    Parameters
    ----------
    rows : sequence of EnergySum
        All of one run and meter.
    """
    covered_ns = sum(row.covered_ns for row in rows)
    dur_ns = sum(row.dur_ns for row in rows)
    there_ns, at_ns = 0, 0
    for first_ns, end_ns in sorted((row.first_ns, row.end_ns) for row in rows):
        there_ns += max(end_ns - max(first_ns, at_ns), 0)
        at_ns = max(at_ns, end_ns)
    there_ns = min(there_ns, dur_ns)
    return (covered_ns * there_ns / dur_ns if dur_ns else 0.0), there_ns


def _worst(grades: dict[str, int]) -> str:
    return max(grades, key=GRADES.index)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
