"""
A part of a site: the packs of some runs, and of what these came from.

What is chosen are executions; what is taken are the packs of their runs, as they are, so that what
is taken is complete for reading, has the name that it has everywhere, and nothing is said twice
when a part is widened or sent on. Corrections and notes go along with every part; what a node says
of itself (energy of nobody's) goes with the whole only.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.store.connection import named
from cmfd.sync.peer import Entry, Part, Place, Wanted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

ALL_LEVELS = -1
"""As a depth: everything that led there."""


class Choice(msgspec.Struct, frozen=True):
    """
    What a user wants of a site.

    Attributes
    ----------
    pipeline, stage, user, artifact, where : str
        Executions of these; those that read or wrote the artifact; those that a filter lets pass.
        Empty: any.
    since_ns : int or None
        Those that began since then.
    depth : int
        Runs that made what these read, so many steps up; `ALL_LEVELS` for all.
    """

    pipeline: str = ""
    stage: str = ""
    user: str = ""
    artifact: str = ""
    where: str = ""
    since_ns: int | None = None
    depth: int = 0

    def wanted(self) -> Wanted | None:
        """Return it as one filter; None if it is all."""
        equal = ("pipeline", self.pipeline), ("stage", self.stage), ("user", self.user)
        parts = [f"{field} = {_quoted(value)}" for field, value in equal if value]
        if self.artifact:
            name = _quoted(self.artifact)
            parts.append(f"(input = {name} or output = {name})")
        if self.since_ns is not None:
            since = datetime.fromtimestamp(self.since_ns / 1e9, tz=timezone.utc)
            parts.append(f"began >= {_quoted(since.isoformat())}")
        if self.where:
            # Alone it stays as it was written, and so does the place of an error in it.
            parts.append(f"({self.where})" if parts else self.where)
        return Wanted(" and ".join(parts), self.depth) if parts else None


def _quoted(text: str) -> str:
    import json  # noqa: PLC0415 - not for who wants all

    return json.dumps(text, ensure_ascii=False)


def part_of(db: sqlite3.Connection, wanted: Wanted, *, pipelines: Sequence[str] = ()) -> Part:
    """
    Return the packs of a part of a site.

    Parameters
    ----------
    db : sqlite3.Connection
        From `cmfd.query.index.open_index`. A temporary table is made in it.
    wanted : Wanted
        Which part.
    pipelines : sequence of str
        Of runs all of whose executions are of these, as if there were no others; none: of all.

    Raises
    ------
    FilterError
        The filter cannot be understood.
    """
    from cmfd.query.filter import Filter  # noqa: PLC0415 - only where there is one

    queries = named("site/part")
    chosen = Filter(wanted.where, db, pipelines=pipelines).compiled(by_index=True)
    db.execute(queries["clear"])
    db.execute(queries["make"])

    def added(query: str, parameters: Mapping[str, Any]) -> int:
        """Add runs, and return how many; those that are not to be seen are not there at all."""
        n_added = db.execute(query, parameters).rowcount
        return n_added - (_forget_others(db, pipelines) if pipelines else 0)

    n_runs = added(queries["choose"].replace("{condition}", chosen.sql), chosen.parameters)
    level = n_ancestors = 0
    while (n_up := added(queries["up"], {"level": level})) and level != wanted.depth:
        n_ancestors += n_up
        level += 1
    # The last step was one too far: only how many there are is told.
    db.execute(queries["back"], {"level": level + 1})
    entries = [
        Entry(Place(number, digest, merged_ns), size_bytes)
        for number, digest, merged_ns, size_bytes in db.execute(queries["packs"])
    ]
    return Part(entries, n_runs, n_ancestors, n_left_out=n_up)


def _forget_others(db: sqlite3.Connection, pipelines: Sequence[str]) -> int:
    """Take runs that are not of these pipelines alone out of a part; return how many."""
    names = {f"p{number}": name for number, name in enumerate(pipelines)}
    marks = ", ".join(f":{name}" for name in names)
    return db.execute(named("site/part")["others"].replace("{pipelines}", marks), names).rowcount
