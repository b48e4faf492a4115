"""How long something may take, where that can become less while it is waited for."""

from __future__ import annotations

import math
import time


class Deadline:
    """
    A time at which waiting ends.

    Parameters
    ----------
    timeout_s : float
        From now.
    within : Deadline, optional
        Another one that ends this one's time as well.
    """

    def __init__(self, timeout_s: float = math.inf, within: Deadline | None = None) -> None:
        self._at_s = time.monotonic() + timeout_s
        self._within = within

    def hurry(self, timeout_s: float) -> None:
        """Let no more than this be left."""
        self._at_s = min(self._at_s, time.monotonic() + timeout_s)

    def left_s(self) -> float:
        """Return how much time is left; never less than nothing."""
        left_s = max(0.0, self._at_s - time.monotonic())
        return left_s if self._within is None else min(left_s, self._within.left_s())
