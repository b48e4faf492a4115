"""Notes as lines and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cmfd.query.notes import Standing
    from cmfd.query.results import Note


def standing_lines(found: Standing) -> dict[str, str]:
    """Return what counts of what was said of something, by what it is called."""
    return {
        "label": found.label,
        "tags": ", ".join(found.tags),
        "TAINTED": "" if found.tainted is None else found.tainted or "no reason given",
    }


def notes_table(notes: Sequence[Note], names: Mapping[str, str] | None = None) -> Table:
    """
    Make a table of notes.

    Parameters
    ----------
    notes : sequence of Note
        As they were said.
    names : mapping of str to str, optional
        What to call the things they are on; without it, they are all on one thing.
    """
    columns = [Column("at"), Column("author"), Column("kind"), Column("text")]
    rows = [
        (units.when(one.at_ns), f"{one.author} ({one.uid})", one.kind, one.text) for one in notes
    ]
    if names is None:
        return Table(columns, rows, "notes")
    about = [
        (names.get(one.subject, one.subject), *row) for one, row in zip(notes, rows, strict=True)
    ]
    return Table([Column("about"), *columns], about, "notes")
