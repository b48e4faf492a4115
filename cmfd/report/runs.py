"""Runs as tables: lists of them, and one in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.report import units
from cmfd.report.notes import notes_table
from cmfd.report.phrases import cost_of, job_of, outcome, seen_how, stage_of, what_is_missing
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cmfd.query.results import (
        Artifact,
        Environment,
        Execution,
        Fact,
        Metric,
        Param,
        Process,
        Run,
        RunDetail,
    )


_VARIANT_AT = 3
"""Which column a variant is: after the name."""

_JOB_STEPS = "slurm.steps"
"""The fact that lists the steps of a job."""


def runs_table(found: Sequence[Run]) -> Table:
    """Make a table of runs; with their variants, where there are any."""
    has_variants = any(run.variants for run in found)
    columns = [
        Column("run"), Column("job"), Column("name"), Column("stages"), Column("user"),
        Column("began"), Column("wall", right=True), Column("ranks", right=True),
        Column("status"), Column(""),
    ]  # fmt: skip
    short = units.short_ids([run.run for run in found])
    rows = [_run_cells(run, short[run.run]) for run in found]
    if has_variants:
        columns.insert(_VARIANT_AT, Column("variant"))
        rows = [
            (*row[:_VARIANT_AT], ", ".join(run.variants), *row[_VARIANT_AT:])
            for row, run in zip(rows, found, strict=True)
        ]
    return Table(tuple(columns), rows)


def _run_cells(run: Run, short: str) -> tuple[str, ...]:
    return (
        short, job_of(run), run.name, ", ".join(run.stages), run.user, units.when(run.began_ns),
        units.duration(run.wall_ns), str(run.n_ranks), outcome(run), what_is_missing(run),
    )  # fmt: skip


def head_lines(detail: RunDetail) -> Iterator[str]:
    """Yield what a run is, when it was, and what it took."""
    run = detail.run
    known = {
        "run": run.run,
        "name": run.name,
        "job": job_of(run),
        "user": run.user,
        "command": run.command,
        "in": run.cwd,
        "began": units.when(run.began_ns),
        "ended": units.when(run.ended_ns),
        "status": outcome(run),
        "lacks": _lacks(run),
        "starts": _other_starts(detail),
        "cost": cost_of(detail),
    }
    yield from (f"{key:8} {printable(text)}" for key, text in known.items() if text)


def _lacks(run: Run) -> str:
    missing = what_is_missing(run)
    return missing and f"{missing} (not everything of these nodes is here yet)"


def _other_starts(detail: RunDetail) -> str:
    """Return which other runs are starts of the same job, and how those ended."""
    others = detail.other_starts
    short = units.short_ids([detail.run.run, *(other.run for other in others)])
    said = (
        f"{short[other.run]} {'before' if other.restart < detail.run.restart else 'after'} it "
        f"({other.job_state or other.status})"
        for other in others
    )
    return ", ".join(said)


def detail_tables(detail: RunDetail) -> list[Table]:
    """Make the tables of one run."""
    names = units.short_ids([execution.execution for execution in detail.executions])
    return [
        _executions(detail, names),
        params_table(detail.params, "parameters"),
        metrics_table(detail.metrics, title="metrics"),
        _artifacts(detail.artifacts),
        _code(detail.environments),
        _facts(detail.facts, names),
        notes_table(detail.notes, _named(detail, names)),
        _job_steps(detail.facts),
    ]


def _named(detail: RunDetail, executions: dict[str, str]) -> dict[str, str]:
    """Return what to call the things that notes may be on."""
    paths = {one.digest: one.path for one in detail.artifacts}
    return {**paths, **executions, detail.run.run: "run"}


def _code(environments: Iterable[Environment]) -> Table:
    """Make a table of which code each stage ran, and with which Python."""
    columns = (
        Column("stage"), Column("commit"), Column("branch"), Column("repository"),
        Column("python"), Column(""),
    )  # fmt: skip
    rows = [_code_cells(one) for one in environments]
    return Table(columns, list(dict.fromkeys(row for row in rows if any(row[1:]))), "code")


def _code_cells(environment: Environment) -> tuple[str, ...]:
    code, python = (environment.document.get(key) for key in ("code", "python"))
    code = code if isinstance(code, dict) else {}
    python = python if isinstance(python, dict) else {}
    return (
        stage_of(environment), str(code.get("commit") or "")[:12], str(code.get("branch") or ""),
        str(code.get("remote") or code.get("repository") or ""), str(python.get("version") or ""),
        "with uncommitted changes" if code.get("dirty") else "",
    )  # fmt: skip


def _executions(detail: RunDetail, names: dict[str, str]) -> Table:
    columns = (
        Column("execution"), Column("stage"), Column("step"), Column("ranks", right=True),
        Column("hosts"), Column("wall", right=True), Column("memory", right=True),
        Column("status"),
    )  # fmt: skip
    rows = [_execution_cells(one, names, detail.processes) for one in detail.executions]
    return Table(columns, rows, "executions")


def _execution_cells(
    execution: Execution, names: dict[str, str], processes: Iterable[Process]
) -> tuple[str, ...]:
    own = [process for process in processes if process.execution == execution.execution]
    hosts = list(dict.fromkeys(process.host for process in own))
    return (
        names[execution.execution], stage_of(execution), execution.step, str(execution.n_ranks),
        hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts",
        units.duration(execution.wall_ns),
        units.size(max((process.max_rss_bytes for process in own), default=0) or None),
        outcome(execution),
    )  # fmt: skip


def params_table(params: Sequence[Param], title: str = "") -> Table:
    """Make a table of parameters; a key that has several values in one execution is marked."""
    columns = (
        Column("stage"), Column("parameter"), Column("value"), Column("type"), Column("rank"),
        Column(""),
    )  # fmt: skip
    keys = [(param.execution, param.key) for param in params]
    rows = [
        (
            stage_of(param), param.key, units.literal(param.value), param.type, str(param.rank),
            "conflict" if keys.count(key) > 1 else "",
        )
        for param, key in zip(params, keys, strict=True)
    ]  # fmt: skip
    return Table(columns, rows, title)


def metrics_table(
    metrics: Sequence[Metric], sparklines: Sequence[str] = (), title: str = ""
) -> Table:
    """
    Make a table of metrics.

    Parameters
    ----------
    metrics : sequence of Metric
        One a line.
    sparklines : sequence of str
        As many, or none.
    title : str
        Of the table.
    """
    figures = ("values", "ranks", "first", "last", "min", "max", "mean", "best")
    columns = [Column("stage"), Column("metric"), *(Column(name, right=True) for name in figures)]
    rows = [_metric_cells(metric) for metric in metrics]
    if sparklines:
        columns.append(Column(""))
        rows = [(*row, line) for row, line in zip(rows, sparklines, strict=True)]
    if any(metric.problem for metric in metrics):
        columns.append(Column(""))
        rows = [(*row, metric.problem or "") for row, metric in zip(rows, metrics, strict=True)]
    return Table(columns, rows, title)


def _metric_cells(metric: Metric) -> tuple[str, ...]:
    values = (metric.first, metric.last, metric.min, metric.max, metric.mean, metric.best)
    return (
        stage_of(metric), metric.name, str(metric.n_values), str(metric.n_ranks),
        *map(units.number, values),
    )  # fmt: skip


def _artifacts(artifacts: Sequence[Artifact]) -> Table:
    """Make a table of artifacts; with who says so, where some were only observed."""
    columns = [
        Column("stage"), Column(""), Column("path"), Column("kind"), Column("size", right=True),
        Column("digest", short=True), Column(""),
    ]  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            stage_of(one), one.direction, one.path, one.kind, units.size(one.size_bytes),
            "" if one.problem else one.digest, one.problem,
        )
        for one in artifacts
    ]  # fmt: skip
    said = [seen_how(one.properties) for one in artifacts]
    if any(said):
        columns.insert(-1, Column("seen"))
        rows = [
            (*row[:-1], how or "declared", row[-1]) for row, how in zip(rows, said, strict=True)
        ]
    return Table(columns, rows, "artifacts")


def _facts(facts: Iterable[Fact], names: dict[str, str]) -> Table:
    """Make a table of facts; `names` are the executions', anything else is of the run."""
    rows = [
        (names.get(fact.subject, "run"), fact.key, units.literal(fact.value))
        for fact in facts
        if fact.key != _JOB_STEPS
    ]
    return Table((Column("of"), Column("fact"), Column("value")), rows, "facts")


