"""Files of the kernel, kept open and read again: a tenth of what opening them anew costs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.energy.readings import ReadingStatus

_MOST_BYTES = 4096
"""The kernel shows no more of such a file."""


class Files(Protocol):
    """How files are opened and read; as `Kernel` does."""

    def open(self, path: Path) -> int:
        """Return a descriptor; raises OSError."""

    def pread(self, descriptor: int, n_bytes: int) -> bytes:
        """Read from the beginning; raises OSError."""


class Kernel:
    """Files as they are."""

    def open(self, path: Path) -> int:
        """Open a file for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def pread(self, descriptor: int, n_bytes: int) -> bytes:
        """Read from the beginning; the kernel then says what is true now."""
        return os.pread(descriptor, n_bytes, 0)


KERNEL = Kernel()


class File:
    """
    A small file that is read again and again.

    Parameters
    ----------
    path : Path
        Opened at once, and never again: what is there later may be of something else.
    files : Files, optional
        How it is opened and read.
    most_bytes : int, optional
        No more is read.

    Raises
    ------
    OSError
        It cannot be opened.
    """

    def __init__(self, path: Path, files: Files = KERNEL, most_bytes: int = _MOST_BYTES) -> None:
        self._files = files
        self._most_bytes = most_bytes
        self._descriptor = files.open(path)

    def read(self) -> bytes:
        """
        Return what it says now.

        Raises
        ------
        OSError
            What it tells of is gone.
        """
        return self._files.pread(self._descriptor, self._most_bytes)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class KeptFile:
    """
    A file that stays open between readings, and is opened anew where it was gone.

    Attributes
    ----------
    path : Path
        Where it is.
    status : str
        Of the last reading: ``ok``, ``denied`` or ``gone``.
    """

    def __init__(self, path: Path, files: Files = KERNEL, most_bytes: int = _MOST_BYTES) -> None:
        self.path = path
        self.status: ReadingStatus = "ok"
        self._files = files
        self._most_bytes = most_bytes
        self._file: File | None = None

    def read(self) -> bytes:
        """
        Return what the file says now; nothing where it cannot be read, as `status` then tells.

        A file that was gone is opened anew, each time: it may be there again.
        """
        try:
            if self._file is None:
                self._file = File(self.path, self._files, self._most_bytes)
            said = self._file.read()
        except PermissionError:
            return self._failed("denied")
        except OSError:
            return self._failed("gone")
        self.status = "ok"
        return said

    def integer(self) -> int:
        """Return the number it says; 0 where it says none, as `status` then tells."""
        said = self.read()
        try:
            return int(said)
        except ValueError:
            if self.status == "ok":
                self.status = "gone"  # a sensor that has nothing to say says it so
            return 0

    def close(self) -> None:
        """Close it; the next reading opens it anew."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _failed(self, status: ReadingStatus) -> bytes:
        self.close()
        self.status = status
        return b""


def text_of(path: Path) -> str:
    """Return the line in a small file; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
