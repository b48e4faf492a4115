"""A series as one line of block characters."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
NOT_A_NUMBER = "x"


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """
    Draw values, in their order, from the least to the greatest finite one.

    Parameters
    ----------
    values : sequence of float
        More than `width` of them are averaged in groups, each over its finite values.
    width : int
        The most characters to return.

    Returns
    -------
    str
        One character a value or group: a bar; at the bottom or top for an infinity; ``x`` where
        all is NaN. A constant series is drawn at half height.
    """
    groups = [_level(group) for group in _split(values, width)]
    finite = [level for level in groups if math.isfinite(level)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    return "".join(_bar(level, low, high) for level in groups)


def _split(values: Sequence[float], width: int) -> list[Sequence[float]]:
    """Cut `values` into at most `width` groups of nearly equal length."""
    n_groups = min(len(values), width)
    edges = [i * len(values) // n_groups for i in range(n_groups + 1)] if n_groups else []
    return [values[first:end] for first, end in pairwise(edges)]


def _level(group: Sequence[float]) -> float:
    """Return where a group stands: the mean of what is finite, else an infinity, else NaN."""
    finite = [value for value in group if math.isfinite(value)]
    if finite:
        # Divided first, and bounded: the sum of huge values would overflow.
        mean = sum(value / len(finite) for value in finite)
        return min(max(mean, min(finite)), max(finite))
    return next((value for value in group if math.isinf(value)), math.nan)


def _bar(level: float, low: float, high: float) -> str:
    if math.isnan(level):
        return NOT_A_NUMBER
    if math.isinf(level):
        return BARS[-1] if level > 0 else BARS[0]
    if high == low:
        return BARS[len(BARS) // 2 - 1]
    # Halved first: the span of -1e308..1e308 would overflow.
    position = (level / 2 - low / 2) / (high / 2 - low / 2)
    return BARS[min(int(position * len(BARS)), len(BARS) - 1)]