def _job_steps(facts: Iterable[Fact]) -> Table:
    """Make a table of what the batch system counted of each step of the run's job."""
    columns = (
        Column("step"), Column("name"), Column("nodes", right=True), Column("tasks", right=True),
        Column("elapsed", right=True), Column("CPU", right=True),
        Column("memory", right=True), Column("energy", right=True), Column("state"),
    )  # fmt: skip
    told = next((fact.value for fact in facts if fact.key == _JOB_STEPS), None)
    steps = told if isinstance(told, list) else []
    rows = [_step_cells(step) for step in steps if isinstance(step, dict)]
    return Table(columns, rows, "steps of the job, as the batch system counted them")


def _step_cells(step: dict[str, Any]) -> tuple[str, ...]:
    def figure(key: str) -> float | None:
        found = step.get(key)
        return found if isinstance(found, (int, float)) else None

    began_s, ended_s, cpu_s = map(figure, ("start_time_s", "end_time_s", "total_cpu_s"))
    elapsed_s = None if began_s is None or ended_s is None else ended_s - began_s
    energy_j = figure("energy_j")
    return (
        str(step.get("step", "")), str(step.get("name", "")),
        *(units.number(figure(key)) for key in ("nodes", "tasks")),
        *(units.duration(None if told is None else told * 1e9) for told in (elapsed_s, cpu_s)),
        units.size(figure("used_memory_bytes")),
        units.NOTHING if energy_j is None else f"{energy_j} J", str(step.get("state", "")),
    )  # fmt: skip
