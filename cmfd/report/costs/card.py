"""The card of a run: all there is to say of one start of a job."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.query import energy, runs
from cmfd.report.costs import uses
from cmfd.report.costs.advice import advise
from cmfd.report.costs.model import Check, JobCard
from cmfd.report.costs.power import power_of

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.energy import EnergySum
    from cmfd.query.reported import RunLine
    from cmfd.query.results import RunDetail, Runtime
    from cmfd.report.costs.groups import Reckoner
    from cmfd.report.costs.model import Energy

_J = 1e-6
_WHOLE_NODES = "SLURM counts whole nodes, whoever else used them; this is the run's part of them."
_COMPONENTS = "SLURM may count more of the node than {components}, which is all that was read here."
_STEPS = "SLURM counts only while a step runs."


def card_of(
    db: sqlite3.Connection, line: RunLine, runtime: Runtime | None, reckoner: Reckoner
) -> JobCard:
    """
    Make the card of a run.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    line : RunLine
        The run.
    runtime : Runtime, optional
        What it took, if it has executions.
    reckoner : Reckoner
        Of a heap in which runs are one by one, this one among them.
    """
    detail = runs.detail(db, line.run_id)
    rows = energy.sums(db, energy.Which([line.run_id]), by_execution=True)
    found = uses.sum_of(rows, line.wall_s).energy(reckoner.policy)
    joules = _joules(db, rows)
    held = _held(detail, line, runtime)
    pile = reckoner.heap.piles[reckoner.heap.key(line.run_id, 0, "")]
    carbon = reckoner.carbon(pile, None) if found else None
    operational = carbon.operational_gco2e if carbon else None
    core_h = (held["core_s"] or 0) / 3600
    card = JobCard(
        **_header(detail),
        **held,
        nodes=sorted({one.host for one in detail.processes} | {row.node for row in rows}),
        uses=uses.node_uses(
            detail.executions, detail.processes, rows,
            wall_s=line.wall_s, n_cores=held["n_cores"], memory_bytes=held["memory_bytes"],
        ),
        ranks=uses.rank_loads(detail.executions, detail.processes, joules),
        energy=found,
        carbon=carbon,
        average_w=found.energy_j / line.wall_s if found and line.wall_s else None,
        gco2e_per_core_h=operational / core_h if operational is not None and core_h else None,
        units=uses.units(detail.executions, joules, detail.metrics, detail.params, carbon),
        check=_check(_facts(detail), found),
        power=power_of(list(energy.rows(db, energy.Which([line.run_id]))), reckoner.book),
        notes=[],
    )  # fmt: skip
    return msgspec.structs.replace(card, notes=advise(db, card, detail, rows))


def _facts(detail: RunDetail) -> dict[str, Any]:
    """Return what is known of the run itself."""
    return {fact.key: fact.value for fact in detail.facts if fact.subject == detail.run.run}


def _header(detail: RunDetail) -> dict[str, Any]:
    run, facts = detail.run, _facts(detail)
    projects = [fact.value for fact in detail.facts if fact.key == "project"]
    return {
        **{
            name: getattr(run, name)
            for name in (
                "run", "job", "name", "user", "cluster", "restart", "status", "exit_code",
                "stages", "began_ns", "ended_ns",
            )
        },
        "state": run.job_state,
        "account": str(facts.get("slurm.account", "")),
        "partition": str(facts.get("slurm.partition", "")),
        "project": str(facts.get("project", projects[0] if projects else "")),
    }  # fmt: skip


def _held(detail: RunDetail, line: RunLine, runtime: Runtime | None) -> dict[str, Any]:
    """Return what the run held, for how long, and how well it used it."""
    facts, wall_s, cores = _facts(detail), line.wall_s, line.cores
    jobs = runtime.jobs if runtime else None
    core_s = wall_s * cores if wall_s is not None and cores else None
    cpu_s = _number(facts, "slurm.total_cpu_s")
    if cpu_s is None:
        cpu_s = detail.cpu_ns / 1e9
    limit_s = _number(facts, "slurm.time_limit_s")
    memory = _number(facts, "slurm.requested_memory_bytes")
    return {
        "n_cores": cores,
        "n_gpus": line.gpus,
        "memory_bytes": None if memory is None else int(memory),
        "queued_s": jobs.queued_s if jobs else None,
        "wall_s": wall_s,
        "limit_s": limit_s,
        "of_limit": wall_s / limit_s if limit_s and wall_s is not None else None,
        "core_s": core_s,
        "gpu_s": wall_s * line.gpus if wall_s is not None and line.gpus else None,
        "cpu_s": cpu_s,
        "cpu_efficiency": cpu_s / core_s if core_s else None,
        "memory_efficiency": jobs.memory_efficiency if jobs else None,
        "imbalance": runtime.imbalance if runtime else None,
        "stragglers": runtime.stragglers if runtime else [],
    }


def _number(facts: dict[str, Any], key: str) -> float | None:
    value = facts.get(key)
    return float(value) if isinstance(value, (int, float)) else None


def _joules(db: sqlite3.Connection, rows: list[EnergySum]) -> dict[str, float]:
    """Return energy by execution."""
    uj: dict[int, int] = defaultdict(int)
    for row in rows:
        uj[row.execution_id] += row.uj
    names = energy.names_of_executions(db, [number for number in uj if number])
    return {names[number]: amount * _J for number, amount in uj.items() if number in names}


def _check(facts: dict[str, Any], found: Energy | None) -> Check | None:
    slurm_j = _number(facts, "slurm.energy_j")
    if not slurm_j or found is None or not found.energy_j:
        return None
    reasons = [] if set(found.methods_j) <= {"exclusive"} else [_WHOLE_NODES]
    if found.grade != "A":
        components = ", ".join(one.component for one in found.components)
        reasons.append(_COMPONENTS.format(components=components))
    reasons.append(_STEPS)
    return Check(
        slurm_energy_j=slurm_j,
        difference=(slurm_j - found.energy_j) / found.energy_j,
        explanation=" ".join(reasons),
    )
