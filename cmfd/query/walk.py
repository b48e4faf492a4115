"""
What can be reached from an artifact or execution along the events of a site, asked of its index.

SQLite walks, a level a statement, into tables in memory: shortest paths come with it, and large
answers take no longer than a bare recursive query for the same set, which knows no paths.
"""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

UNLIMITED = 1 << 40
"""As a depth or number: more than there are."""


class Way(enum.Enum):
    """Against or with the stream of data: the events that lead to executions, and out of them."""

    UP = ("output", "input")
    DOWN = ("input", "output")


class Start(NamedTuple):
    """Where to begin, by its number in this index."""

    is_execution: bool
    id: int


class Bounds(NamedTuple):
    """How far to go."""

    depth: int = UNLIMITED
    """The most executions on a path."""
    until_ns: int | None = None
    """Only along executions that began by then."""


class Step(NamedTuple):
    """A node that was reached, and from where."""

    id: int
    depth: int
    """Executions on a shortest path to it, the start not counted."""
    via: int | None
    """
    The node before it on such a path; None for the start.

    Of an artifact, an execution, or negative: an artifact that this one is part of, or the other
    way round. Of an execution, an artifact, or negative: an execution that this one is nested in,
    or that is nested in this one; or that this one goes on from, or the other way round.
    """


def steps(numbers: Iterable[int], depths: Iterable[int], vias: Iterable[int | None]) -> list[Step]:
    """Make steps, in a third of the time that it takes one by one."""
    return list(map(_of_tuple, zip(numbers, depths, vias, strict=True)))


_of_tuple: Callable[[tuple[int, int, int | None]], Step] = partial(tuple.__new__, Step)


class Reach(NamedTuple):
    """All that was reached, the start included, nearest first."""

    artifacts: list[Step]
    executions: list[Step]


def walk(
    db: sqlite3.Connection,
    start: Start,
    way: Way,
    bounds: Bounds = Bounds(),  # noqa: B008 - a tuple
    *,
    most: int = UNLIMITED,
) -> Reach | None:
    """
    Walk from an artifact or execution, and return what was reached.

    Nested executions belong to what they are nested in: who reads what an execution read, also
    reads what was read within it, and so with what was written. Content that is part of other
    content is reached with it, and what has a reached part in it is reached, too; its other parts
    are not. An execution that goes on from another one is one farther than that.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, in a transaction. Until the next walk, its temporary tables
        `reached_artifact`, `reached_around`, `reached_execution` and `reached_outer` have the
        answer for further queries.
    start : Start
        Where to begin.
    way : Way
        To ancestors or descendants.
    bounds : Bounds
        How far.
    most : int
        Give up, and return None, where more than this is reached.
    """
    queries = named("query/walk")
    ignored: list[tuple[int]] = []
    while True:
        prepare(db, start, ignored)
        if not _go(db, way, 0 if start.is_execution else 1, bounds, most):
            return None
        superseded = db.execute(queries["superseded"]).fetchall()
        if not superseded:
            break
        ignored += superseded
    whole = list(map(Step._make, db.execute(queries["artifacts"])))
    around = list(map(Step._make, db.execute(queries["around"])))
    return Reach(
        nearest(whole, around) if around else whole,
        list(map(Step._make, db.execute(queries["executions"]))),
    )


def prepare(db: sqlite3.Connection, start: Start, ignored: list[tuple[int]]) -> None:
    """Make the tables, with the start in them and what is not to be reached."""
    queries = named("query/walk")
    is_made = db.execute(queries["is_made"]).fetchone() is not None
    for table in ("artifacts", "executions", "outer", "around"):
        for action in ("clear",) if is_made else ("make", "index"):
            db.execute(queries[f"{action}_{table}"])
    kind = "execution" if start.is_execution else "artifact"
    db.execute(queries[f"begin_{kind}"], {"id": start.id})
    db.executemany(queries["ignore_artifact"], ignored)


def _go(db: sqlite3.Connection, way: Way, first: int, bounds: Bounds, most: int) -> bool:
    """Go on level by level until nothing new is reached, or too much."""
    queries = named("query/walk")
    into, out_of = way.value

    def has(what: str) -> bool:
        return db.execute(queries[f"has_{what}"]).fetchone() is not None

    has_nested, has_links = map(has, ("nested", "links"))
    on = "to_earlier" if way is Way.UP else "to_later"
    to_others = [on] * has("continued") + [f"{on}_start"] * has("restarted")
    to_executions = ["to_executions", *("around_to_executions",) * has_links]
    to_executions += to_others
    to_artifacts = ["to_artifacts", *("outer_to_artifacts",) * has_nested]
    n_reached = 0
    if first and has_links:
        _spread(db, 0)
    for level in range(first, bounds.depth + 1):
        known = {"depth": level, "into": into, "out_of": out_of, "until_ns": bounds.until_ns}

        def go(*names: str, known: dict[str, object] = known) -> int:
            return sum(db.execute(queries[name], known).rowcount for name in names)

        n_new = go(*to_executions) if level else 1
        if not n_new:
            return True
        if has_nested:
            n_new += go("to_inner", "to_outer")
        n_artifacts = go(*to_artifacts)
        n_reached += n_new + n_artifacts
        if n_reached > most:
            return False
        if not n_artifacts and not to_others:
            return True
        if has_links:
            _spread(db, level)
    return True


def _spread(db: sqlite3.Connection, depth: int) -> None:
    """Go from what was reached at a depth to its parts, and from these to what they are part of."""
    queries = named("query/walk")
    for name in ("to_parts", "to_overlapping", "to_wholes"):
        db.execute(queries[name], {"depth": depth})


def nearest(whole: list[Step], around: list[Step]) -> list[Step]:
    """Return each artifact once, where it is nearest, be it all of it or only some."""
    before = {step.id: step for step in whole}
    found = dict(before)
    for step in around:
        if step.id not in before or step.depth < before[step.id].depth:
            found[step.id] = step
    # Its parts have been reached by what reached all of it, not by what reached some of it before.
    for step in whole:
        last = step
        while last.via is not None and last.via < 0 and found[-last.via].depth < last.depth:
            last = before[-last.via]
        if last is not step and found[step.id] is step:
            found[step.id] = step._replace(via=last.via)
    return sorted(found.values(), key=lambda step: (step.depth, step.id))
