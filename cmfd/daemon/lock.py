"""The lock that makes a process the daemon of a node directory."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from cmfd.errors import DaemonRunningError

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = "daemon.lock"
PATIENCE_S = 1.0
"""Others take the lock for a moment, to see whether it is free."""


class Lock:
    """
    The lock on a node directory; the kernel gives it back however its holder ends.

    It outlives a fork: parent and child hold the same one.

    Parameters
    ----------
    node_dir : Path
        Must exist.

    Raises
    ------
    DaemonRunningError
        Another process holds it.
    OSError
        The directory is not there, or cannot be used.
    """

    def __init__(self, node_dir: Path) -> None:
        self._path = node_dir / LOCK_NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            self._descriptor = os.open(self._path, flags, 0o600)
            # Who had it may have cleared it away, and all who come now try another file.
            if self._take() and self.is_mine:
                return
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            self.close()
            if time.monotonic() > deadline_s:
                raise DaemonRunningError(
                    f"a daemon (pid {holder or 'unknown'}) already serves {node_dir}; "
                    "nothing was started"
                )
            time.sleep(0.01)

    def _take(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @property
    def is_mine(self) -> bool:
        """Whether the file that is locked is still the one that others would try."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except OSError:
            return False

    def name_holder(self) -> None:
        """Write this process's number into the file, for people."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def fileno(self) -> int:
        """Return the descriptor that holds it."""
        return self._descriptor

    def close(self) -> None:
        """Give it back, unless another process shares it."""
        os.close(self._descriptor)
