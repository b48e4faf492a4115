"""
A site that several users write to: what one of them makes in it, the others must be able to use.

Its directory says for whom it is. What is made in it follows that, and no user's umask.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def follow(path: Path, *, final: bool = False) -> None:
    """
    Give what was made in a site the rights of the directory that it lies in.

    Parameters
    ----------
    path : Path
        A file or directory. Somebody else's stays as it is: that was seen to by who made it. So
        does what a link leads to: others may have put it there, and to a file of this user's.
    final : bool
        Whether nobody shall write to the file again: a pack, which others may read, is its owner's
        word, and must not become theirs.
    """
    with suppress(OSError):
        # Only its place in the tree is opened: closing an open file would end this process's locks
        # of it, and looking by name, and again to change, could be two different things.
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            mode, above = os.fstat(descriptor).st_mode, path.parent.stat().st_mode
            wanted = above & (0o2777 if stat.S_ISDIR(mode) else 0o444 if final else 0o666)
            if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != wanted:
                Path(f"/proc/self/fd/{descriptor}").chmod(wanted)
        finally:
            os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """
    Put a file of a site in its place whole or not at all; its directory is made if missing.

    Raises
    ------
    OSError
        It cannot be written; what is there under this name is as it was.
    """
    make_directory(path.parent)
    with whole(path) as partial:
        partial.write_bytes(content)
        follow(partial)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """
    Give a name beside a file or directory: what is written there takes its place in the end.

    If that is not reached, what is there is as it was, and nothing is left beside it.

    Raises
    ------
    OSError
        It cannot be put there: a directory only where none is, or an empty one.
    """
    partial = path.with_name(f".{path.name}-{os.urandom(8).hex()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        if partial.is_dir():
            import shutil  # noqa: PLC0415 - 3 ms, and hardly ever is it a directory

            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """
    Make a directory of a site, unless it is there.

    Raises
    ------
    OSError
        It cannot be made.
    """
    try:
        path.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directory(path.parent)
        path.mkdir(exist_ok=True)
    follow(path)
