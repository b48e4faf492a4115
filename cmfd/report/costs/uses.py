"""How a run used its nodes, what its ranks were busy with, and what its work took by the unit."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cmfd.query.cost import cpu_ns
from cmfd.query.runs import usage_of
from cmfd.report.costs.model import NodeUse, RankLoad, Unit
from cmfd.report.costs.sums import Sum, read_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cmfd.carbon.model import Carbon
    from cmfd.query.energy import EnergySum
    from cmfd.query.results import Execution, Metric, Param, Process

SAMPLES = "samples"
"""Metric or parameter that says how many samples an execution worked on."""

_J = 1e-6
_NANO = 1e9


def node_uses(  # noqa: PLR0913 - all that is known of a run's nodes
    executions: Sequence[Execution],
    processes: Sequence[Process],
    rows: Sequence[EnergySum],
    *,
    wall_s: float | None,
    n_cores: int | None,
    memory_bytes: int | None,
) -> list[NodeUse]:
    """
    Return how a run used each of its nodes, by name.

    Parameters
    ----------
    executions, processes : sequence
        All of the run's.
    rows : sequence of EnergySum
        Its energy.
    wall_s, n_cores, memory_bytes
        Of the run; of several nodes, each has an even share of cores and memory.
    """
    nodes = sorted({one.host for one in processes} | {row.node for row in rows})
    parents = {one.execution: one.parent for one in executions}
    n_nodes = len(nodes)
    capacity_s = n_cores * wall_s / n_nodes if n_cores and wall_s and n_nodes else None
    there_bytes = memory_bytes // n_nodes if memory_bytes and n_nodes else None
    found = []
    for node in nodes:
        mine = [one for one in processes if one.host == node]
        cpu_s = cpu_ns(parents, map(usage_of, mine)) / _NANO
        rss = _rss_bytes(mine)
        here = [row for row in rows if row.node == node]
        gpus = [row for row in here if row.component == "gpu"]
        found.append(
            NodeUse(
                node=node,
                n_ranks=len({one.rank for one in mine if one.role != "worker"}),
                cpu_s=cpu_s,
                capacity_s=capacity_s,
                cpu_efficiency=cpu_s / capacity_s if capacity_s else None,
                max_rss_bytes=rss or None,
                memory_bytes=there_bytes,
                memory_efficiency=rss / there_bytes if there_bytes and rss else None,
                n_gpus=len({row.domain for row in gpus}),
                gpu_j=sum(row.uj for row in gpus) * _J if gpus else None,
                energy_j=sum(row.uj for row in here) * _J if here else None,
                coverage=_coverage(here, wall_s),
            )
        )
    return found


def _rss_bytes(processes: Iterable[Process]) -> int:
    """Return the memory of the execution that had the most; a wrapper's is of its largest child."""
    wrappers: dict[str, int] = defaultdict(int)
    others: dict[str, int] = defaultdict(int)
    for one in processes:
        (wrappers if one.role == "wrapper" else others)[one.execution] += one.max_rss_bytes
    executions = wrappers.keys() | others.keys()
    return max((max(wrappers[name], others[name]) for name in executions), default=0)


def _coverage(rows: Sequence[EnergySum], wall_s: float | None) -> float | None:
    """Return the least share of the time in which a meter was read."""
    meters: dict[tuple[str, str], list[EnergySum]] = defaultdict(list)
    for row in rows:
        meters[row.component, row.domain].append(row)
    shares = [
        part / whole
        for part, dur_ns in map(read_ns, meters.values())
        if (whole := max(dur_ns, (wall_s or 0) * _NANO))
    ]
    return min(shares, default=None)


