"""
Content that was identified once on a node, by whichever process, is not read again.

What a path holds is told from what it held before by its *state*: device, inode, size, times of
modification and of change, of a file or of every file and directory below a directory. One small
file for each state remembers the `Hash`, and is locked while somebody finds it out: of many ranks
that name one input, one reads it, and the others wait for its word. Data sets inside of a file are
remembered alike (`cmfd.content.inside`).

What DVC tracks is not read at all where DVC's own rule says that it holds what DVC's files say
(`cmfd.content.tracking`); its state includes theirs, and that of the git repository.

A copy that shares all its blocks with a file that was read is not read, either: see
`cmfd.content.blocks`.

A state is not trusted as long as the content might be changed again within the same tick of the
file system's clock (git calls such files racy): then only those who waited meanwhile believe it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from cmfd.content.blocks import blocks_of, can_share
from cmfd.content.files import Hash, hash_path, states_below
from cmfd.content.tracking import Tracking, ask, tracking_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RACY_NS = 2_000_000_000
"""Content that changed less than this before it was read may change within the same tick."""

WORTH_BYTES = 1 << 16
"""A smaller file is read faster than its state is looked up."""

_MOST_BYTES = 1 << 20

KEPT_S = 30 * 86400
"""How long a state that nobody asks for is remembered."""


class Finding(Protocol):
    """What can be remembered."""

    @property
    def problem(self) -> str:
        """Why it is not certain; then it is not remembered."""


Found = TypeVar("Found", bound=Finding)


class _Entry(msgspec.Struct, frozen=True):
    """What was found at a state; `racy`: for those only who waited for it."""

    found: msgspec.Raw
    racy: bool = False


def identify(path: str | os.PathLike[str], directory: str | os.PathLike[str] | None) -> Hash:
    """
    Identify the content of a file or directory, or remember it.

    Parameters
    ----------
    path : path-like
        A link is followed.
    directory : path-like or None
        Where states are remembered: private to a user, on node-local disk. None: nowhere.

    Returns
    -------
    Hash
        As `hash_path` finds it; with a `problem`, it is not remembered. A directory that cannot
        be used costs what it would have spared, and nothing else.
    """
    named = os.fspath(path)
    tracking = tracking_of(named)

    def find(before: Hash | None) -> Hash:
        if before or tracking is not None or directory is None or not _may_share(named):
            return before or _found(named, tracking)
        return _found_by_blocks(named, directory)

    return remembered(directory, lambda: _state(named, tracking), find, Hash)


def remembered(
    directory: str | os.PathLike[str] | None, state: Callable[[], tuple[str, int]],
    find: Callable[[Found | None], Found], kind: type[Found],
) -> Found:  # fmt: skip
    """
    Return what is known of a state, or find it out; who asks for the same meanwhile waits.

    Parameters
    ----------
    directory : path-like or None
        As of `identify`.
    state : function
        Gives a name for the present state, or none where that is not worth it; and when what it
        is of was changed last, in ns. An OSError is one of the path, which `find` will tell.
    find : function
        Is given what is remembered, or None, and returns that same object if it is all that is
        needed, or else what is to be remembered.
    kind : type
        What is remembered: something that msgspec reads and writes.
    """
    if directory is None:
        return find(None)
    try:
        key, changed_ns = state()
        if not key:
            return find(None)
        descriptor = _open(os.fspath(directory), key)
    except OSError:  # of the path: finding says which; of the directory: nobody needs it
        return find(None)
    try:
        waited = _lock(descriptor)
        entry = _read(descriptor)
        racy = entry is not None and entry.racy
        before = None if entry is None or (racy and not waited) else _decoded(entry, kind)
        began_ns = time.time_ns()
        found = find(before)
        if found is not before and not found.problem and state()[0] == key:
            racy = began_ns - changed_ns < RACY_NS or (racy and before is not None)
            _write(descriptor, _Entry(msgspec.Raw(msgspec.json.encode(found)), racy))
    except OSError:
        return find(None)
    else:
        return found
    finally:
        os.close(descriptor)


def _found(path: str, tracking: Tracking | None) -> Hash:
    """Find out what a path holds: from DVC where that is certain, else by reading it."""
    if tracking is None:
        return hash_path(path)
    known, unchanged = ask(tracking, path)
    if unchanged:
        return known
    found = hash_path(path)
    same = found.digest and found.digest == known.digest
    return found._replace(properties=known.properties) if same else found


class _Read(msgspec.Struct, frozen=True):
    """A file that was read: where it is, what told it from what it was before, what it holds."""

    path: str
    marks: str
    found: Hash


def _may_share(path: str) -> bool:
    """Tell whether another file may share its blocks with this one, and it has been let alone."""
    with suppress(OSError):
        at = os.stat(path)  # noqa: PTH116 - as above
        is_old = time.time_ns() - max(at.st_mtime_ns, at.st_ctime_ns) > RACY_NS
        return is_old and stat.S_ISREG(at.st_mode) and at.st_size >= WORTH_BYTES and can_share(path)
    return False


def _found_by_blocks(path: str, directory: str | os.PathLike[str]) -> Hash:
    """Read a file, unless one that was read shares all its blocks with it: it holds the same."""
    before, blocks = _marks_of(path), blocks_of(path)
    try:
        descriptor = _open(os.fspath(directory), blocks) if before and blocks else -1
    except OSError:
        descriptor = -1
    if descriptor < 0:
        return hash_path(path)
    try:
        known = _known_of(_read(descriptor), blocks)
        if known is not None and _marks_of(path) == before:
            return known
        found = hash_path(path)
        if not found.problem and blocks_of(path) == blocks:
            read = _Read(os.path.realpath(path), before, found)
            _write(descriptor, _Entry(msgspec.Raw(msgspec.json.encode(read))))
        return found
    finally:
        os.close(descriptor)


def _known_of(entry: _Entry | None, blocks: str) -> Hash | None:
    """Return what a file holds that was read, if it is there as it was, in those blocks."""
    with suppress(msgspec.MsgspecError):
        known = entry and msgspec.json.decode(entry.found, type=_Read)
        if known and _marks_of(known.path) == known.marks and blocks_of(known.path) == blocks:
            return known.found
    return None


def _marks_of(path: str) -> str:
    """Return what tells a file from what it was before; nothing where it is not there."""
    with suppress(OSError):
        return _marks(os.stat(path)).decode()  # noqa: PTH116 - as above
    return ""


def _lock(descriptor: int) -> bool:
    """Lock an entry; tell whether somebody else had it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    return False


