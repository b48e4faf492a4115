"""Metrics of a run: their figures over all ranks, and every single value."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import StoreError
from cmfd.query.index import fetch
from cmfd.query.results import Metric

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

_LOWER_IS_BETTER = frozenset((
    "loss", "error", "err", "residual", "mse", "rmse", "mae", "mape", "nll", "perplexity", "ppl",
    "wer", "cer", "fid", "rmsd", "logloss", "divergence", "regret", "latency",
))  # fmt: skip
_HIGHER_IS_BETTER = frozenset((
    "accuracy", "acc", "auc", "auroc", "f1", "precision", "recall", "score", "r2", "iou", "dice",
    "bleu", "rouge", "map", "ndcg", "psnr", "ssim", "reward", "throughput",
))  # fmt: skip
_WORD = re.compile(r"[a-z]+[0-9]*")


def goal_of(name: str) -> str | None:
    """
    Tell from a metric's name whether its best value is the least or the greatest.

    Parameters
    ----------
    name : str
        Its words are looked up: ``val_loss``, ``train/f1-score``.

    Returns
    -------
    str or None
        ``min``, ``max``, or None: no word of it says so, or words of it disagree.
    """
    words = set(_WORD.findall(name.lower()))
    lower, higher = bool(words & _LOWER_IS_BETTER), bool(words & _HIGHER_IS_BETTER)
    if lower == higher:
        return None
    return "min" if lower else "max"


def summaries(db: sqlite3.Connection, run_id: int) -> list[Metric]:
    """
    Return a run's metrics, one for each name and execution, over all ranks.

    Values are decoded only to find the first: one chunk a metric.
    """
    return [_summary(row) for row in fetch(db, "metrics", run_id=run_id)]


def _summary(row: dict[str, Any]) -> Metric:
    first_data, last, total = row.pop("first_data"), row.pop("last"), row.pop("sum")
    n_numbers = row["n_values"] - row["n_nan"]
    goal = goal_of(row["name"])
    first, problem = _first(first_data)
    return Metric(
        first=first,
        problem=problem,
        last=math.nan if last is None else last,
        mean=total / n_numbers if n_numbers and _finite(row["min"], row["max"]) else None,
        goal=goal,
        best=row[goal] if goal else None,
        **row,
    )


def _finite(least: float, greatest: float) -> bool:
    """Tell whether no infinity was logged: the sum leaves them out, uncounted."""
    return math.isfinite(least) and math.isfinite(greatest)


def _first(data: bytes) -> tuple[float | int | None, str | None]:
    """Return the value of the least step, of several the one logged first; or why there is none."""
    from cmfd.store.columns import decode  # noqa: PLC0415 - NumPy: not for runs without metrics

    try:
        columns = decode(data)
    except StoreError as error:
        return None, str(error)
    return columns.values[columns.steps.argmin()].item(), None


def outline(db: sqlite3.Connection, run_id: int, metric: Metric, width: int) -> list[float]:
    """
    Return the course of a metric, over all its ranks, in as many values as are needed to draw it.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_id : int
        The run that `metric` is of.
    metric : Metric
        From `summaries`.
    width : int
        From so many chunks on, each stands as its mean and nothing is decoded.
    """
    chosen = {"execution": bytes.fromhex(metric.execution), "name": metric.name}
    if fetch(db, "outline", **chosen, limit=width)[width - 1 :]:
        return [
            math.nan if row["mean"] is None else row["mean"]
            for row in fetch(db, "outline", **chosen, limit=-1)
        ]
    found = points(db, run_id, metric.name, execution=metric.execution)
    return list(map(float, found.value.tolist()))


class Points(NamedTuple):
    """Values of a metric in columns, sorted by execution, step, rank and time."""

    executions: list[str]
    """In the order they began."""
    execution: npt.NDArray[np.int64]
    """Index into `executions`."""
    step: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    at_ns: npt.NDArray[np.int64]
    value: npt.NDArray[Any]
    """Of float64; of objects, where integers that a float would round are among them."""
    unreadable: list[str]
    """What is not among them, and why: one sentence a chunk."""

    def __len__(self) -> int:
        """Count the values."""
        return len(self.step)

    def rows(self) -> Iterator[tuple[str, int, int, int, float | int]]:
        """Yield (execution, step, rank, at_ns, value)."""
        columns = (self.step, self.rank, self.at_ns, self.value)
        names = (self.executions[i] for i in self.execution)
        return zip(names, *(column.tolist() for column in columns), strict=True)


def points(  # noqa: PLR0913 - filters, each by name
    db: sqlite3.Connection,
    run_id: int,
    name: str,
    *,
    execution: str | None = None,
    rank: int | None = None,
    steps: tuple[int | None, int | None] = (None, None),
    tail: int | None = None,
) -> Points:
    """
    Return the values of a metric of a run.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_id : int
        From `cmfd.query.runs.find`.
    name : str
        The metric.
    execution : str, optional
        Only this execution's values.
    rank : int, optional
        Only this rank's values.
    steps : (int or None, int or None)
        Only steps from the first to before the second.
    tail : int, optional
        Only so many of the last.

    Returns
    -------
    Points
        Empty when there are none. Chunks that cannot be decoded are left out, and named.
    """
    import numpy as np  # noqa: PLC0415 - slow to import, and only decoding needs it

    rows = fetch(
        db, "chunks", run_id=run_id, name=name, rank=rank, step_from=steps[0], step_to=steps[1],
        execution=bytes.fromhex(execution) if execution else None,
    )  # fmt: skip
    executions = list(dict.fromkeys(row["execution"] for row in rows))
    numbers = {execution: i for i, execution in enumerate(executions)}
    decoded = [_part(row, numbers[row["execution"]], steps) for row in rows]
    parts = [part for part in decoded if not isinstance(part, str)]
    unreadable = [part for part in decoded if isinstance(part, str)]
    if not parts:
        nothing = np.empty(0, np.int64)
        return Points([], nothing, nothing, nothing, nothing, np.empty(0), unreadable)
    exact = any(part[4].dtype == np.int64 for part in parts)
    columns = [np.concatenate(column) for column in list(zip(*parts, strict=True))[:4]]
    values = np.concatenate([part[4].astype(object) if exact else part[4] for part in parts])
    number, step, ranks, at_ns = columns
    order = np.lexsort((at_ns, ranks, step, number))[-tail if tail else None :]
    return Points(
        executions, number[order], step[order], ranks[order], at_ns[order], values[order],
        unreadable,
    )  # fmt: skip


def _part(
    row: dict[str, Any], execution: int, steps: tuple[int | None, int | None]
) -> tuple[npt.NDArray[Any], ...] | str:
    """Decode a chunk: execution, step, rank, time and value of those in `steps`; or say why not."""
    import numpy as np  # noqa: PLC0415 - as in `points`

    from cmfd.store.columns import decode  # noqa: PLC0415 - as in `points`

    try:
        columns = decode(row["data"])
    except StoreError as error:
        figures = (row["n_values"], row["step_min"], row["step_max"])
        return left_out(*figures, rank=row["rank"], execution=row["execution"], why=error)
    wanted = np.ones(len(columns.steps), bool)
    if steps[0] is not None:
        wanted &= columns.steps >= steps[0]
    if steps[1] is not None:
        wanted &= columns.steps < steps[1]
    n_wanted = int(wanted.sum())
    return (
        np.full(n_wanted, execution),
        columns.steps[wanted],
        np.full(n_wanted, row["rank"]),
        columns.times[wanted],
        columns.values[wanted],
    )


def left_out(  # noqa: PLR0913 - one sentence, each part by name
    n_values: int, step_min: int, step_max: int, *, rank: int, execution: str, why: StoreError
) -> str:
    """Say which values are missing where a chunk cannot be decoded."""
    return (
        f"{n_values} values of rank {rank}, steps {step_min} to {step_max}, "
        f"execution {execution}: {why}"
    )