def rank_loads(
    executions: Sequence[Execution], processes: Sequence[Process], joules: Mapping[str, float]
) -> list[RankLoad]:
    """
    Return what the ranks of executions with several of them were busy with.

    Parameters
    ----------
    executions, processes : sequence
        All of a run's.
    joules : mapping
        Energy by execution.
    """
    found = []
    for execution in executions:
        mine = [one for one in processes if one.execution == execution.execution]
        ranks: dict[int, list[Process]] = defaultdict(list)
        for one in mine:
            if one.role != "wrapper":
                ranks[one.rank].append(one)
        if len(ranks) < 2:
            continue
        busy_s = {
            rank: sum(one.cpu_user_ns + one.cpu_system_ns for one in parts) / _NANO
            for rank, parts in ranks.items()
        }
        whole_s = sum(busy_s.values())
        energy_j = joules.get(execution.execution)
        found += [
            RankLoad(
                execution=execution.execution,
                stage=f"{execution.pipeline}.{execution.stage}",
                rank=rank,
                host=parts[0].host,
                began_ns=min(one.began_ns for one in parts),
                ended_ns=max(one.seen_ns for one in parts),
                busy_s=busy_s[rank],
                energy_j=energy_j * busy_s[rank] / whole_s if energy_j and whole_s else None,
            )
            for rank, parts in sorted(ranks.items())
        ]
    return found


def units(
    executions: Sequence[Execution],
    joules: Mapping[str, float],
    metrics: Sequence[Metric],
    params: Sequence[Param],
    carbon: Carbon | None,
) -> list[Unit]:
    """
    Return what executions took for a step, and for a sample, as far as they say how many.

    Parameters
    ----------
    executions : sequence of Execution
        A run's.
    joules : mapping
        Energy by execution; those without are left out.
    metrics, params : sequence
        Of the run.
    carbon : Carbon, optional
        Of all of the run's energy.
    """
    found = []
    per_j = carbon.per_unit_gco2e(carbon.energy_j) if carbon and carbon.energy_j else None
    for execution in executions:
        energy_j = joules.get(execution.execution)
        if not energy_j:
            continue
        n_steps = n_steps_of(one for one in metrics if one.execution == execution.execution)
        n_samples = _n_samples(execution.execution, metrics, params)
        found.append(
            Unit(
                execution=execution.execution,
                stage=f"{execution.pipeline}.{execution.stage}",
                energy_j=energy_j,
                n_steps=n_steps,
                j_per_step=energy_j / n_steps if n_steps else None,
                n_samples=n_samples,
                j_per_sample=energy_j / n_samples if n_samples else None,
                sci_gco2e_per_step=_per(energy_j, per_j, n_steps),
                sci_gco2e_per_sample=_per(energy_j, per_j, n_samples),
            )
        )
    return found


def _per(energy_j: float, per_j: float | None, n_units: float | None) -> float | None:
    return energy_j * per_j / n_units if per_j is not None and n_units else None


def n_steps_of(metrics: Iterable[Metric]) -> int | None:
    """Return how many steps went by, from the first to the last of a metric; None of one step."""
    most = max((one.step_max - one.step_min + 1 for one in metrics), default=0)
    return most if most > 1 else None


def _n_samples(execution: str, metrics: Iterable[Metric], params: Iterable[Param]) -> float | None:
    """Return the sum of the metric, over steps and ranks; else the parameter."""
    for metric in metrics:
        if metric.execution == execution and metric.name == SAMPLES and metric.mean is not None:
            return metric.mean * (metric.n_values - metric.n_nan) or None
    for param in params:
        if param.execution == execution and param.key == SAMPLES and param.type in ("int", "float"):
            return float(param.value) or None
    return None


def sum_of(rows: Iterable[EnergySum], wall_s: float | None) -> Sum:
    """Return the energy of a run, each meter of which should have been read for all its time."""
    found = Sum()
    meters: dict[tuple[str, str, str], list[EnergySum]] = defaultdict(list)
    for row in rows:
        found.add(row)
        meters[row.node, row.component, row.domain].append(row)
    for (_, component, _), mine in meters.items():
        covered_ns, dur_ns = read_ns(mine)
        found.cover(component, covered_ns, max(dur_ns, (wall_s or 0) * _NANO))
    return found
