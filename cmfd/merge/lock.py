"""
One merger per site, across nodes.

The lock is a POSIX record lock: NFS and Lustre carry it between nodes, and the
kernel lets go of it when its holder dies, however it dies. Who holds it is
written into the file, for people.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import threading
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cmfd.errors import ConfigError, SiteBusyError
from cmfd.store.shared import follow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY = {errno.EACCES, errno.EAGAIN}
_HOLDER_BYTES = 1024

# A record lock belongs to its process, not to a thread, and ends when any descriptor of the file
# is closed. So threads take turns by these, which are found without opening the file.
_turns: dict[tuple[int, int], threading.Lock] = {}
_turns_guard = threading.Lock()


@contextmanager
def merge_lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """
    Be the one merger while the block runs.

    Parameters
    ----------
    path : Path
        The lock file; made if missing, never removed.
    wait : bool
        Wait for another merger to be done, however long that takes.

    Raises
    ------
    SiteBusyError
        Another merger is at work; the message says who.
    ConfigError
        The lock file cannot be written, or its file system has no locks.
    """
    turn = _turn(path)
    if not turn.acquire(blocking=wait):
        raise SiteBusyError(f"another thread of this process ({_myself()})")
    try:
        descriptor = _locked(path, wait=wait)
        try:
            yield
            # The next one to be refused must not read of a holder that is gone.
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)
    finally:
        turn.release()


def _turn(path: Path) -> threading.Lock:
    with _turns_guard:
        try:
            if not path.exists():
                path.touch()
                follow(path)
            standing = path.stat()
        except OSError as error:
            raise _unusable(path, error) from error
        return _turns.setdefault((standing.st_dev, standing.st_ino), threading.Lock())


def _locked(path: Path, *, wait: bool) -> int:
    """Return a descriptor whose closing lets go of the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{_myself()}\n".encode(), 0)
    except OSError as error:
        holder = os.pread(descriptor, _HOLDER_BYTES, 0).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno in _BUSY:
            raise SiteBusyError(holder or "another merger, on another node perhaps") from error
        raise _unusable(path, error) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _myself() -> str:
    since = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{_user()} on {os.uname().nodename}, process {os.getpid()}, since {since}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a uid without a name, as in a container
        return f"uid {os.getuid()}"


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot lock {path}: {error}; packs are kept where they are. Its directory must be"
        " writable and its file system must have locks (Lustre: mount it with -o flock)"
    )
