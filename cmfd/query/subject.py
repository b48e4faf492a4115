"""Which artifact or execution a person means."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd import identity
from cmfd.content.files import hash_path
from cmfd.content.quick import quick_hash
from cmfd.errors import NotFoundError
from cmfd.query import runs
from cmfd.query.index import bindable
from cmfd.query.walk import Start
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_MOST_CANDIDATES = 10
_BARE = re.compile(r"[0-9a-fA-F]{6,64}(\.dir)?")
"""What may be a digest or its beginning without its algorithm."""
_ALGORITHMS = ("md5", "hdf5", "slice", "quick", "stat", "mlmd", "sha256")
_RUNS = re.compile(r"last|@-\d+")


class Subject(NamedTuple):
    """An artifact or execution by its number in this index, and by its own name."""

    start: Start
    name: str
    """The digest, or the execution's id."""


def subject(db: sqlite3.Connection, text: str) -> Subject:
    """
    Find the artifact or execution that a person means.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    text : str
        As for `artifact`, or as for `execution`. What is both is an error.

    Raises
    ------
    NotFoundError
        Nothing or several things go by it; the message lists them.
    """
    if not _RUNS.fullmatch(text) and (found := _artifacts(db, text)):
        others = _executions(db, text) if _BARE.fullmatch(text) and not Path(text).exists() else []
        return _only(text, found + others)
    if not _RUNS.fullmatch(text) and (found := _executions(db, text)):
        return _only(text, found)
    try:
        run_id = runs.find(db, text)
    except NotFoundError as error:
        raise NotFoundError(f"No artifact or execution goes by {text!r}. {error}") from None
    return _of_run(db, text, run_id)


def anything(db: sqlite3.Connection, text: str) -> str:
    """
    Find the artifact, execution or run that a person means.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    text : str
        As for `artifact`, `execution` or `cmfd.query.runs.find`.

    Returns
    -------
    str
        The digest, or the id.

    Raises
    ------
    NotFoundError
        Nothing or several things go by it; the message lists them.
    """
    is_run = _RUNS.fullmatch(text)
    if not is_run and (found := _artifacts(db, text) or _executions(db, text)):
        return _only(text, found).name
    try:
        return runs.run_of(db, runs.find(db, text)).run
    except NotFoundError as error:
        raise NotFoundError(f"No artifact or execution goes by {text!r}. {error}") from None


def artifact(db: sqlite3.Connection, text: str) -> Subject:
    """
    Find the artifact that a person means.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    text : str
        A digest or its beginning, with or without ``md5:``; a file or directory, which is read, so
        that it is known by what it holds now; a path as an execution recorded it.

    Raises
    ------
    NotFoundError
        No artifact or several go by it; the message lists them.
    """
    if found := _artifacts(db, text):
        return _only(text, found)
    raise NotFoundError(
        f"No artifact goes by {text!r} here. `cmfd artifacts list` lists those there are."
    )


def execution(db: sqlite3.Connection, text: str) -> Subject:
    """
    Find the execution that a person means.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    text : str
        Its id or the beginning of it, or what names a run (see `cmfd.query.runs.find`) that has
        one execution only. A job id goes before the beginning of an id.

    Raises
    ------
    NotFoundError
        No execution or several go by it; the message lists them.
    """
    if not _RUNS.fullmatch(text) and (found := _executions(db, text)):
        return _only(text, found)
    return _of_run(db, text, runs.find(db, text))


def _of_run(db: sqlite3.Connection, text: str, run_id: int) -> Subject:
    rows = _rows(db, "executions_of_run", run_id=run_id)
    if not rows:
        raise NotFoundError(f"Of run {text!r} no execution is known here.")
    if len(rows) == 1:
        return _as_execution(rows[0])
    lines = [f"{row[1]}  {row[2]}.{row[3]}" for row in rows]
    raise NotFoundError(f"{text!r} may be any execution of that run:\n{_listed(lines)}")


