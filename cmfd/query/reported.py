"""Runs and executions as reports of energy and emissions put them together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cmfd.query import parts
from cmfd.query.index import all_rows
from cmfd.query.selection import ANONYMOUS
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cmfd.query.periods import Period
    from cmfd.query.selection import Selection

_BY_RUN = {"by_run": 1}
HOUR_NS = 3_600_000_000_000
"""Of so long times there are sums: see energy_hour in cmfd/store/sql/site."""


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


class Given(NamedTuple):
    """What a pile was given."""

    pile: int
    """Its number; or that of a run, where runs were asked for."""
    component: str
    grade: str
    method: str
    source: str
    uj: int
    static_uj: int


Hour = tuple[int, int, int, int, int, int, int]
"""
Energy of a pile in a time within which no factor of emissions changes, or of one row: the pile's
number (or a run's), that of how what took it came to nothing, that of a node that has the same
factors, the code of the grade's letter, begin and length in nanoseconds, and microjoules.
"""


Product = tuple[int, int, int, int, int, int, int, int, int, int, int, int]
"""
Energy of a pile in hours times their factors: the numbers of the pile, of how it came to nothing,
of a node that has the same factors and of a kind of hours; the code of the grade's letter, and
which part of factors it is; then as of `cmfd.carbon.hours.Product`.
"""


class Span(NamedTuple):
    """When an execution was, of a run that has several."""

    run_id: int
    execution_id: int
    outer_id: int | None
    """What it is nested in."""
    began_ns: int | None
    wall_s: float | None


class Left(NamedTuple):
    """What no run was given."""

    component: str
    source: str
    owner: str
    """``idle`` or ``system``."""
    grade: str
    uj: int
    static_uj: int


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
    asked = {"by": by, "anonymous": ANONYMOUS}
    return list(map(RunLine._make, all_rows(db, named("query/reported")["runs"], asked)))


def named_runs(db: sqlite3.Connection, runs: Iterable[str]) -> set[str]:
    """Return which of some of the chosen runs, by their ids, go by their users' names."""
    asked: dict[str, object] = {"hex_ids": json.dumps(list(runs)), "anonymous": ANONYMOUS}
    return {row[0] for row in _rows(db, "named", **asked)}


def part_lines(db: sqlite3.Connection, by: str) -> list[PartLine]:
    """Return the chosen executions, the latest first."""
    rows = all_rows(db, named("query/reported")["executions"], {"by": by})
    return list(map(PartLine._make, rows))


def hosts(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return chosen runs with each node on which they had processes, as far as these said."""
    return cast("list[tuple[int, str]]", all_rows(db, named("query/reported")["hosts"]))


def metered_nodes(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """Return chosen runs with each node on which they took energy."""
    return cast("list[tuple[int, str]]", all_rows(db, named("query/reported")["nodes"]))


def exclusive(db: sqlite3.Connection) -> set[int]:
    """Return which of the chosen runs had a node for themselves."""
    return {row[0] for row in _rows(db, "exclusive")}


def spans(db: sqlite3.Connection) -> dict[int, list[Span]]:
    """Return when executions were, of those of the chosen runs that have several."""
    found: dict[int, list[Span]] = {}
    for row in map(Span._make, _rows(db, "spans")):
        found.setdefault(row.run_id, []).append(row)
    return found


def known_nodes(db: sqlite3.Connection, node: str | None) -> list[str]:
    """Return the nodes whose energy is counted; at most one, if it is named."""
    return [row[0] for row in _rows(db, "known_nodes", node=node)]


def put_units(db: sqlite3.Connection, units: Iterable[tuple[int, int, int, int]]) -> None:
    """
    Say what the following questions put together.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, after `cmfd.query.selection.choose`.
    units : iterable of tuple
        Runs or executions by their numbers: each with the number of its pile and of how it came to
        nothing (0: it did not), and its wall time in nanoseconds. 0: what is of no execution.
    """
    _put(db, "unit", units)


def put_nodes(db: sqlite3.Connection, nodes: Iterable[tuple[str, int | None, int]]) -> None:
    """
    Say of which nodes the following questions are.

    Parameters
    ----------
    db : sqlite3.Connection
        As for `put_units`.
    nodes : iterable of tuple
        Names, each with the number of its pile (None: it is its unit's) and that of one node that
        has the same factors of emissions.
    """
    _put(db, "node", nodes)


def put_factors(db: sqlite3.Connection, factors: Iterable[tuple[int, int, int, int, int]]) -> None:
    """
    Say by what the energy of hours is multiplied.

    Parameters
    ----------
    db : sqlite3.Connection
        As for `put_units`.
    factors : iterable of tuple
        As of `cmfd.carbon.hours.Factor`.
    """
    _put(db, "factor", factors)


def extent(db: sqlite3.Connection) -> tuple[int, int] | None:
    """Return from when to when chosen runs took energy; None if they took none."""
    first_ns, end_ns = _rows(db, "extent").fetchone()
    return None if first_ns is None else (first_ns, end_ns)


def _put(db: sqlite3.Connection, kind: str, rows: Iterable[tuple[object, ...]]) -> None:
    queries = named("query/reported")
    db.execute(queries[f"make_{kind}s"])
    db.execute("BEGIN")
    try:
        db.execute(queries[f"clear_{kind}s"])
        db.executemany(queries[f"put_{kind}"], rows)
    finally:
        if db.in_transaction:  # SQLite ends it itself after some errors
            db.execute("COMMIT")


class Energies:
    """
    What units were given, after `put_units` and `put_nodes`.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    are_parts : bool
        Units are executions; else, runs.
    by_node : bool
        Not all nodes are asked for, or each by itself.
    node_of_all : int, optional
        One of the nodes, if all have the same factors of emissions.
    """

    def __init__(
        self, db: sqlite3.Connection, *, are_parts: bool, by_node: bool, node_of_all: int | None
    ) -> None:
        self._db = db
        self._is_cut = False
        self._kind = "apart" if by_node else "part" if are_parts else "whole"
        self._readings = "node" if by_node and not are_parts else self._kind
        self._hours_of_all, self._weighed = "hours", "weighed"
        self._asked: dict[str, object] = {"by_parts": are_parts, "by_run": 0}
        if not by_node and node_of_all is not None:
            self._hours_of_all, self._weighed = "together_hours", f"{self._kind}_weighed"
            self._asked["node_of_all"] = node_of_all

    def choose(self, run_ids: Iterable[int] | None, period: Period | None, step_ns: int) -> None:
        """
        Say whose energy the next questions are for.

        Parameters
        ----------
        run_ids : iterable of int, optional
            Runs by their numbers; None: all that were chosen.
        period : Period, optional
            Only what these took in it; they go over its border.
        step_ns : int
            Of the steps in which `hours` will be asked for; 0: it will not.
        """
        queries = named("query/reported")
        chosen = None if run_ids is None else list(run_ids)
        _put(self._db, "run", () if chosen is None else ((run_id,) for run_id in chosen))
        if chosen is None:
            self._db.execute(queries["put_all_runs"])
        self._is_cut = period is not None
        if period is not None:
            parts.cut(self._db, chosen or (), period, is_fine=step_ns % HOUR_NS > 0)

    def sums(self) -> list[Given]:
        """Return what each pile was given."""
        return list(map(Given._make, self._rows(f"{self._kind}_sums", self._asked)))

    def units(self) -> list[tuple[int, int, int, int]]:
        """Return microjoules by pile, unit and run."""
        return self._rows(f"{self._kind}_units", self._asked).fetchall()

    def readings(self) -> list[tuple[int, str, float, float]]:
        """Return, by pile and component, for how many nanoseconds it was read, and was there."""
        return self._rows(f"{self._readings}_readings", {}).fetchall()

    def weighed(self) -> list[Product]:
        """Return energy of hours times their factors, after `put_factors`."""
        return self._rows(self._weighed, self._asked).fetchall()

    def hours(self, step_ns: int) -> list[Hour]:
        """
        Return by pile and time what other energy there is, as `weighed` has it.

        Parameters
        ----------
        step_ns : int
            Factors change at such steps, or more seldom.
        """
        return self._hours(self._hours_of_all, step_ns, self._asked)

    def sums_by_run(self) -> list[Given]:
        """Return what each run was given."""
        return list(map(Given._make, self._rows("apart_sums", self._asked | _BY_RUN)))

    def hours_by_run(self, step_ns: int) -> list[Hour]:
        """Return energy by run and time."""
        return self._hours("hours", step_ns, self._asked | _BY_RUN)

    def _hours(self, query: str, step_ns: int, asked: dict[str, object]) -> list[Hour]:
        if step_ns % HOUR_NS:
            return self._rows("steps", asked | {"step_ns": step_ns}).fetchall()
        return self._rows(query, asked).fetchall()

    def _rows(self, query: str, asked: dict[str, object]) -> sqlite3.Cursor:
        statement = named("query/reported")[query]
        return self._db.execute(parts.of_parts(statement) if self._is_cut else statement, asked)


def unattributed(db: sqlite3.Connection, selection: Selection) -> list[Left]:
    """Return what no run was given in a selection's time, on its node."""
    period = selection.period
    asked = {"node": selection.node, **period._asdict()}
    found = [Left(*row) for row in _rows(db, "unattributed", **asked)]
    if selection.is_of_a_time:
        found += [_left(period, row) for row in _rows(db, "unattributed_at", **asked)]
    return found


def _left(period: Period, row: tuple[Any, ...]) -> Left:
    """Return what of a row is in a time."""
    *whose, t0_ns, dur_ns, uj, static_uj = row
    inside = (parts.within(one, t0_ns, dur_ns, period) for one in (uj, static_uj))
    return Left(*whose, *inside)


def _rows(db: sqlite3.Connection, query: str, **parameters: object) -> sqlite3.Cursor:
    return db.execute(named("query/reported")[query], parameters)
