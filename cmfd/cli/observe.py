"""
What a command reads and writes without a word: seen from outside, as `cmfd run --auto-io` does.

Python programs tell every file that they open or rename (`cmfd/hook`). Of all other programs, and
of libraries within Python that open files by themselves, the files are seen that a process of the
command has open at the moments when one looks: a sample. Both are sorted out when the command has
ended: what was written and is there is an output, what was only read is an input. What is settled
before that, of a command that takes longer, is told at once: whoever watches may be killed.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmfd.client.artifacts import Place
from cmfd.client.background import Background
from cmfd.hook import cmfd_auto_io as hook
from cmfd.model import Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

AUDIT, SAMPLE = "audit", "sample"
"""How a file was seen: Python said so; it was open at some moment."""

SYSTEM = (
    "/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/lib32/", "/lib64/", "/proc/", "/run/", "/sbin/",
    "/snap/", "/sys/", "/usr/", "/var/cache/", "/var/lib/", "/var/log/",
)  # fmt: skip
"""Directories of the system: what is there comes with the machine."""

NO_FILES = ("/dev/", "/proc/", "/sys/")

MOST = 1000
"""Files that are recorded of a command, inputs and outputs each."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.01, 0.5
_SHARE = 50
"""Looking takes at most one part in so many of the time."""

_SETTLED_S = 2.0
"""How often to tell of files; and how long ago they must have been written for that."""

_PATIENCE_S, _MOST_S = 10.0, 300.0
"""How long to look at files when the command has ended: for the next one; for all."""

_CLOCKS_NS = 2_000_000_000
"""How much the clock of a file system may be behind."""


class Seen(NamedTuple):
    """A file that the command read or wrote."""

    direction: Direction
    place: Place
    how: str


@dataclass
class Rules:
    """
    Which files count.

    Attributes
    ----------
    own : tuple of str
        Directories of cmfd's, which never do.
    include, exclude : sequence of str
        Patterns as of a shell, of a path in full or below `cwd`; ``dir/`` is all below it. What is
        included counts in any case; what is excluded does not; else `is_left_out` decides.
    cwd : str
        Where the command began.
    """

    own: tuple[str, ...]
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    cwd: str = field(default_factory=os.getcwd)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Beginnings of paths that need not even be told."""
        return (*self.own, *(NO_FILES if self.include else SYSTEM))

    def accept(self, path: str) -> bool:
        """Tell whether a file counts."""
        if path.startswith((*self.own, *NO_FILES)):
            return False
        if self._matches(path, self.include):
            return True
        return not (self._matches(path, self.exclude) or self.is_left_out(path))

    def named(self, path: str) -> str:
        """Return a path as a user below `cwd` would say it."""
        return path[len(self.cwd) + 1 :] if path.startswith(f"{self.cwd}/") else path

    def is_left_out(self, path: str) -> bool:
        """Tell whether it is code, hidden, or the system's: not what a command is about."""
        return (
            path.startswith(SYSTEM)
            or path.endswith(hook.CODE)
            or ".so." in path.rpartition("/")[2]
            or any(part in path for part in hook.LIBRARIES)
            or any(part.startswith(".") for part in self.named(path).split("/"))
        )

    def _matches(self, path: str, patterns: Iterable[str]) -> bool:
        names = (path, self.named(path))
        return any(
            fnmatchcase(name, pattern + "*" if pattern.endswith("/") else pattern)
            for pattern in patterns
            for name in names
        )


