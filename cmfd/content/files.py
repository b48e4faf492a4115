"""
The identity of files and directories: the digests that DVC 3 gives them, and stronger ones.

A file is the MD5 of its bytes. A directory is the MD5 of a listing of its files,
``[{"md5": ..., "relpath": "a/b"}, ...]`` sorted by path, with ``.dir`` behind it. The strong
digests come from the same read: a file's is the SHA-256 of its bytes, a directory's the SHA-256
of the listing with ``"sha256"`` in place of ``"md5"``.

As in DVC, `.git`, `.hg` and `.dvc` directories and directories that are DVC repositories
themselves are left out, as is what is no regular file; links to files are followed, those to
directories are not; empty directories leave no trace. Unlike in DVC, names need not be UTF-8, and
a `.dvcignore` file is a file like others.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 1 << 22
"""How much is read at once; larger files are hashed by two threads."""

_TICK_NS = 10_000_000
"""The longest tick of a kernel's clock."""

_COARSE_CLOCK = 5
"""Linux's CLOCK_REALTIME_COARSE, which file systems take their times from; Python has no name."""

_IGNORED_DIRECTORIES = frozenset((".git", ".hg", ".dvc"))


class Progress:
    """How much this process has read of content, so that who waits for it sees it come on."""

    n_bytes = 0


progress = Progress()


class Hash(NamedTuple):
    """What was found at a path."""

    digest: str = ""
    """``md5:<hex>`` of a file, ``md5:<hex>.dir`` of a directory; empty with a problem."""
    strong: str = ""
    """``sha256:<hex>``; empty with a problem."""
    size_bytes: int = -1
    n_files: int = 1
    problem: str = ""
    """Why there are no digests: it cannot be read, or changed while it was."""
    properties: str = ""
    """What else is known of it, a JSON object: where DVC has it from; or empty."""


class _ChangedError(OSError):
    """What was read may never have existed as a whole."""

    def __init__(self, path: str) -> None:
        super().__init__(0, "it changed while it was read", path)


class _File(NamedTuple):
    md5: str
    sha256: str
    size_bytes: int


class _Stamp(NamedTuple):
    """What changes when a file or directory does."""

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


def hash_path(path: str | os.PathLike[str]) -> Hash:
    """
    Identify the content of a file or directory.

    Parameters
    ----------
    path : path-like
        A link is followed.

    Returns
    -------
    Hash
        With a `problem` in place of digests, never an exception, when something cannot be read.
    """
    root = os.fspath(path)
    try:
        if stat.S_ISDIR(os.stat(root).st_mode):  # noqa: PTH116 - pathlib costs import time
            return _hash_directory(root.rstrip("/") or "/")
        file = _hash_file(root)
    except OSError as error:
        return Hash(problem=why(error, root))
    return Hash(f"md5:{file.md5}", f"sha256:{file.sha256}", file.size_bytes)


def why(error: OSError, path: str) -> str:
    """Say in a line what is wrong with which file; `path`: where the error names none."""
    name = os.fsencode(error.filename or path).decode("utf-8", "replace")
    return f"{error.strerror}: {name}"


def _hash_directory(root: str) -> Hash:
    """Hash every file below `root`, then the listings of their digests."""
    stamps: dict[str, _Stamp] = {}
    files = {path.removeprefix(root).lstrip("/"): _hash_file(path) for path in _walk(root, stamps)}
    for directory, stamp in stamps.items():
        if _stamp(directory) != stamp:  # a file came or went
            raise _ChangedError(directory)
    names = sorted(files)
    md5 = listing_digest("md5", [(name, files[name].md5) for name in names])
    sha256 = listing_digest("sha256", [(name, files[name].sha256) for name in names])
    size_bytes = sum(file.size_bytes for file in files.values())
    return Hash(f"md5:{md5}.dir", f"sha256:{sha256}", size_bytes, len(files))


