"""
Tells `cmfd run --auto-io` which files a Python program opens and renames.

Python's audit hooks say so before it is done. A line of it, once for each file, is appended to a
file that is opened for it and closed again: a program may close what it did not open itself. What
goes wrong here is no business of the program's. No import here that Python has not done already.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False  # not of `typing`, which takes milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable

LOG_VARIABLE = "CMFD_AUTO_IO"
SKIP_VARIABLE = "CMFD_AUTO_IO_SKIP"
"""Beginnings of paths that are of no interest, with colons between; empty: nearly everything is."""

END = b"\0\n"
"""Of a line, whose parts are separated by null bytes, which no path has; nor begins one so."""

LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python", "/lib64/python", "/__pycache__/")
CODE = (".py", ".pyc", ".so")

_ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
_LETTERS = {os.O_RDONLY: b"r", os.O_WRONLY: b"w"}


def install() -> None:
    """Watch this process, and those that it forks."""
    skip = os.environ.get(SKIP_VARIABLE, "")
    teller = _Teller(os.environ[LOG_VARIABLE], tuple(filter(None, skip.split(":"))))
    tellers: dict[str, Callable[..., None]] = {
        "open": teller.opened,
        "os.rename": teller.renamed,
        "os.link": teller.renamed,
    }

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event in tellers:
            try:
                tellers[event](*args)
            except Exception:  # noqa: BLE001, S110 - it is the program's to find out
                pass

    sys.addaudithook(hook)


class _Teller:
    """What is told to whom, and what was told already."""

    def __init__(self, log: str, skip: tuple[str, ...]) -> None:
        self._log = log
        self._skip = skip
        self._told: set[tuple[str, int]] = set()

    def opened(self, path: object, mode: object, flags: int) -> None:
        """Tell of a file that is about to be opened; of one that is read, what it is now."""
        del mode
        if isinstance(path, int):
            return
        name = os.fsdecode(path)  # type: ignore[arg-type]
        if name == self._log or (self._skip and name.endswith(CODE)):
            return
        if not name.startswith("/"):
            name = os.getcwd() + "/" + name
        key = (name, flags & _ACCESS)
        if name.startswith(self._skip) or key in self._told:
            return
        if self._skip and any(part in name for part in LIBRARIES):
            return
        size_bytes = mtime_ns = -1
        if key[1] == os.O_RDONLY:
            found = os.stat(name)
            if not stat.S_ISREG(found.st_mode):
                return
            size_bytes, mtime_ns = found.st_size, found.st_mtime_ns
        self._told.add(key)
        self._tell(
            _LETTERS.get(key[1], b"b"), b"%d" % size_bytes, b"%d" % mtime_ns, os.fsencode(name)
        )

    def renamed(
        self, source: object, target: object, source_dir: int = -1, target_dir: int = -1
    ) -> None:
        """Tell of a file or directory that is about to get another name, or one more."""
        names = [_within(source, source_dir), _within(target, target_dir)]
        if not names[1].startswith(self._skip):
            self._tell(b"m", *map(os.fsencode, names))

    def _tell(self, *parts: bytes) -> None:
        descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"\0".join(parts) + END)
        finally:
            os.close(descriptor)


def _within(path: object, directory: int) -> str:
    """Return a path in full; `directory`: a descriptor of where it begins, or -1."""
    name = os.fsdecode(path)  # type: ignore[arg-type]
    if name.startswith("/"):
        return name
    if directory < 0:
        return os.getcwd() + "/" + name
    return os.readlink("/proc/self/fd/" + str(directory)) + "/" + name
