"""Where an export goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmfd.store.shared import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

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


def write(content: bytes, out: Path | None) -> None:
    """
    Write an export as a whole or not at all.

    Raises
    ------
    OSError
        It cannot be written; a file that was there is as it was.
    """
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        write_whole(out.absolute(), content)
