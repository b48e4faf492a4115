"""Hearing from the kernel that processes have ended."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class Watch:
    """
    Processes that are watched, each under a key, all behind one descriptor to poll.

    A process descriptor goes with the process it was made for, not with its
    number, so a number that is used again deceives nobody.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._descriptors: dict[Hashable, int] = {}
        self._keys: dict[int, Hashable] = {}

    def fileno(self) -> int:
        """Return what to poll: readable when `ended` has something to tell."""
        return self._epoll.fileno()

    def add(self, key: Hashable, pid: int) -> bool:
        """
        Watch a process; in place of one that was watched under the key.

        Returns
        -------
        bool
            Whether the kernel will tell of its end.

        Raises
        ------
        ProcessLookupError
            It has ended.
        """
        self.remove(key)
        if pid <= 0:  # in a namespace that cannot be seen from here
            return False
        try:
            descriptor = os.pidfd_open(pid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise
            return False  # an old kernel, a sandbox, or no descriptors left
        self._descriptors[key] = descriptor
        self._keys[descriptor] = key
        self._epoll.register(descriptor, select.EPOLLIN)
        return True

    def remove(self, key: Hashable) -> None:
        """Watch no longer."""
        descriptor = self._descriptors.pop(key, None)
        if descriptor is not None:
            del self._keys[descriptor]
            self._epoll.unregister(descriptor)
            os.close(descriptor)

    def ended(self) -> list[Hashable]:
        """Return the keys of processes that ended; they are watched no longer."""
        keys = [self._keys[descriptor] for descriptor, _ in self._epoll.poll(0)]
        for key in keys:
            self.remove(key)
        return keys

    def close(self) -> None:
        """Watch nothing any more."""
        for key in list(self._descriptors):
            self.remove(key)
        self._epoll.close()
