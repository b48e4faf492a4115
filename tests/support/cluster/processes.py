"""Processes that are known by number and start time, so that no other is ever signalled."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 240.0
"""For what must happen: beside many nodes of another test a process may wait long for its turn."""


def wait_for(
    true: Callable[[], object], what: str, timeout_s: float = PATIENCE_S, every_s: float = 0.02
) -> None:
    """Wait for a condition, looking every so often."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not in {timeout_s:g} s: {what}")
        time.sleep(every_s)


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name: the state first. Empty if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


@dataclass(frozen=True)
class Known:
    """A process: its number, and when it started, in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Known:
        """Return what identifies a process that runs now."""
        fields = stat_fields(pid)
        if not fields:
            raise ProcessLookupError(f"process {pid} has ended")
        return cls(pid, int(fields[19]))

    @classmethod
    def read(cls, path: Path) -> Known | None:
        """Return the process that `path` records, if it runs."""
        try:
            pid, started = path.read_text("ascii").split()
        except (OSError, ValueError):
            return None
        found = cls(int(pid), int(started))
        return found if found.runs else None

    def write(self, path: Path) -> None:
        """Record it."""
        path.write_text(f"{self.pid} {self.started}\n", "ascii")

    @property
    def runs(self) -> bool:
        """Whether it is this very process that runs, and is no zombie."""
        fields = stat_fields(self.pid)
        return bool(fields) and fields[0] not in "ZX" and int(fields[19]) == self.started

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs: to the process, not to the number."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.runs:
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)

    def end(self, number: signal.Signals = signal.SIGKILL, timeout_s: float = PATIENCE_S) -> None:
        """End it with a signal, and wait until it is gone."""
        self.send(number)
        wait_for(lambda: not self.runs, f"process {self.pid} ends on {number.name}", timeout_s)


def spawn(words: list[str], environ: dict[str, str], log: Path, held: int | None = None) -> int:
    """
    Start a process in a session of its own, that may outlive this one.

    Parameters
    ----------
    words : list[str]
        The program and its arguments.
    environ : dict[str, str]
        All of its environment.
    log : Path
        What it prints is added there.
    held : int, optional
        A descriptor that it, too, holds open.
    """
    program = shutil.which(words[0])
    if program is None:
        raise FileNotFoundError(words[0])
    more = [] if held is None else [(os.POSIX_SPAWN_DUP2, held, 3)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        program, words, environ, setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *more,
        ],
    )  # fmt: skip


def first_process(pid: int) -> int | None:
    """Return the descendant of a process that is the first of its PID namespace, if it is there."""
    for child in children(pid):
        try:
            status = Path(f"/proc/{child}/status").read_text("utf-8", errors="replace")
        except OSError:
            continue
        numbers = [line.split() for line in status.splitlines() if line.startswith("NSpid:")]
        if numbers and numbers[0][-1] == "1":
            return child
        return first_process(child)
    return None


def children(pid: int) -> list[int]:
    """Return a process's children."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def namespace(pid: int, kind: str) -> str:
    """Return which namespace a process is in; empty if it is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


@dataclass(frozen=True)
class Seen:
    """A process that was seen on a machine, as it is known outside of it."""

    pid: int
    uid: int
    namespace: str
    command: str


def processes_of(uid: int) -> Iterator[Seen]:
    """Yield a user's processes, wherever they are, but no zombies."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            if entry.stat().st_uid != uid:
                continue
            command = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").strip()
        except OSError:
            continue
        if not has_ended(pid):
            yield Seen(pid, uid, namespace(pid, "pid"), command.decode(errors="replace"))


def has_ended(pid: int) -> bool:
    """Whether a process has ended; it may be a zombie."""
    return stat_fields(pid)[:1] in ([], ["Z"], ["X"])
