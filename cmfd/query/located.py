"""Where on this machine content is now: where it was ever seen, and is the same still."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cmfd.content.alike import hash_like, is_there
from cmfd.model import INSIDE
from cmfd.query.index import object_of
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


def locate(db: sqlite3.Connection, digest: str, absolute: str) -> tuple[str | None, str]:
    """
    Look for content where it was seen, and in files that had it in them.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    digest : str
        Of the content. Of a slice, what it is a part of is looked for, or the files that it is.
    absolute : str
        Where to look first.

    Returns
    -------
    (str or None, str)
        Where it is, and else why it is nowhere.
    """
    row = db.execute(_sql("members"), {"digest": digest}).fetchone()
    if row is not None:
        return _members(db, object_of(row[0]), absolute)
    places = [row[0] for row in db.execute(_sql("places"), {"digest": digest})]
    changed = []
    for place in dict.fromkeys([absolute, *places]):
        if not is_there(place):
            continue
        found = hash_like(place, digest)
        if found.digest == digest:
            return place, ""
        changed.append(found.problem or f"{place} holds something else now")
    return None, changed[0] if changed else f"not here: {absolute}"


def _members(
    db: sqlite3.Connection, document: dict[str, Any], absolute: str
) -> tuple[str | None, str]:
    """Look for what a slice consists of."""
    found = []
    for digest, place in _parts(document, absolute):
        at, problem = locate(db, digest, place)
        if at is None:
            return None, f"of its parts, {place or digest}: {problem}"
        found.append(at)
    return (os.path.commonpath(found), "") if found else (None, f"not here: {absolute}")


def _parts(document: dict[str, Any], absolute: str) -> Iterator[tuple[str, str]]:
    """Yield digest and place of what a slice consists of: anybody may have written it."""
    if isinstance(document.get("of"), str):
        yield document["of"], absolute.rpartition(INSIDE)[0]
    for one in document.get("files") or ():
        if isinstance(one, list) and list(map(type, one)) == [str, str]:
            yield one[1], one[0]


def is_slice(digest: str) -> bool:
    """Tell whether something is named by its members, and is no file of its own."""
    return digest.startswith("slice:")


def _sql(name: str) -> str:
    return named("query/repro")[name]
