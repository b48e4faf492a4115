"""Where an export goes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmfd.store.shared import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

F = TypeVar("F", bound="Callable[..., Any]")


def output(function: F) -> F:
    """Add ``--output``; the command gets None for standard output."""
    return click.option(
        "-o",
        "--output",
        "out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Where to write it; default: standard output.",
    )(function)


def write(content: bytes | Iterable[bytes], out: Path | None) -> None:
    """
    Write an export as a whole or not at all.

    Parameters
    ----------
    content : bytes or iterable of bytes
        All of it, or its parts, of which only one is in memory at a time.
    out : Path or None
        Where. A file is the user's own, not a site's: with the rights that it had, else by the
        umask. A link stays, and what is no file (a pipe, ``/dev/null``) is written to as it is.
        None: standard output.

    Raises
    ------
    OSError
        It cannot be written; a file that was there is as it was.
    """
    parts = [content] if isinstance(content, bytes) else content
    if out is None:
        sys.stdout.buffer.writelines(parts)
        return
    if out.exists() and not out.is_file():
        with out.open("wb") as stream:
            stream.writelines(parts)
        return
    target = out.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as partial:
        with partial.open("xb") as stream:
            stream.writelines(parts)
        if target.exists():
            shutil.copymode(target, partial)
