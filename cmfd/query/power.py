"""What chosen runs drew over time, all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.periods import Period

_MINUTE_NS = 60_000_000_000


class Drawn(NamedTuple):
    """Energy of a component in a step of time."""

    node: str
    """One of the nodes that it is of."""
    component: str
    t0_ns: int
    dur_ns: int
    uj: int


def drawn(db: sqlite3.Connection, n_steps: int, node: str | None, period: Period) -> list[Drawn]:
    """
    Return the energy of chosen runs in steps of whole minutes.

    A row of energy belongs to the step in which it began: rows are of a minute, mostly.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, after `cmfd.query.selection.choose`.
    n_steps : int
        At most so many.
    node : str, optional
        Only of this one.
    period : Period
        Only of rows that began in it.
    """
    queries = named("query/power")
    narrowed = {"node": node, **period._asdict()}
    first_ns, end_ns = db.execute(queries["span"], narrowed).fetchone()
    if first_ns is None:
        return []
    n_minutes = -(-max(end_ns - first_ns, 1) // (n_steps * _MINUTE_NS))
    asked = narrowed | {"first_ns": first_ns, "step_ns": n_minutes * _MINUTE_NS}
    return list(map(Drawn._make, db.execute(queries["power"], asked)))