def _read(descriptor: int) -> _Entry | None:
    """Return what an entry says; nothing of one that a killed process left half."""
    data = os.pread(descriptor, _MOST_BYTES, 0)
    with suppress(msgspec.MsgspecError):
        if data.endswith(b"\n"):
            return msgspec.json.decode(data, type=_Entry)
    return None


def _decoded(entry: _Entry, kind: type[Found]) -> Found | None:
    """Return what was found, unless another version of cmfd wrote it otherwise."""
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(entry.found, type=kind)
    return None


def _write(descriptor: int, entry: _Entry) -> None:
    """Remember; on a full disk, what was found out is only not remembered."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(entry) + b"\n", 0)


def _open(directory: str, key: str) -> int:
    os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs import time
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(os.path.join(directory, key), flags, 0o600)  # noqa: PTH118 - as above
    os.utime(descriptor)  # it was asked for: kept for longer
    return descriptor


def _state(path: str, tracking: Tracking | None) -> tuple[str, int]:
    """Return a name for the state of a path, or none where that is not worth it, and its age."""
    found = os.stat(path)  # noqa: PTH116 - as above
    digest = hashlib.sha256()
    changed_ns = 0
    if stat.S_ISDIR(found.st_mode):
        states = states_below(path.rstrip("/") or "/")
    elif found.st_size < WORTH_BYTES and tracking is None:
        return "", 0
    else:
        states = [("", found)]
    if tracking is not None:
        states = [*states, *_states(tracking.watched)]
    for name, at in states:
        digest.update(f"{len(name)}:{name}".encode("utf-8", "surrogateescape"))
        digest.update(_marks(at))
        changed_ns = max(changed_ns, at.st_mtime_ns, at.st_ctime_ns)
    return digest.hexdigest()[:32], changed_ns


def _marks(at: os.stat_result) -> bytes:
    """Return what tells a file from what it was before."""
    marks = (at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
    return " ".join(map(str, marks)).encode()


def state_inside(path: str) -> tuple[str, int]:
    """Return a name for the state of a file whose inside is asked for, and when it was changed."""
    at = os.stat(path)  # noqa: PTH116 - as above
    digest = hashlib.sha256(b"inside " + _marks(at))
    return digest.hexdigest()[:32], max(at.st_mtime_ns, at.st_ctime_ns)


def _states(paths: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the states of those of the paths that are there."""
    for path in paths:
        with suppress(OSError):
            yield path, os.stat(path)  # noqa: PTH116 - as above


def forget(directory: str | os.PathLike[str], older_than_s: float = KEPT_S) -> int:
    """
    Forget states that nobody asked for lately.

    Parameters
    ----------
    directory : path-like
        Where they are remembered.
    older_than_s : float
        How long ago they were asked for last.

    Returns
    -------
    int
        How many were forgotten.
    """
    before_s = time.time() - older_than_s
    forgotten = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < before_s:
                    os.unlink(entry.path)  # noqa: PTH108 - as above
                    forgotten += 1
    return forgotten
