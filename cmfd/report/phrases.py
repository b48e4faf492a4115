"""How runs, executions and metrics are put into words, the same wherever they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.model import OBSERVED, Status
from cmfd.report import units
from cmfd.slurm.hostlist import compress

if TYPE_CHECKING:
    from cmfd.query.results import Artifact, Environment, Execution, Metric, Param, Run, RunDetail

    Part = Execution | Param | Metric | Artifact | Environment


def job_of(run: Run) -> str:
    """Return a run's job with its cluster and restart, as far as it has them."""
    if not run.job:
        return ""
    where = f"@{run.cluster}" if run.cluster else ""
    return f"{run.job}{where}" + (f" restart {run.restart}" if run.restart else "")


def stage_of(part: Part) -> str:
    """Return the pipeline and stage that something belongs to."""
    return f"{part.pipeline}.{part.stage}"


def seen_how(properties: object) -> str:
    """Return how an event was seen that nobody declared; empty for others."""
    how = properties.get(OBSERVED) if isinstance(properties, dict) else None
    return f"observed ({how})" if how else ""


def outcome(ended: Run | Execution) -> str:
    """
    Return how something stands, with what says why: ``failed (TIMEOUT, signal 15)``.

    A job may complete although some of what it started did not: ``completed (1 of 3 failed)``.
    """
    state = getattr(ended, "job_state", None)
    why = [state] if state and state.lower() != ended.status else []
    n_failed = getattr(ended, "n_failed", 0)
    if n_failed and ended.status == Status.COMPLETED:
        why.append(f"{n_failed} of {getattr(ended, 'n_executions', 0)} failed")
    if ended.signal:
        why.append(f"signal {ended.signal}")
    elif ended.exit_code:
        why.append(f"exit {ended.exit_code}")
    return f"{ended.status} ({', '.join(why)})" if why else ended.status


def what_is_missing(run: Run) -> str:
    """Return which nodes have not delivered all they had of a run; empty where none is known."""
    return f"incomplete: {compress(run.missing_nodes)}" if run.missing_nodes else ""


def cost_of(detail: RunDetail) -> str:
    """Return what a run took, as far as that is known, and what of it could not be kept."""
    memory_bytes, dropped = detail.run.max_rss_bytes, detail.run.dropped
    known = {
        "wall": None if detail.wall_ns is None else units.duration(detail.wall_ns),
        "CPU": units.duration(detail.cpu_ns) if detail.cpu_ns else None,
        "memory": f"at most {units.size(memory_bytes)} a process" if memory_bytes else None,
        "dropped": f"{dropped} metric values (journal full)" if dropped else None,
    }
    return ", ".join(f"{key} {text}" for key, text in known.items() if text)


def figures_of(metric: Metric) -> str:
    """Return a metric's first, last and best value on one line; without a goal, its range."""
    if metric.n_values == 1:
        return units.number(metric.last)
    best = (
        f"best {units.number(metric.best)}"
        if metric.goal
        else f"{units.number(metric.min)} to {units.number(metric.max)}"
    )
    ends = f"first {units.number(metric.first)}, last {units.number(metric.last)}"
    return f"{ends}, {best} ({metric.n_values} values)"
