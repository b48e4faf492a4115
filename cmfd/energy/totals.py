"""
What a node has taken since its daemon began, for who watches it: sums that only ever grow.

Rows are stored again when they have grown, so that of each its latest state counts. Of jobs only
those that are here are told of: series of jobs that are over would pile up wherever they are kept.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.exposition import Family, Sample

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from cmfd.energy.presence import Row
    from cmfd.energy.readings import Probe

_GROWS_FOR_NS = 2 * 3600 * 10**9
"""A row is of one bucket of time, and is not stored again so long after its begin."""


class JobLabel(NamedTuple):
    """What a run that is here is called."""

    job: str
    user: str


class Totals:
    """
    The sums.

    Parameters
    ----------
    node : str
        The node's name.
    version : str
        Of cmfd.
    """

    def __init__(self, node: str, version: str) -> None:
        self.node = node
        self.version = version
        self._seen: dict[tuple[Hashable, ...], int] = {}
        self._nodes: dict[tuple[str, str, str], int] = defaultdict(int)
        self._nobody: dict[tuple[str, str], int] = defaultdict(int)
        self._runs: dict[bytes, dict[tuple[str, str], int]] = {}
        self._n_ticks = 0
        self._ticks_s = 0.0

    def add(self, rows: Iterable[Row]) -> None:
        """
        Count what rows have grown by.

        Parameters
        ----------
        rows : iterable of Row
            As they are stored: new ones, and ones that were here when they were smaller. Those of
            sources that only check others are left out.
        """
        newest_ns = 0
        for row in rows:
            if row.role != "count":
                continue
            newest_ns = max(newest_ns, row.t0_ns)
            key = (
                row.owner,
                row.run,
                row.execution,
                row.component,
                row.domain,
                row.source,
                row.t0_ns,
            )
            grown = max(row.uj - self._seen.get(key, 0), 0)
            self._seen[key] = max(row.uj, self._seen.get(key, 0))
            self._count(row, grown)
        if newest_ns:
            oldest_ns = newest_ns - _GROWS_FOR_NS
            self._seen = {key: uj for key, uj in self._seen.items() if key[-1] >= oldest_ns}  # type: ignore[operator] # the last is a time

    def _count(self, row: Row, uj: int) -> None:
        if row.owner == "counter":
            self._nodes[row.component, row.source, row.grade] += uj
        elif row.owner == "run":
            of_run = self._runs.setdefault(row.run, defaultdict(int))
            of_run[row.component, row.grade] += uj
        else:
            self._nobody[row.owner, row.component] += uj

    def tick(self, seconds: float) -> None:
        """Note how long one round of reading took."""
        self._n_ticks += 1
        self._ticks_s += seconds

    def families(self, jobs: Mapping[bytes, JobLabel], probes: Iterable[Probe]) -> list[Family]:
        """
        Return the sums for Prometheus, and forget runs that are over.

        Parameters
        ----------
        jobs : mapping
            The runs that are here.
        probes : iterable of Probe
            What was found of each source.
        """
        self._runs = {run: sums for run, sums in self._runs.items() if run in jobs}
        node = {"node": self.node}
        return [
            Family(
                "cmfd_node_energy_joules_total", "counter",
                "Energy that the counters of this node moved, by component.",
                [
                    Sample(
                        {**node, "component": component, "source": source, "grade": grade}, uj / 1e6
                    )
                    for (component, source, grade), uj in self._nodes.items()
                ],
            ),
            Family(
                "cmfd_job_energy_joules_total", "counter",
                "Energy that this node has given to a job that is running here.",
                [
                    Sample(
                        {**node, "job_id": jobs[run].job or run.hex(), "user": jobs[run].user,
                         "component": component, "grade": grade},
                        uj / 1e6,
                    )
                    for run, sums in self._runs.items()
                    for (component, grade), uj in sums.items()
                ],
            ),
            Family(
                "cmfd_energy_unattributed_joules_total", "counter",
                "Energy of this node that is no job's: idle, or of the system.",
                [
                    Sample({**node, "owner": owner, "component": component}, uj / 1e6)
                    for (owner, component), uj in self._nobody.items()
                ],
            ),
            *self._of_itself(probes),
        ]  # fmt: skip

    def _of_itself(self, probes: Iterable[Probe]) -> list[Family]:
        node = {"node": self.node}
        return [
            Family(
                "cmfd_source_up", "gauge", "Whether a source of energy readings is available.",
                [
                    Sample({**node, "source": one.source}, float(one.status == "available"))
                    for one in probes
                ],
            ),
            Family(
                "cmfd_sampler_tick_seconds", "summary", "How long a round of reading energy takes.",
                [
                    Sample(node, self._ticks_s, "_sum"),
                    Sample(node, float(self._n_ticks), "_count"),
                ],
            ),
            Family(
                "cmfd_build_info", "gauge", "Which cmfd this is.",
                [Sample({**node, "version": self.version}, 1.0)],
            ),
        ]  # fmt: skip
