"""Where the content of artifacts may be had: places it was seen at, DVC repositories it was in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cmfd.query import artifacts, runs
from cmfd.query.results import Result
from cmfd.query.subject import Subject
from cmfd.query.walk import Start
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3


class Kept(Result, frozen=True, kw_only=True):
    """An artifact, and where to look for its content."""

    digest: str
    path: str
    """Under which name it is wanted."""
    places: list[str]
    """Absolute paths at which it was seen, on any machine."""
    tracked: list[dict[str, str]]
    """What is known of DVC repositories that track it; see `cmfd.dvc.lookup.provenance`."""


def kept(db: sqlite3.Connection, subject: Subject) -> Kept:
    """
    Return where an artifact may be had, under the name it was seen by first.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    subject : Subject
        From `cmfd.query.subject.artifact`.
    """
    uses = artifacts.detail(db, subject).uses
    tracked = [_texts(use.properties.get("dvc")) for use in uses]
    return Kept(
        digest=subject.name,
        path=uses[0].path if uses else "",
        places=list(dict.fromkeys(use.absolute for use in uses if use.absolute)),
        tracked=[one for n, one in enumerate(tracked) if one and one not in tracked[:n]],
    )


def _texts(value: Any) -> dict[str, str]:
    """Return what is text of a mapping: whoever logged it may have said anything."""
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}


def inputs_kept(db: sqlite3.Connection, subject: Subject) -> list[Kept]:
    """
    Return where the inputs of an execution may be had, under the names by which it read them.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    subject : Subject
        From `cmfd.query.subject.execution`.
    """
    (run_id,) = db.execute(named("query/repro")["run_id"], {"id": subject.start.id}).fetchone()
    found = []
    for one in runs.artifacts(db, run_id):
        if one.execution == subject.name and one.direction == "input":
            named_so = {"digest": one.digest, "limit": 1}
            row = db.execute(named("query/subject")["artifact"], named_so).fetchone()
            known = kept(db, Subject(Start(is_execution=False, id=row[0]), one.digest))
            found.append(replace(known, path=one.path))
    return found
