"""What people said of artifacts, executions and runs, and what of it counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cmfd.model import NoteKind
from cmfd.query.results import Note, Result
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


class Standing(Result, frozen=True, kw_only=True):
    """What counts of all that was said of one thing."""

    tainted: str | None
    """Why it is tainted; None: it is not."""
    tags: list[str]
    label: str


def notes_of(db: sqlite3.Connection, subjects: Iterable[str]) -> list[Note]:
    """
    Return all that was said of some things, as it was said.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    subjects : iterable of str
        Digests of artifacts, ids of executions and runs in hexadecimal.
    """
    cursor = db.execute(_sql("of"), {"subjects": json.dumps(list(subjects))})
    names = [column[0] for column in cursor.description]
    return [Note(**dict(zip(names, row, strict=True))) for row in cursor]


def notes_of_run(db: sqlite3.Connection, run_id: int) -> list[Note]:
    """Return all that was said of a run, its executions, and what those read or wrote."""
    return notes_of(db, [row[0] for row in db.execute(_sql("of_run"), {"run_id": run_id})])


def standing(notes: Iterable[Note]) -> Standing:
    """Return what counts of the notes on one thing: of those that contradict, the last."""
    tainted, label = None, ""
    tags: dict[str, None] = {}
    for note in notes:
        kind = NoteKind(note.kind)
        if kind in (NoteKind.TAINTED, NoteKind.CLEARED):
            tainted = note.text if kind is NoteKind.TAINTED else None
        elif kind is NoteKind.LABEL:
            label = note.text
        elif kind is NoteKind.TAG:
            tags[note.text] = None
        elif kind is NoteKind.UNTAG:
            tags.pop(note.text, None)
    return Standing(tainted=tainted, tags=sorted(tags), label=label)


def tainted(db: sqlite3.Connection, subjects: Iterable[str]) -> dict[str, str]:
    """Return which of some things are tainted, and why."""
    return dict(db.execute(_sql("tainted"), {"subjects": json.dumps(list(subjects))}).fetchall())


def _sql(name: str) -> str:
    return named("query/notes")[name]
