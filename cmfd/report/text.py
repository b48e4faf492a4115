"""Tables and lines for people; rich is imported only when a table is drawn."""

from __future__ import annotations

import sys
from itertools import compress
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

UNBOUNDED_COLUMNS = 10_000
"""Width of what goes into a file or pipe: lines there are neither cut nor folded."""


class Column(NamedTuple):
    """A table's column; figures stand at the right."""

    heading: str
    right: bool = False


def printable(text: str) -> str:
    """Escape control characters: what a job logged must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable_lines(text: str) -> str:
    """Escape control characters, but let lines end."""
    return "\n".join(map(printable, text.split("\n")))


class Table(NamedTuple):
    """A table for people: cells are text, and may hold anything that a job logged."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    title: str = ""


def draw(table: Table, stream: IO[str] | None = None) -> None:
    """
    Print a table, folded to the terminal's width, or unfolded where there is none.

    Parameters
    ----------
    table : Table
        One with a title and without rows is left out, and so are columns without a text.
    stream : text file, optional
        Where to; standard output if not given.
    """
    from rich.console import Console  # noqa: PLC0415 - slow to import; not every command needs it
    from rich.table import Table as Grid  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    if table.title and not table.rows:
        return
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    used = [any(cells) for cells in zip(*table.rows, strict=True)] or [True] * len(table.columns)
    for column in compress(table.columns, used):
        grid.add_column(
            column.heading, justify="right" if column.right else "left", overflow="fold"
        )
    for row in table.rows:
        grid.add_row(*(Text(printable(cell)) for cell in compress(row, used)))
    out = stream or sys.stdout
    console = Console(file=out, width=None if out.isatty() else UNBOUNDED_COLUMNS)
    with console.capture() as drawn:
        console.print(grid)
    if table.title:
        out.write(f"\n{table.title}\n")
    # Cells are padded to their column's width; nobody wants that at a line's end.
    out.writelines(f"{line.rstrip()}\n" for line in drawn.get().splitlines())
