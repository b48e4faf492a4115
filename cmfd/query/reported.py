"""Runs and executions as reports of energy and emissions put them together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query.selection import ANONYMOUS
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.selection import Selection


class RunLine(NamedTuple):
    """A chosen run."""

    run_id: int
    run: str
    user: str
    job: str
    """These three only where runs are told one by one; else empty."""
    uid: int | None
    is_anonymous: int
    """Another user's, shown without a name."""
    state: str
    """The batch system's word; else the run's status."""
    began_ns: int
    wall_s: float | None
    cores: int | None
    gpus: int | None
    name: str
    """What it is put together by, where that is one thing of the run's."""


class PartLine(NamedTuple):
    """A chosen execution."""

    run_id: int
    execution_id: int
    status: str
    began_ns: int
    wall_s: float | None
    pipeline: str
    stage: str
    is_nested: int
    """In another one that is put together with it."""


class Meter(NamedTuple):
    """What was read on a node."""

    node: str
    component: str
    domain: str
    source: str


class Given(NamedTuple):
    """What a run was given of one meter."""

    run_id: int
    meter_id: int
    grade: str
    method: str
    uj: int
    static_uj: int
    dur_ns: int
    covered_ns: int
    is_alone: bool = True
    """No other row is of this run and meter."""
    execution_id: int = 0
    """0: of none, or of any."""
    first_ns: int = 0
    end_ns: int = 0
    """From when to when; 0 where it was not asked for by steps or executions."""


class Left(NamedTuple):
    """What no run was given."""

    component: str
    source: str
    owner: str
    """``idle`` or ``system``."""
    grade: str
    uj: int
    static_uj: int
    method: str = ""


def run_lines(db: sqlite3.Connection, by: str) -> list[RunLine]:
    """
    Return the runs that `cmfd.query.selection.choose` chose, the latest first.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by : str
        What they are put together by.
    """
    return list(map(RunLine._make, _rows(db, "runs", by=by, anonymous=ANONYMOUS)))


def part_lines(db: sqlite3.Connection, by: str) -> list[PartLine]:
    """Return the chosen executions, the latest first."""
    return list(map(PartLine._make, _rows(db, "executions", by=by)))


def hosts(db: sqlite3.Connection) -> dict[int, list[str]]:
    """Return on which nodes processes of each chosen run were, as far as they said."""
    found: dict[int, list[str]] = {}
    for run_id, node in _rows(db, "hosts"):
        found.setdefault(run_id, []).append(node)
    return found


def meters(db: sqlite3.Connection) -> dict[int, Meter]:
    """Return the meters whose energy is counted, by their numbers here."""
    return {row[0]: Meter._make(row[1:]) for row in _rows(db, "meters")}


def given(db: sqlite3.Connection, *, by_parts: bool, step_ns: int | None) -> list[Given]:
    """
    Return what the chosen runs were given.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    by_parts : bool
        Apart for each execution.
    step_ns : int, optional
        Apart for each such step of time, from 1970 on.
    """
    apart: dict[str, object] = {
        "by_parts": by_parts, "step_ns": step_ns or _EVER_NS, "run_ids": None
    }  # fmt: skip
    if by_parts or step_ns:
        return list(map(_apart, _rows(db, "given_apart", **apart)))
    found: list[Given] = []
    mixed: set[tuple[int, int]] = set()
    for run_id, meter_id, least, most, *sums in _rows(db, "given"):
        if least == most:
            found.append(Given(run_id, meter_id, *_KNOWN[least], *sums))
        else:
            mixed.add((run_id, meter_id))
    if mixed:
        apart["run_ids"] = json.dumps(sorted({run_id for run_id, _ in mixed}))
        rows = _rows(db, "given_apart", **apart).fetchall()
        found += [_apart(row) for row in rows if row[:2] in mixed]
    return found


def _apart(row: tuple[int, ...]) -> Given:
    run_id, meter_id, known, execution_id, uj, static_uj, dur_ns, covered_ns, first, end = row
    grade, method = _KNOWN[known]
    return Given(
        run_id, meter_id, grade, method, uj, static_uj, dur_ns, covered_ns,
        is_alone=False, execution_id=execution_id, first_ns=first, end_ns=end,
    )  # fmt: skip


class _Known(dict[int, tuple[str, str]]):
    """Grades and methods by the number that queries return for them."""

    def __missing__(self, number: int) -> tuple[str, str]:
        self[number] = found = chr(number >> 7), _METHODS.get(chr(number & 127), "")
        return found


_METHODS = {
    name[0]: name for name in ("exclusive", "shared_static_dynamic", "alloc_only", "rank_pids")
}
_KNOWN = _Known()
_EVER_NS = 4_000_000_000_000_000_000


def unattributed(db: sqlite3.Connection, selection: Selection) -> list[Left]:
    """Return what no run was given in a selection's time, on its node."""
    bounds = {key: getattr(selection, key) for key in ("node", "since_ns", "until_ns")}
    return [Left(*row) for row in _rows(db, "unattributed", **bounds)]


def _rows(db: sqlite3.Connection, query: str, **parameters: object) -> sqlite3.Cursor:
    return db.execute(named("query/reported")[query], parameters)
