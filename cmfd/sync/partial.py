"""The file that a pack comes into: others may begin, remove or own one of the same name."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def opened(path: Path) -> BinaryIO:
    """Open a file to go on with it, made if there is none; never one that a link leads to."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def is_own(file: BinaryIO) -> bool:
    """Make a file this user's alone; say whether that could be done."""
    if os.fstat(file.fileno()).st_uid != os.geteuid():
        return False
    os.fchmod(file.fileno(), 0o600)
    return True


def is_at(path: Path, file: BinaryIO) -> bool:
    """Say whether an open file is still the one of its name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def synced(file: BinaryIO) -> Iterator[None]:
    """
    Write a file to disk while the block runs; it is there when the block is left.

    Raises
    ------
    OSError
        It cannot be written.
    """
    failed: list[OSError] = []

    def sync() -> None:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=sync)
    try:
        thread.start()
    except RuntimeError:  # this user may have no more
        sync()
    try:
        yield
    finally:
        if thread.ident is not None:
            thread.join()
    if failed:
        raise failed[0]


def remove_if_left(path: Path) -> None:
    """Remove what this user's exchange that was cut left, unless its process still holds it."""
    # Somebody else may have put anything there: a pipe must not be waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError):
        there = os.open(path, flags)
        try:
            fcntl.flock(there, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(there).st_uid == os.geteuid():
                path.unlink()
        finally:
            os.close(there)
