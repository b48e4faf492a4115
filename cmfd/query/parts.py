"""
What runs took within a time over whose border they go.

Rows of energy are of a minute, mostly. One over the border is divided there by time, whole
microjoules to either side: so what was taken in times that adjoin adds up to the whole, exactly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cmfd.store.connection import named
from cmfd.store.sums import temporary

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cmfd.query.periods import Period

_TABLES = re.compile(
    r"\b(energy|energy_day|energy_hour|run_energy|run_reading|run_hour|batch_run)\b"
)
_CLEARED = (
    "run", "day", "key", "energy", "energy_day", "energy_hour", "run_energy", "run_reading",
    "run_hour",
)  # fmt: skip
_LIKE_SUMS = ("energy_day", "run_energy", "run_reading", "run_hour")
_FILLED = ("days", "keys", "energy")
_FROM_ROWS = ("energy_day", "energy_hour")
_FROM_DAYS = ("run_6", "run_8", "run_10")
"""The statements of sums.sql that add days and hours up."""

_T0, _DUR, _UJ, _N_DIVIDED = 4, 5, 6, 3
"""Columns of a row: its time, and the amounts that are divided."""


def extents(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Return from when to when each run that `cmfd.query.selection.choose` chose took energy."""
    rows = db.execute(named("query/parts")["extents"])
    return {run_id: (first_ns, end_ns) for run_id, first_ns, end_ns in rows}


def of_parts(statement: str) -> str:
    """Return a question for sums, asked of what `cut` leaves."""
    return _TABLES.sub(r"part_\1", statement)


def cut(db: sqlite3.Connection, run_ids: Iterable[int], period: Period, *, is_fine: bool) -> None:
    """
    Put what some runs took within a time into temporary tables that are like those of sums.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, whose sums are up to date.
    run_ids : iterable of int
        The runs, by their numbers.
    period : Period
        The time.
    is_fine : bool
        All rows are needed, not only those of the days at its borders.
    """
    queries = named("query/parts")
    for name, statement in queries.items():
        if name.startswith("make_"):
            db.execute(statement)
    for table in _LIKE_SUMS:
        db.execute(temporary(table, f"part_{table}"))
    asked = {"since_ns": period.since_ns, "until_ns": period.until_ns}
    db.execute("BEGIN")
    try:
        for table in _CLEARED:
            db.execute(queries[f"clear_{table}"])
        db.executemany(queries["put_run"], ((run_id,) for run_id in run_ids))
        for table in _FILLED:
            db.execute(queries[f"fill_{table}"], asked | {"is_fine": int(is_fine)})
        crossing = db.execute(queries["crossing"], asked).fetchall()
        db.executemany(queries["put_row"], (_row_within(row, period) for row in crossing))
        for table in _FROM_ROWS:
            db.execute(queries[f"fill_{table}"])
        for name in _FROM_DAYS:
            db.execute(of_parts(named("site/sums")[name]))
    finally:
        if db.in_transaction:  # SQLite ends it itself after some errors
            db.execute("COMMIT")


def within(amount: int, t0_ns: int, dur_ns: int, period: Period) -> int:
    """
    Return what of an amount that is spread evenly over a time is within another one.

    Parameters
    ----------
    amount : int
        Not negative.
    t0_ns, dur_ns : int
        The time that it is spread over; without a length, it is all where it begins.
    period : Period
        The other one. Parts of times that adjoin add up to the whole.
    """
    if not dur_ns:
        return amount if period.since_ns <= t0_ns < period.until_ns else 0
    return _before(amount, t0_ns, dur_ns, period.until_ns) - _before(
        amount, t0_ns, dur_ns, period.since_ns
    )


def _before(amount: int, t0_ns: int, dur_ns: int, at_ns: int) -> int:
    """Return what is before an instant, rounded down."""
    return amount * min(max(at_ns - t0_ns, 0), dur_ns) // dur_ns


def _row_within(row: tuple[Any, ...], period: Period) -> tuple[Any, ...]:
    t0_ns, dur_ns = row[_T0], row[_DUR]
    since_ns, until_ns = max(t0_ns, period.since_ns), min(t0_ns + dur_ns, period.until_ns)
    inside = (within(one, t0_ns, dur_ns, period) for one in row[_UJ : _UJ + _N_DIVIDED])
    return (*row[:_T0], since_ns, until_ns - since_ns, *inside, *row[_UJ + _N_DIVIDED :])
