"""What `cmfd run` ends with: a run on a screenful, quick to make."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.phrases import cost_of, figures_of, outcome, stage_of
from cmfd.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cmfd.query.results import Artifact, Execution, Metric, Param, RunDetail

MOST_LINES = 20
"""Of each kind; `cmfd show` has all."""


def summary_lines(detail: RunDetail, site: Path) -> Iterator[str]:
    """Yield the lines about a run that was just merged into `site`."""
    run = detail.run
    short = units.short_ids([run.run])[run.run]
    yield printable(f"run {short} {outcome(run)}: {', '.join(run.stages)}")
    yield f"  {cost_of(detail)}"
    if len(detail.executions) > 1:
        yield from _block("executions", short, map(_execution, detail.executions))
    yield from _block("parameters", short, _params(detail.params))
    yield from _block("metrics", short, _metrics(detail.metrics))
    for direction in ("input", "output"):
        chosen = (one for one in detail.artifacts if one.direction == direction)
        yield from _block(f"{direction}s", short, map(_artifact, chosen))
    yield printable(f"  stored in {site} (cmfd show {short})")


def _block(title: str, run: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a titled list, cut short; nothing for an empty one."""
    every = list(lines)
    if every:
        yield f"  {title}"
    yield from (f"    {printable(line)}" for line in every[:MOST_LINES])
    if len(every) > MOST_LINES:
        yield f"    and {len(every) - MOST_LINES} more (cmfd show {run})"


def _execution(execution: Execution) -> str:
    ranks = f"{execution.n_ranks} rank{'' if execution.n_ranks == 1 else 's'}"
    return f"{stage_of(execution)} {outcome(execution)}, {ranks}"


def _params(params: Iterable[Param]) -> Iterator[str]:
    """Yield each parameter with all its values: several are a conflict."""
    values: dict[tuple[str, str], list[str]] = {}
    for param in params:
        values.setdefault((stage_of(param), param.key), []).append(units.literal(param.value))
    several = len({stage for stage, _ in values}) > 1
    for (stage, key), found in values.items():
        where = f"{stage}: " if several else ""
        yield f"{where}{key} = {' | '.join(dict.fromkeys(found))}"


def _metrics(metrics: Iterable[Metric]) -> Iterator[str]:
    every = list(metrics)
    several = len({metric.execution for metric in every}) > 1
    for metric in every:
        where = f"{stage_of(metric)}: " if several else ""
        yield f"{where}{metric.name}: {figures_of(metric)}"


def _artifact(artifact: Artifact) -> str:
    if artifact.problem:
        return f"{artifact.path} ({artifact.kind}), not known by content: {artifact.problem}"
    size = units.size(artifact.size_bytes)
    return f"{artifact.path} ({artifact.kind}, {size}, {artifact.digest})"


def problem_lines(detail: RunDetail) -> Iterator[str]:
    """Yield what was said to go in or out, and is not known by its content."""
    said = (one for one in detail.artifacts if one.problem and "observed" not in one.properties)
    for artifact in islice(said, MOST_LINES):
        yield f"cmfd: {artifact.direction} {printable(_artifact(artifact))}"
