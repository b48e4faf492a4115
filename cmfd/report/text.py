"""Tables and lines for people; rich is imported only when a table is drawn."""

from __future__ import annotations

import sys
from itertools import compress
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

UNBOUNDED_COLUMNS = 10_000
"""Width of what goes into a file or pipe: lines there are neither cut nor folded."""


_GAP = 2
"""Blanks between columns."""

_LEAST_TEXT = 16
"""A column of texts is never folded to less; figures are never folded."""


class Column(NamedTuple):
    """A table's column; figures stand at the right."""

    heading: str
    right: bool = False
    short: bool = False
    """The beginning of its cells is enough where there is no room for all: a digest's."""


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

    Where even that is too little for its figures, lines are longer than the terminal is wide.

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
    used = [any(cells) for cells in zip(*table.rows, strict=True)] or [True] * len(table.columns)
    columns = list(compress(table.columns, used))
    rows = [[printable(cell) for cell in compress(row, used)] for row in table.rows]
    out = stream or sys.stdout
    console = Console(file=out, width=None if out.isatty() else UNBOUNDED_COLUMNS)
    widths = _widths(columns, rows, console.width)
    console.size = (max(console.width, sum(widths) + _GAP * len(widths)), console.height)
    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    widths[-1] -= _GAP  # rich leaves out the padding of the last column, but gives it its room
    for column, width in zip(columns, widths, strict=True):
        grid.add_column(
            column.heading, justify="right" if column.right else "left", width=width,
            overflow="ellipsis" if column.short else "fold", no_wrap=column.short,
        )  # fmt: skip
    for row in rows:
        grid.add_row(*map(Text, row))
    with console.capture() as drawn:
        console.print(grid)
    if table.title:
        out.write(f"\n{table.title}\n")
    # Cells are padded to their column's width; nobody wants that at a line's end.
    out.writelines(f"{line.rstrip()}\n" for line in drawn.get().splitlines())


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return how wide columns are: short ones give way first, then the widest, till all fit."""
    from rich.cells import cell_len  # noqa: PLC0415 - as above

    cells = [max((cell_len(row[i]) for row in rows), default=0) for i in range(len(columns))]
    words = [max(map(cell_len, column.heading.split()), default=0) for column in columns]
    wanted = [
        max(cell, cell_len(column.heading)) for cell, column in zip(cells, columns, strict=True)
    ]
    least = [
        max(word, cell if column.right else min(cell, _LEAST_TEXT))
        for word, cell, column in zip(words, cells, columns, strict=True)
    ]
    excess = sum(wanted) + _GAP * (len(wanted) - 1) - max(room, 0)
    while excess > 0 and wanted != least:
        _, _, widest = max(
            (columns[i].short, width, i) for i, width in enumerate(wanted) if width > least[i]
        )
        wanted[widest] -= 1
        excess -= 1
    return wanted
