"""Which runs, and which of their executions, a report is about."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from cmfd.query.index import bindable
from cmfd.query.parts import extents
from cmfd.query.periods import EVER_NS, NEVER_NS, Period, month_name, months
from cmfd.query.results import Result
from cmfd.store.connection import named
from cmfd.store.sums import bring_up_to_date

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


ANONYMOUS = "(others)"
"""In place of the names of other users."""


class Selection(Result, frozen=True, kw_only=True):
    """What a report is narrowed to; what is None narrows nothing."""

    run_id: int | None = None
    """Of `cmfd.query.runs.find`."""
    job: str | None = None
    """Every start of it, every task of an array."""
    user: str | None = None
    account: str | None = None
    project: str | None = None
    """The tag ``project`` of the run or of one of its executions."""
    pipeline: str | None = None
    stage: str | None = None
    """These two narrow to executions, too."""
    node: str | None = None
    """One that took part."""
    artifact_id: int | None = None
    """Of `cmfd.query.subject.artifact`: the executions that wrote it."""
    since_ns: int | None = None
    until_ns: int | None = None
    """Runs that were in this half-open time."""
    when: Literal["began", "ended", "during"] = "began"
    """Those that began in it; that ended in it, or were last heard of; that were there in it."""
    only_uid: int | None = None
    """Only runs of whom the kernel said that."""
    limit: int = -1
    """Only so many of the latest runs; -1: all."""

    @property
    def is_of_parts(self) -> bool:
        """Whether it is of some executions only, not of whole runs."""
        return any(part is not None for part in (self.pipeline, self.stage, self.artifact_id))

    @property
    def period(self) -> Period:
        """The time that it is narrowed to."""
        return Period(
            NEVER_NS if self.since_ns is None else self.since_ns,
            EVER_NS if self.until_ns is None else self.until_ns,
        )

    @property
    def is_of_a_time(self) -> bool:
        """Whether it is narrowed to a time."""
        return self.since_ns is not None or self.until_ns is not None

    @property
    def is_all(self) -> bool:
        """Whether every run of a time is chosen, so that what no run was given belongs to it."""
        narrowed = (self.run_id, self.job, self.user, self.account, self.project, self.only_uid)
        return not self.is_of_parts and self.limit < 0 and all(one is None for one in narrowed)


def choose(db: sqlite3.Connection, selection: Selection) -> None:
    """
    Put what is selected into the temporary tables that the queries of reports read.

    Until the next call, `chosen_run` has the runs, and `chosen_execution` their executions, or
    those of them that are selected.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    selection : Selection
        What is asked for.
    """
    bring_up_to_date(db)
    queries = named("query/chosen")
    is_made = db.execute(queries["is_made"]).fetchone() is not None
    asked = bindable({name: getattr(selection, name) for name in selection.__struct_fields__})
    for table in ("runs", "executions"):
        db.execute(queries[f"{'clear' if is_made else 'make'}_{table}"])
    db.execute("BEGIN")
    try:
        db.execute(queries["choose_runs"], asked)
        if selection.limit >= 0:
            db.execute(queries["keep_latest"], {"limit": selection.limit})
        db.execute(queries["choose_executions"], asked)
    finally:
        if db.in_transaction:  # SQLite ends it itself after some errors
            db.execute("COMMIT")


def hide_others(
    db: sqlite3.Connection, uid: int, by: str, least_users: int | None, *, is_cut: bool = False
) -> int:
    """
    Take other users' runs out of what was chosen, but for groups in which nobody stands out.

    Parameters
    ----------
    db : sqlite3.Connection
        After `choose`.
    uid : int
        Whose runs all stay.
    by : str
        What runs are to be put together by.
    least_users : int, optional
        So many others must be in each of its groups for a run of another to stay, without its
        user's name; None: it never does.
    is_cut : bool
        By month, runs are in each in which they were; else, in that in which they ended.

    Returns
    -------
    int
        How many runs were taken out.
    """
    queries = named("query/chosen")
    found = (
        _in_months(db) if is_cut and by == "month" else db.execute(queries["owners"], {"by": by})
    )
    rows = [row for row in found if row[1] != uid]
    users: dict[object, set[int]] = defaultdict(set)
    for _, owner, group in rows:
        users[group].add(owner)
    enough = {group for group in users if least_users and len(users[group]) >= least_users}
    hidden = {row[0] for row in rows if by == "run" or row[2] not in enough}
    ids = {"ids": json.dumps(list(hidden))}
    db.execute(queries["hide_executions"], ids)
    db.execute(queries["hide"], ids)
    db.execute(queries["hide_users"], {"uid": uid, "anonymous": ANONYMOUS})
    return len(hidden)


def _in_months(db: sqlite3.Connection) -> Iterator[tuple[int, int, str]]:
    """Yield whose the runs are, and in which month each was, or took energy."""
    energy = extents(db)
    for run_id, uid, began_ns, ended_ns in db.execute(named("query/chosen")["spans"]).fetchall():
        first_ns, end_ns = energy.get(run_id, (began_ns, ended_ns))
        for month in months(min(began_ns, first_ns), max(ended_ns, end_ns)):
            yield run_id, uid, month_name(month.since_ns)
