"""
The journals of other processes, as files: inspected, locked, read, removed.

Law: where a journal is, is a client's word, and on a shared node a client may
be anybody. So links are not followed, only a regular file that belongs to the
client's own user counts, and a name is removed only while it is that file's.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.daemon.stimuli import (
    FoundJournal,
    JournalGone,
    JournalHeld,
    JournalPiece,
    JournalUnreadable,
)
from cmfd.errors import JournalError
from cmfd.store.adopt import DeadJournal
from cmfd.wire.journal import FILE_HEADER_BYTES, SUFFIX
from cmfd.wire.ranges import covers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cmfd.config import Settings
    from cmfd.daemon.effects import LeaveJournal, ReadJournal
    from cmfd.daemon.stimuli import Stimulus
    from cmfd.store.node import JournalSlice
    from cmfd.wire.ranges import Ranges

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{32}" + re.escape(SUFFIX))

MAKING_S = 60.0
"""How long a process may take to make its journal."""
MOST_ENTRIES = 100_000
"""No more of one directory are looked at in a go: nobody shall keep the daemon busy with names."""
PIECE_BYTES = 1 << 20
"""How much of a journal is read at a time."""


@dataclass(frozen=True)
class Inspection:
    """What is at the place that a client named: its journal, nothing to see, or a problem."""

    journal: str = ""
    problem: str = ""


def inspect(named: str, directory: Path, instance: bytes, uid: int) -> Inspection:
    """
    Find out whether a client's journal is where it says.

    Parameters
    ----------
    named : str
        The path as the client sees it: in a container, another one than here.
    directory : Path
        Where this node's journals are by default.
    instance, uid
        Whose journal it must be.
    """
    for path in (Path(named), directory / f"{instance.hex()}{SUFFIX}"):
        if not path.is_absolute() or "\0" in str(path):
            continue
        try:
            if _is_journal_of(path, instance, uid):
                return Inspection(journal=str(path))
        except OSError:
            continue  # not there, or not for us to see
        return Inspection(problem=f"{path} is not the journal of this process")
    log.warning(
        "instance %s: its journal %s cannot be seen from here: what it has not sent when it "
        "dies must be merged from there",
        instance.hex(), named,
    )  # fmt: skip
    return Inspection()


def _is_journal_of(path: Path, instance: bytes, uid: int) -> bool:
    # Looked at before it is opened: to open a device may do something.
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != uid:
        return False
    try:
        with closing(DeadJournal(path)) as journal:
            return journal.uid == uid and journal.header.instance == instance
    except JournalError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        return False


def directory_of(settings: Settings, uid: int) -> Path:
    """Return where a user's journals are by default."""
    return settings.journal_dir / str(uid) if settings.system else settings.journal_dir


def found_by(settings: Settings) -> Iterator[FoundJournal]:
    """Yield the journals that are there: of the daemon's user, or of all users of its node."""
    if not settings.system:
        yield from found_in(settings.journal_dir, os.geteuid())
        return
    with suppress(FileNotFoundError), os.scandir(settings.journal_dir) as entries:
        # By name, which users do not choose: root makes these directories.
        uids = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    for uid in uids:
        with suppress(PermissionError):  # its user has closed it
            yield from found_in(directory_of(settings, uid), uid)


def found_in(directory: Path, uid: int) -> Iterator[FoundJournal]:
    """Yield a user's journals in a directory."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in islice(entries, MOST_ENTRIES):
            if _NAME.fullmatch(entry.name) and _is_file_of(entry, uid):
                yield FoundJournal(bytes.fromhex(entry.name[:32]), uid, entry.path)


def _is_file_of(entry: os.DirEntry[str], uid: int) -> bool:
    """Tell whether an entry is a user's file; one that its process removed meanwhile is none."""
    with suppress(FileNotFoundError):
        found = entry.stat(follow_symlinks=False)
        return stat.S_ISREG(found.st_mode) and found.st_uid == uid
    return False


