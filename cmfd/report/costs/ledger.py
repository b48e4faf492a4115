"""What no run was given, and whether all that nodes' counters moved is accounted for."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query import reported
from cmfd.query.energy import balances
from cmfd.report.costs.model import NodeDay
from cmfd.report.costs.sums import Sum

if TYPE_CHECKING:
    import sqlite3

    from cmfd.query.energy import Balance
    from cmfd.query.selection import Selection

_J = 1e-6


class Unattributed(NamedTuple):
    """What no run was given, in a time."""

    idle: Sum
    system: Sum


def unattributed(db: sqlite3.Connection, selection: Selection) -> Unattributed:
    """Add up what no run was given, in a selection's time and on its node."""
    found = Unattributed(Sum(), Sum())
    for row in reported.unattributed(db, selection):
        key = (row.component, row.grade, "", row.source)
        getattr(found, row.owner).put(key, row.uj, row.static_uj)
    return found


def reconcile(db: sqlite3.Connection, selection: Selection) -> list[NodeDay]:
    """
    Compare, for each node and day, what counters moved with what was given to whom.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    selection : Selection
        Its node, and the days that its time is of, each whole: what a counter and a run moved
        stands in rows that begin at different times of a day. All runs of any user are part of it,
        whatever else is selected.

    Returns
    -------
    list of NodeDay
        By node, day, component and source.
    """
    found = balances(db, _nodes(selection), selection.since_ns, selection.until_ns)
    return [_node_day(one) for one in found]


def _nodes(selection: Selection) -> list[str] | None:
    return None if selection.node is None else [selection.node]


@cache
def _day_name(day_ns: int) -> str:
    """Return a day as ``2026-11-23``: of very many nodes, each is told as often."""
    return datetime.fromtimestamp(day_ns // 1_000_000_000, timezone.utc).strftime("%Y-%m-%d")


def _node_day(balance: Balance) -> NodeDay:
    return NodeDay(
        node=balance.node,
        day=_day_name(balance.day_ns),
        source=balance.source,
        component=balance.component,
        counter_j=balance.counter_uj * _J,
        runs_j=balance.runs_uj * _J,
        idle_j=balance.idle_uj * _J,
        system_j=balance.system_uj * _J,
        difference_j=balance.missing_uj * _J,
    )