class Observer:
    """
    Watches a command.

    Parameters
    ----------
    rules : Rules
        Which files count.
    """

    def __init__(self, rules: Rules) -> None:
        self._read: dict[str, tuple[Place, str]] = {}
        self._written: dict[str, tuple[int, str]] = {}
        self._known: set[tuple[int, str, str]] = set()
        self._told: set[tuple[Direction, str]] = set()
        self._n_taken = 0
        self._n_looked_at = 0
        descriptor, self._log = tempfile.mkstemp(prefix="cmfd-io-")
        os.close(descriptor)
        self._rules = replace(rules, own=(*rules.own, self._log))
        self._began_ns = time.time_ns()
        self._streams = set(_files_of(map(str, (1, 2)), os.getpid()))
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def environ(self, given: dict[str, str]) -> dict[str, str]:
        """Return the command's environment."""
        path = [str(Path(hook.__file__).parent), *filter(None, [given.get("PYTHONPATH")])]
        return {
            **given,
            "PYTHONPATH": ":".join(path),
            hook.LOG_VARIABLE: self._log,
            hook.SKIP_VARIABLE: "" if self._rules.include else ":".join(self._rules.skipped),
        }

    def watch(self, declared: Iterable[str], tell: Callable[[Seen], None]) -> None:
        """
        Look from now on, on a thread of its own.

        Parameters
        ----------
        declared : iterable of str
            As for `found`.
        tell : function
            Is told of each file and direction once, when it is settled. It need not be in what
            `found` returns: it may be gone by then, or another.
        """
        self._thread = threading.Thread(
            target=self._sample, args=(list(declared), tell), name="cmfd-sample", daemon=True
        )
        self._thread.start()

    # -- looking -----------------------------------------------------------------------------

    def _sample(self, declared: list[str], tell: Callable[[Seen], None]) -> None:
        """Look often at first, for commands that are short, and seldom later."""
        wait_s = _FIRST_WAIT_S
        told_s = time.monotonic()
        while not self._over.wait(wait_s):
            began_s = time.monotonic()
            with suppress(OSError):
                self._look()
                if began_s > told_s + _SETTLED_S:
                    self._tell(declared, tell)
                    told_s = began_s
            took_s = time.monotonic() - began_s
            wait_s = max(min(2 * wait_s, _LONGEST_WAIT_S), _SHARE * took_s)

    def _look(self) -> None:
        for pid in _descendants(os.getpid()):
            try:
                numbers = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - thousands of them
            except OSError:  # it has ended, or is somebody else's
                continue
            for number in numbers:
                with suppress(OSError, ValueError):
                    self._look_at(pid, number)

    def _look_at(self, pid: int, number: str) -> None:
        path = os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 - as above
        if not path.startswith("/") or (pid, number, path) in self._known:
            return
        self._known.add((pid, number, path))
        is_gone = path.endswith(" (deleted)") and not os.path.lexists(path)
        if is_gone or not self._rules.accept(path):
            return
        found = os.stat(f"/proc/{pid}/fd/{number}")  # noqa: PTH116 - as above
        if not stat.S_ISREG(found.st_mode) or (found.st_dev, found.st_ino) in self._streams:
            return
        access = _access(pid, number)
        if access != os.O_WRONLY:
            self._saw_read(path, found.st_size, found.st_mtime_ns, SAMPLE)
        if access != os.O_RDONLY:
            self._written.setdefault(path, (found.st_ino, SAMPLE))

    def _saw_read(self, path: str, size_bytes: int, mtime_ns: int, how: str) -> None:
        if path not in self._read or (how, self._read[path][1]) == (AUDIT, SAMPLE):
            place = Place(self._rules.named(path), path, size_bytes, mtime_ns)
            self._read[path] = (place, how)

    def _tell(self, declared: list[str], tell: Callable[[Seen], None]) -> None:
        """Tell of what was read only, and of what was written some time ago."""
        self._take_log()
        found, _ = self._sorted(declared)
        settled_ns = time.time_ns() - int(_SETTLED_S * 1e9)
        for one in found:
            key = (one.direction, one.place.absolute)
            is_output = one.direction is Direction.OUTPUT
            is_settled = not is_output or one.place.mtime_ns < settled_ns
            if is_settled and key not in self._told and len(self._told) < MOST:
                self._told.add(key)
                tell(one)

    # -- sorting out -------------------------------------------------------------------------

    def found(
        self, declared: Iterable[str], patience_s: float = _PATIENCE_S
    ) -> tuple[list[Seen], int]:
        """
        Return what the command read and wrote, now that it has ended.

        Parameters
        ----------
        declared : iterable of str
            Files and directories that somebody named: these, and what is below them, need not be.
        patience_s : float
            How long a file system may take to tell of the next file.

        Returns
        -------
        (list of Seen, int)
            At most `MOST` of each direction; how many more there were.

        Raises
        ------
        TimeoutError
            A file system does not answer. What was told before remains told.
        """
        self._over.set()
        known = list(declared)
        answers: list[tuple[list[Seen], int]] = []
        work = Background()
        work.submit(lambda: answers.append(self._finished(known)))
        if not work.wait(patience_s, most_s=_MOST_S, progress=lambda: self._n_looked_at):
            msg = (
                "a file system does not answer: of the files that the command was seen to read or "
                "write, only those that were known before it ended are recorded"
            )
            raise TimeoutError(msg)
        return answers[0] if answers else ([], 0)

    def _finished(self, declared: list[str]) -> tuple[list[Seen], int]:
        if self._thread is not None:
            self._thread.join()
        self._take_log()
        with suppress(OSError):
            os.unlink(self._log)  # noqa: PTH108 - as above
        return self._sorted(declared)

    def _sorted(self, declared: Iterable[str]) -> tuple[list[Seen], int]:
        known = [os.path.abspath(path) for path in declared]  # noqa: PTH100 - as the user has it
        below = tuple(f"{path}/" for path in known)
        paths = {
            path for path in (*self._read, *self._written)
            if path not in known and not path.startswith(below) and self._rules.accept(path)
        }  # fmt: skip
        outputs = {name: how for path in paths for name, how in self._outputs(path)}
        inputs = [
            Seen(Direction.INPUT, *self._read[path])
            for path in sorted(paths & self._read.keys() - outputs.keys())
            if self._is_input(path)
        ]
        written = [
            Seen(Direction.OUTPUT, Place.of(path)._replace(named=self._rules.named(path)), how)
            for path, how in sorted(outputs.items())
        ]
        n_left = max(len(inputs) - MOST, 0) + max(len(written) - MOST, 0)
        return [*inputs[:MOST], *written[:MOST]], n_left

    def _is_input(self, path: str) -> bool:
        self._n_looked_at += 1
        return os.access(path, os.R_OK) if os.path.lexists(path) else path not in self._written

    def _outputs(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield what has become of a file that was opened for writing, if it is one now."""
        self._n_looked_at += 1
        inode, how = self._written.get(path, (0, ""))
        if not how:
            return
        with suppress(OSError):
            if not os.path.lexists(path):
                path = _renamed(path, inode)
            found = os.stat(path)  # noqa: PTH116 - as above
            # One that was opened and left as it was is none; `cp -p` sets only the other time.
            if stat.S_ISREG(found.st_mode) and found.st_ctime_ns > self._began_ns - _CLOCKS_NS:
                yield path, how

    def _take_log(self) -> None:
        """Take what Python programs told; the last line may be half."""
        try:
            with open(self._log, "rb") as file:  # noqa: PTH123 - as above
                file.seek(self._n_taken)
                data = file.read()
        except OSError:
            return
        *lines, rest = data.split(hook.END)
        self._n_taken += len(data) - len(rest)
        for line in lines:
            with suppress(ValueError):
                self._take_line(*line.split(b"\0"))

    def _take_line(self, letter: bytes, *parts: bytes) -> None:
        if letter == b"m":
            self._move(*(os.path.normpath(os.fsdecode(part)) for part in parts))
            return
        size_bytes, mtime_ns, name = parts
        path = os.path.normpath(os.fsdecode(name))
        if letter == b"r":
            self._saw_read(path, int(size_bytes), int(mtime_ns), AUDIT)
        else:
            self._written[path] = (self._written.get(path, (0, ""))[0], AUDIT)
            if letter == b"b" and os.path.lexists(path):
                self._saw_read(path, *Place.of(path)[2:], AUDIT)

    def _move(self, source: str, target: str) -> None:
        """Expect files under their new name, too: those that are not there are left out."""
        self._written[target] = (0, AUDIT)
        for path in list(self._written):
            if path.startswith(f"{source}/"):
                self._written[target + path[len(source) :]] = (0, AUDIT)


def _descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process started, and those that they did."""
    waiting = [pid]
    while waiting:
        children: list[int] = []
        with suppress(OSError):
            for task in os.listdir(f"/proc/{waiting[-1]}/task"):  # noqa: PTH208 - as above
                with suppress(OSError):
                    text = Path(f"/proc/{waiting[-1]}/task/{task}/children").read_text("ascii")
                    children += map(int, text.split())
        waiting.pop()
        waiting += children
        yield from children


def _access(pid: int, number: str) -> int:
    """Return how a descriptor was opened."""
    for line in Path(f"/proc/{pid}/fdinfo/{number}").read_text("ascii").splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            return int(value, 8) & os.O_ACCMODE
    return os.O_RDONLY


def _files_of(numbers: Iterable[str], pid: int) -> Iterator[tuple[int, int]]:
    for number in numbers:
        with suppress(OSError):
            found = os.stat(f"/proc/{pid}/fd/{number}")  # noqa: PTH116 - as above
            yield found.st_dev, found.st_ino


def _renamed(path: str, inode: int) -> str:
    """Return what a file is called that is no longer called so; within its directory."""
    with os.scandir(os.path.dirname(path)) as entries:  # noqa: PTH120 - as above
        return next((entry.path for entry in entries if inode and entry.inode() == inode), path)