class _Reading:
    """A dead journal whose lock is the daemon's."""

    def __init__(self, journal: DeadJournal, known: dict[int, Ranges]) -> None:
        self.journal = journal
        self._known = known
        self._slices = journal.slices()

    def piece(self) -> tuple[list[JournalSlice], bool]:
        """Return about `PIECE_BYTES` of what is not on disk yet, and whether that is the last."""
        found: list[JournalSlice] = []
        size = 0
        for item in self._slices:
            if covers(self._known.get(item.block, []), item.first, item.end):
                continue
            found.append(item)
            size += len(item.payload)
            if size >= PIECE_BYTES:
                return found, False
        return found, True


class Journals:
    """
    The journals that the daemon has open.

    Parameters
    ----------
    committed : callable
        Returns the ranges of an instance that are on disk.
    """

    def __init__(self, committed: Callable[[bytes], list[tuple[int, int, int]]]) -> None:
        self._committed = committed
        self._open: dict[bytes, _Reading] = {}

    def read(self, effect: ReadJournal) -> Stimulus:
        """Return the next piece of a journal, or why there is none."""
        instance = effect.instance
        try:
            reading = self._open.get(instance)
            if reading is None:
                if not effect.journal:
                    return JournalGone(instance)
                journal = self._take(effect)
                if journal is None:
                    return JournalHeld(instance)
                reading = self._open[instance] = _Reading(journal, self._ranges(instance))
            slices, last = reading.piece()
        except JournalError as error:
            self._forget(instance)
            if isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
                return JournalGone(instance)
            return JournalUnreadable(instance, str(error))
        n_damaged = reading.journal.n_damaged
        problem = f"{n_damaged} of its units are damaged" if last and n_damaged else ""
        touched_ns = os.fstat(reading.journal.fileno()).st_mtime_ns
        return JournalPiece(instance, tuple(slices), last, touched_ns, problem)

    def _ranges(self, instance: bytes) -> dict[int, Ranges]:
        known: dict[int, Ranges] = {}
        for block, first, end in self._committed(instance):
            known.setdefault(block, []).append((first, end))
        return known

    @staticmethod
    def _take(effect: ReadJournal) -> DeadJournal | None:
        """Open a journal and take its lock; None: somebody has it."""
        path = Path(effect.journal)
        try:
            journal = DeadJournal(path)
        except JournalError as error:
            if _is_young(path):
                return None  # just being made, perhaps; its lock must not be touched before it is
            if not _remove_stillborn(path, effect.uid):
                raise
            raise JournalError(f"{path} was never begun") from FileNotFoundError(error)
        if not _lock(journal.fileno()):
            journal.close()
            return None
        if journal.uid != effect.uid or journal.header.instance != effect.instance:
            journal.close()
            raise JournalError(f"{path} is not the journal of this process; it was left as it is")
        return journal

    def _forget(self, instance: bytes) -> None:
        reading = self._open.pop(instance, None)
        if reading is not None:
            reading.journal.close()

    def leave(self, effect: LeaveJournal) -> None:
        """Give a journal's lock back, and remove the file if that is asked for."""
        reading = self._open.get(effect.instance)
        if reading is None:
            return
        try:
            if effect.remove:
                _remove(reading.journal.path, reading.journal.fileno())
        except OSError as error:
            # It will be read once more, which changes nothing.
            log.warning("cannot remove journal %s: %s", reading.journal.path, error)
        finally:
            self._forget(effect.instance)

    def close(self) -> None:
        """Give all locks back."""
        for instance in list(self._open):
            self._forget(instance)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held; or no locks here, and then one cannot know
        return False
    return True


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime < MAKING_S
    except OSError:
        return False


def _remove_stillborn(path: Path, uid: int) -> bool:
    """Remove the journal of a user whose process died before it had written even the header."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with closing(os.fdopen(os.open(path, flags), "rb")) as file:
            found = os.fstat(file.fileno())
            if found.st_uid != uid or found.st_size > FILE_HEADER_BYTES:
                return False
            if not stat.S_ISREG(found.st_mode) or file.read(FILE_HEADER_BYTES).strip(b"\0"):
                return False
            _remove(path, file.fileno())
    except OSError:
        return False
    return True


def _remove(path: Path, descriptor: int) -> None:
    """Remove a name if it is this file's: whose directory it is in may have put others there."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        there = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        if os.path.samestat(there, os.fstat(descriptor)):
            os.unlink(path.name, dir_fd=directory)
    except FileNotFoundError:
        pass  # its process was faster
    finally:
        os.close(directory)
