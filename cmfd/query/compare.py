"""Runs side by side: the parameters and data in which they differ, and their metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.query import metrics, runs
from cmfd.query.results import Artifact, Metric, Result, Run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence


class Typed(Result, frozen=True, kw_only=True):
    """A parameter's value with its type."""

    type: str
    value: Any


class ParamRow(Result, frozen=True, kw_only=True):
    """A parameter in each of the runs."""

    pipeline: str
    stage: str
    key: str
    values: list[list[Typed]]
    """For each run all values it has: none, one, or several where its parts disagree."""
    differs: bool


class ArtifactRow(Result, frozen=True, kw_only=True):
    """What each of the runs read or wrote under one name."""

    pipeline: str
    stage: str
    direction: str
    path: str
    digests: list[list[str]]
    """For each run all contents that it had there: none, one, or several."""
    differs: bool


class MetricRow(Result, frozen=True, kw_only=True):
    """A metric in each of the runs."""

    pipeline: str
    stage: str
    name: str
    values: list[Metric | None]
    """For each run that of its latest execution of the stage."""


class Comparison(Result, frozen=True, kw_only=True):
    """Runs side by side; lists in rows are in the order of `runs`."""

    runs: list[Run]
    params: list[ParamRow]
    artifacts: list[ArtifactRow]
    metrics: list[MetricRow]


def compare(db: sqlite3.Connection, run_ids: Sequence[int]) -> Comparison:
    """Put runs side by side, by pipeline, stage and name; artifacts by direction and path."""
    return Comparison(
        runs=[runs.run_of(db, run_id) for run_id in run_ids],
        params=_params([_values(runs.params(db, run_id)) for run_id in run_ids]),
        artifacts=_artifacts([_digests(runs.artifacts(db, run_id)) for run_id in run_ids]),
        metrics=_metrics([_latest(metrics.summaries(db, run_id)) for run_id in run_ids]),
    )


_Key = tuple[str, str, str]


def _values(params: Iterable[Any]) -> dict[_Key, list[Typed]]:
    """Gather a run's values by parameter, each once."""
    found: dict[_Key, list[Typed]] = {}
    for param in params:
        values = found.setdefault((param.pipeline, param.stage, param.key), [])
        if all(_identity(value) != _identity(param) for value in values):
            values.append(Typed(type=param.type, value=param.value))
    return found


def _identity(value: Any) -> tuple[str, str]:
    """Return what makes values the same: type and spelling, since NaN is not equal to itself."""
    return value.type, repr(value.value)


def _params(each: Sequence[dict[_Key, list[Typed]]]) -> list[ParamRow]:
    return [
        ParamRow(
            pipeline=key[0],
            stage=key[1],
            key=key[2],
            values=[found.get(key, []) for found in each],
            differs=len({_said(found.get(key, [])) for found in each}) > 1,
        )
        for key in sorted({key for found in each for key in found})
    ]


def _said(values: Iterable[Typed]) -> frozenset[tuple[str, str]]:
    return frozenset(_identity(value) for value in values)


def _digests(artifacts: Iterable[Artifact]) -> dict[tuple[str, str, str, str], list[str]]:
    """Gather what a run read and wrote by where it did."""
    found: dict[tuple[str, str, str, str], set[str]] = {}
    for one in artifacts:
        key = (one.pipeline, one.stage, one.direction, one.path)
        found.setdefault(key, set()).add(one.digest)
    return {key: sorted(digests) for key, digests in found.items()}


def _artifacts(each: Sequence[dict[tuple[str, str, str, str], list[str]]]) -> list[ArtifactRow]:
    rows = []
    for key in sorted({key for found in each for key in found}):
        digests = [found.get(key, []) for found in each]
        rows.append(
            ArtifactRow(
                pipeline=key[0], stage=key[1], direction=key[2], path=key[3], digests=digests,
                differs=any(one != digests[0] for one in digests),
            )
        )  # fmt: skip
    return rows


def _latest(found: Iterable[Metric]) -> dict[_Key, Metric]:
    """Keep of each metric that of the execution that began last: they come in that order."""
    return {(metric.pipeline, metric.stage, metric.name): metric for metric in found}


def _metrics(each: Sequence[dict[_Key, Metric]]) -> list[MetricRow]:
    return [
        MetricRow(
            pipeline=key[0],
            stage=key[1],
            name=key[2],
            values=[found.get(key) for found in each],
        )
        for key in sorted({key for found in each for key in found})
    ]
