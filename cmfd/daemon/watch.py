"""Hearing from the kernel that processes have ended."""

from __future__ import annotations

import errno
import os
import select


class Watch:
    """
    Processes that are watched, each under its instance, all behind one descriptor to poll.

    A process descriptor goes with the process it was made for, not with its
    number, so a number that is used again deceives nobody.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._descriptors: dict[bytes, int] = {}
        self._instances: dict[int, bytes] = {}

    def fileno(self) -> int:
        """Return what to poll: readable when `ended` has something to tell."""
        return self._epoll.fileno()

    def add(self, instance: bytes, pid: int) -> bool:
        """
        Watch the process of an instance, in place of one that was watched for it.

        Returns
        -------
        bool
            Whether the kernel will tell of its end.

        Raises
        ------
        ProcessLookupError
            It has ended.
        """
        self.remove(instance)
        if pid <= 0:  # in a namespace that cannot be seen from here
            return False
        try:
            descriptor = os.pidfd_open(pid)
        except AttributeError:  # a Python that was built for kernels before 5.3
            return False
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise
            return False  # an old kernel, a sandbox, or no descriptors left
        self._descriptors[instance] = descriptor
        self._instances[descriptor] = instance
        self._epoll.register(descriptor, select.EPOLLIN)
        return True

    def remove(self, instance: bytes) -> None:
        """Watch no longer."""
        descriptor = self._descriptors.pop(instance, None)
        if descriptor is not None:
            del self._instances[descriptor]
            self._epoll.unregister(descriptor)
            os.close(descriptor)

    def ended(self) -> list[bytes]:
        """Return the instances of processes that ended; they are watched no longer."""
        instances = [self._instances[descriptor] for descriptor, _ in self._epoll.poll(0)]
        for instance in instances:
            self.remove(instance)
        return instances

    def close(self) -> None:
        """Watch nothing any more."""
        for instance in list(self._descriptors):
            self.remove(instance)
        self._epoll.close()
