"""Which artifacts there are, and what one is: names, places, who wrote and who read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cmfd.query.index import object_of
from cmfd.query.notes import Standing, notes_of, standing
from cmfd.query.results import Note, Result
from cmfd.query.subject import Subject
from cmfd.query.walk import Start
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3


class KnownArtifact(Result, frozen=True, kw_only=True):
    """An artifact, under the name and kind of its earliest event."""

    digest: str
    strong: str | None
    size_bytes: int | None
    n_files: int | None
    kind: str | None
    path: str | None
    n_paths: int
    """Under how many names it is known."""
    n_producers: int
    n_consumers: int


class Use(Result, frozen=True, kw_only=True):
    """An execution that wrote or read an artifact."""

    execution: str
    pipeline: str
    stage: str
    direction: str
    kind: str
    path: str
    absolute: str
    host: str
    problem: str
    properties: dict[str, Any]
    at_ns: int


class ArtifactDetail(Result, frozen=True, kw_only=True):
    """An artifact, all its uses and all that was said of it, in the order of time."""

    artifact: KnownArtifact
    uses: list[Use]
    standing: Standing
    notes: list[Note]


def newest(  # noqa: PLR0913 - filters, each by name
    db: sqlite3.Connection,
    *,
    limit: int = 20,
    kind: str | None = None,
    name: str | None = None,
    pipeline: str | None = None,
    direction: str | None = None,
) -> list[KnownArtifact]:
    """
    Return artifacts, those of the latest executions first.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    limit : int
        How many at most; -1: all.
    kind : str, optional
        Of `cmfd.model.ArtifactKind`.
    name : str, optional
        A part of a path.
    pipeline : str, optional
        Only what its executions wrote or read.
    direction : str, optional
        ``output``: only what was written, ``input``: only what was read.
    """
    asked = {"kind": kind, "name": name, "pipeline": pipeline, "direction": direction}
    ids: dict[int, None] = {}
    for (number,) in db.execute(_sql("newest"), asked):
        if len(ids) == limit:
            break
        ids[number] = None
    return _known(db, list(ids))


def detail(db: sqlite3.Connection, subject: Subject) -> ArtifactDetail:
    """Return an artifact with all its uses; from `cmfd.query.subject.artifact`."""
    cursor = db.execute(_sql("uses"), {"id": subject.start.id})
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    notes = notes_of(db, [subject.name])
    return ArtifactDetail(
        artifact=_known(db, [subject.start.id])[0],
        uses=[Use(**{**row, "properties": object_of(row["properties"])}) for row in rows],
        standing=standing(notes),
        notes=notes,
    )


def quick_only(db: sqlite3.Connection) -> list[Subject]:
    """Return the artifacts that are known by a quick digest, and by nothing else."""
    return [
        Subject(Start(is_execution=False, id=number), digest)
        for number, digest in db.execute(_sql("quick_only"))
    ]


def with_bytes_known(db: sqlite3.Connection, found: list[Subject]) -> set[str]:
    """Return which digests are of all bytes, or of content that has such a digest, too."""
    ids = json.dumps([one.start.id for one in found])
    return {row[0] for row in db.execute(_sql("with_bytes_known"), {"ids": ids})}


def _known(db: sqlite3.Connection, ids: list[int]) -> list[KnownArtifact]:
    cursor = db.execute(_sql("artifacts"), {"ids": json.dumps(ids)})
    names = [column[0] for column in cursor.description]
    return [KnownArtifact(**dict(zip(names, row, strict=True))) for row in cursor]


def _sql(name: str) -> str:
    return named("query/list_artifacts")[name]