def _walk(root: str, stamps: dict[str, _Stamp]) -> Iterator[str]:
    """Yield the files below `root`; note the stamp of each directory before it is listed."""
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        stamps[directory] = _settled(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not _is_ignored(entry):
                        waiting.append(entry.path)
                elif entry.is_file():
                    if entry.name != ".git":  # of a submodule or work tree
                        yield entry.path
                elif entry.is_symlink():
                    entry.stat()  # raises when it leads nowhere: content is missing


def states_below(root: str) -> list[tuple[str, os.stat_result]]:
    """
    Return the names and states of a directory's files and directories, as far as they count.

    Parameters
    ----------
    root : str
        A directory.

    Returns
    -------
    list of (str, os.stat_result)
        Files as their links lead; in the order of their names.

    Raises
    ------
    OSError
        Something cannot be listed, or a link leads nowhere.
    """
    directories: dict[str, _Stamp] = {}
    names = [*_walk(root, directories), *directories]
    return [(name.removeprefix(root), os.stat(name)) for name in sorted(names)]  # noqa: PTH116 - as above


def _is_ignored(directory: os.DirEntry[str]) -> bool:
    """Tell whether DVC leaves a directory out."""
    return directory.name in _IGNORED_DIRECTORIES or os.path.lexists(f"{directory.path}/.dvc")


def listing_digest(algorithm: str, digests: list[tuple[str, str]]) -> str:
    """Digest DVC's listing of a directory: sorted names with the digests by `algorithm`."""
    import json  # noqa: PLC0415 - keeps `import cmfd` short

    listing = [{algorithm: digest, "relpath": name} for name, digest in digests]
    document = json.dumps(listing, sort_keys=True).encode("ascii")
    return str(_hasher(algorithm, document).hexdigest())


def _hasher(algorithm: str, data: bytes = b"") -> Any:
    """Start a digest, which identifies and does not protect: FIPS mode must allow MD5 for it."""
    import hashlib  # noqa: PLC0415 - keeps `import cmfd` short

    return hashlib.new(algorithm, data, usedforsecurity=False)


def _hash_file(path: str) -> _File:
    """Digest a regular file and make sure that it stayed the same meanwhile."""
    # Not blocking: should a pipe have taken the file's place, opening it must not hang.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file", path)
        before = _settled(descriptor)
        md5, sha256 = _hasher("md5"), _hasher("sha256")
        size_bytes = _digest(descriptor, md5, sha256, before.size_bytes)
        if size_bytes != before.size_bytes or _stamp(path) != before:
            raise _ChangedError(path)
    finally:
        os.close(descriptor)
    return _File(md5.hexdigest(), sha256.hexdigest(), size_bytes)


def _stamp(path: str | int) -> _Stamp:
    found = os.stat(path)  # noqa: PTH116 - as above
    return _Stamp(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _settled(path: str | int) -> _Stamp:
    """
    Return a stamp that every change from now on will change.

    What changes a file twice within one tick of the file system's clock leaves the same stamp: so
    that tick has to be over before reading begins. (Of a server whose clock is another one's, that
    cannot be told; and what is written through a memory map has its time later.)
    """
    import time  # noqa: PLC0415 - keeps `import cmfd` short

    found = _stamp(path)
    while 0 <= found.ctime_ns - time.clock_gettime_ns(_COARSE_CLOCK) < _TICK_NS:
        time.sleep(_TICK_NS / 10e9)
    return found


def _digest(descriptor: int, md5: Any, sha256: Any, size_bytes: int) -> int:
    """
    Feed a file to both digests; return its size.

    MD5 takes most of the time: reading and SHA-256 go on beside it, one chunk ahead.
    """

    def advance() -> bytes:
        chunk = os.read(descriptor, CHUNK_BYTES)
        progress.n_bytes += len(chunk)
        sha256.update(chunk)
        return chunk

    read_bytes = 0
    chunk = advance()
    while chunk:
        read_bytes += len(chunk)
        following = _beside(advance) if read_bytes < size_bytes else advance
        md5.update(chunk)
        chunk = following()
    return read_bytes


def _beside(work: Callable[[], bytes]) -> Callable[[], bytes]:
    """Do `work` in another thread; calling the result waits for what it returns or raises."""
    from threading import Thread  # noqa: PLC0415 - keeps `import cmfd` short

    done: list[bytes] = []
    failed: list[OSError] = []

    def run() -> None:
        try:
            done.append(work())
        except OSError as error:
            failed.append(error)

    def wait() -> bytes:
        thread.join()
        if failed:
            raise failed[0]
        return done[0]

    thread = Thread(target=run, name="cmfd-hash", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is ending and starts no more threads
        return work
    return wait