def _artifacts(db: sqlite3.Connection, text: str) -> list[Subject]:
    """Return the artifacts that go by a name: by the surest of the ways that find any."""
    algorithm, colon, rest = text.partition(":")
    if colon and algorithm in _ALGORITHMS:
        return _by_digest(db, f"{algorithm}:{rest.lower()}")
    if Path(text).exists():
        return _by_content(db, text)
    absolute = os.path.abspath(text)  # noqa: PTH100 - as recorded: links are not resolved
    pieces = absolute.split("/")
    ends = ["/".join(pieces[i:]) for i in range(1, len(pieces))]
    rows = _rows(
        db, "artifacts_named", path=text, absolute=absolute,
        paths=_json([text, absolute, *ends]),
    )  # fmt: skip
    if rows:
        return [_as_artifact(row) for row in rows]
    if not _BARE.fullmatch(text):
        return []
    return [one for name in _ALGORITHMS for one in _by_digest(db, f"{name}:{text.lower()}")]


def _by_digest(db: sqlite3.Connection, digest: str) -> list[Subject]:
    """Return the artifacts whose digest is this one, or else begins like it."""
    rows = _rows(db, "artifact", digest=digest)
    query = "artifacts_strong" if digest.startswith("sha256:") else "artifacts_between"
    return [
        _as_artifact(row)
        for row in rows or _rows(db, query, low=digest, high=f"{digest}\U0010ffff")
    ]


def _by_content(db: sqlite3.Connection, path: str) -> list[Subject]:
    """Return the artifact that a file or directory is."""
    hashed = hash_path(path)
    if hashed.problem:
        raise NotFoundError(f"{path} cannot be read to know it by its content: {hashed.problem}.")
    if found := _rows(db, "artifact", digest=hashed.digest):
        return [_as_artifact(row) for row in found]
    if found := _rows(db, "artifact", digest=quick_hash(path).digest):
        return [_as_artifact(row) for row in found]
    absolute = os.path.abspath(path)  # noqa: PTH100 - as above
    known = _rows(
        db, "artifacts_named", path=path, absolute=absolute, paths=_json([path, absolute])
    )
    former = f" Under this name was recorded:\n{_listed(row[1] for row in known)}" if known else ""
    raise NotFoundError(f"No execution used what {path} holds now ({hashed.digest}).{former}")


def _executions(db: sqlite3.Connection, text: str) -> list[Subject]:
    """Return the executions whose ids begin so; none where it is the number of a job."""
    try:
        low, high = identity.prefix_range(text)
    except NotFoundError:
        return []
    if _rows(db, "is_job", job=text):
        return []
    return [_as_execution(row) for row in _rows(db, "executions_between", low=low, high=high)]


def _rows(db: sqlite3.Connection, query: str, **parameters: object) -> list[Any]:
    limited = bindable({"limit": _MOST_CANDIDATES + 1, **parameters})
    return db.execute(named("query/subject")[query], limited).fetchall()


def _json(texts: list[str]) -> str:
    import json  # noqa: PLC0415 - one of several ways

    return json.dumps(texts, ensure_ascii=False)


def _as_artifact(row: Any) -> Subject:
    return Subject(Start(is_execution=False, id=row[0]), row[1])


def _as_execution(row: Any) -> Subject:
    return Subject(Start(is_execution=True, id=row[0]), row[1])


def _only(text: str, found: list[Subject]) -> Subject:
    if len(found) == 1:
        return found[0]
    lines = [
        f"{'execution' if one.start.is_execution else 'artifact'}  {one.name}" for one in found
    ]
    raise NotFoundError(f"{text!r} may be any of these:\n{_listed(lines)}")


def _listed(lines: Iterable[str]) -> str:
    every = [f"  {line}" for line in lines]
    more = ["  ..."] if len(every) > _MOST_CANDIDATES else []
    return "\n".join(every[:_MOST_CANDIDATES] + more)
