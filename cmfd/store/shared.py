"""
A site that several users write to: what one of them makes in it, the others must be able to use.

Its directory says for whom it is. What is made in it follows that, and no user's umask.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def follow(path: Path) -> None:
    """
    Give what was made in a site the rights of the directory that it lies in.

    Parameters
    ----------
    path : Path
        A file or directory. Somebody else's stays as it is: that was seen to by who made it.
    """
    with suppress(OSError):
        mode, above = path.stat().st_mode, path.parent.stat().st_mode
        wanted = above & (0o2777 if stat.S_ISDIR(mode) else 0o666)
        if stat.S_IMODE(mode) != wanted:
            path.chmod(wanted)


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
