"""
How much anybody may ask of a server: so many requests a second, so many at a time.

Whoever asks for more is told when to come again. What is kept is bounded, however many come.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_KEYS = 10_000


class Rate(NamedTuple):
    """So many a second, and so many at once after a rest."""

    per_s: float
    burst: float


class Buckets:
    """
    Counts what each of many asks for.

    Parameters
    ----------
    rate : Rate
        What each of them may.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, key: str, now_s: float, cost: float = 1.0) -> float:
        """
        Take from somebody's bucket.

        Parameters
        ----------
        key : str
            Whose.
        now_s : float
            On a clock that never goes back.
        cost : float
            How much; 0 only looks.

        Returns
        -------
        float
            0 if that was there; else the seconds until it will be, and nothing was taken.
        """
        level = self._level(key, now_s)
        if level < max(cost, 1.0):
            return (max(cost, 1.0) - level) / self._rate.per_s
        if key not in self._levels and len(self._levels) >= _MOST_KEYS:
            self._forget(now_s)
        self._levels[key] = (level - cost, now_s)
        return 0.0

    def _level(self, key: str, now_s: float) -> float:
        level, then_s = self._levels.get(key, (self._rate.burst, now_s))
        return min(self._rate.burst, level + (now_s - then_s) * self._rate.per_s)

    def _forget(self, now_s: float) -> None:
        """Forget whose bucket is full again; if nobody's is, who came first."""
        full = [key for key in self._levels if self._level(key, now_s) >= self._rate.burst]
        for key in full or list(self._levels)[: _MOST_KEYS // 10]:
            del self._levels[key]


class Slots:
    """
    Counts what is under way.

    Parameters
    ----------
    of_one, of_all : int
        How many at a time for one of them, and for all together.
    """

    def __init__(self, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._taken: Counter[str] = Counter()

    @property
    def n_taken(self) -> int:
        """How many are under way."""
        return self._taken.total()

    @contextmanager
    def one(self, key: str) -> Iterator[bool]:
        """Have one while the block runs, or be told that there is none."""
        if self._taken[key] >= self._of_one or self.n_taken >= self._of_all:
            yield False
            return
        self._taken[key] += 1
        try:
            yield True
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
