"""
Descriptors that a program may have closed, and given their numbers to files of its own.

Whoever becomes a daemon closes all that is open (``os.closerange``), what others opened included. A
number alone is no descriptor then: to write to it, or to close it, hurts a file of the program's.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress


class Held:
    """
    A descriptor that is asked whether it is still what was opened.

    Parameters
    ----------
    number : int
        Of a file just opened. Whether eventfds and the like are others cannot be told apart.
    """

    __slots__ = ("_what", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._what = _what_is(number)

    @property
    def is_ours(self) -> bool:
        """Whether nobody closed it."""
        return self.is_same(self.number)

    def is_same(self, number: int) -> bool:
        """Return whether `number` is of the same file."""
        try:
            return _what_is(number) == self._what
        except OSError:
            return False

    def close(self) -> None:
        """Close it, if it is still ours."""
        if self.is_ours:
            os.close(self.number)


def _what_is(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def keep(*things: object) -> None:
    """Let go of `things` never: with them would be closed what has the numbers that they had."""
    with suppress(RuntimeError):  # at its end, Python begins no thread
        # what a thread holds that never ends outlives even the modules
        threading.Thread(target=_hold, args=things, name="cmfd-keeper", daemon=True).start()


def _hold(*_things: object) -> None:
    threading.Event().wait()
