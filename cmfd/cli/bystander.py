"""
A process that is signalled if all processes of a job are.

SLURM signals every process of a job or only the first, as it was asked and as it tracks processes.
Who stands between it and a command cannot see which of both it was, and so whether the command has
heard the signal, too. A process that does nothing but listen can.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TELLS_S = 0.25
"""How long it may take from a signal here to the same one there."""

_RECENT_NS = 1_000_000_000
"""What was heard longer ago is no answer any more."""

_HEARD = struct.Struct("=Bq")


class Bystander:
    """
    A child that listens, and ends with this process.

    Parameters
    ----------
    numbers : iterable of int
        The signals to listen for, which this thread has blocked.

    Raises
    ------
    OSError
        There can be no more processes, or no more open files.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._heard: list[tuple[int, int]] = []
        self._ear, mouth = os.pipe()
        end, self._life = os.pipe()
        try:
            self._pid = os.fork()
            if not self._pid:
                try:
                    _listen(frozenset(numbers), mouth, end)
                finally:
                    os._exit(0)
        finally:
            os.close(mouth)
            os.close(end)

    def has_heard(self, number: int) -> bool:
        """Tell whether a signal that came here came there as well; wait a little for it."""
        deadline_s = time.monotonic() + _TELLS_S
        while True:
            since_ns = time.monotonic_ns() - _RECENT_NS
            self._heard = [heard for heard in self._heard if heard[1] > since_ns]
            for heard in self._heard:
                if heard[0] == number:
                    self._heard.remove(heard)
                    return True
            left_s = max(0.0, deadline_s - time.monotonic())
            if not select.select([self._ear], [], [], left_s)[0]:
                return False
            said = os.read(self._ear, 1024 * _HEARD.size)
            if not said:  # it was killed
                return False
            self._heard += _HEARD.iter_unpack(said)

    def dismiss(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._ear)
        os.close(self._life)


def _listen(numbers: frozenset[int], mouth: int, end: int) -> None:
    """Say which signals come, until nobody is there to hear it."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    first, second = sorted((mouth, end))
    os.closerange(3, first)
    os.closerange(first + 1, second)
    os.closerange(second + 1, 1 << 16)

    def say(number: int, _frame: object) -> None:
        os.write(mouth, _HEARD.pack(number, time.monotonic_ns()))

    for number in numbers:
        signal.signal(number, say)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    os.read(end, 1)
