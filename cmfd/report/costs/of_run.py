"""What a run and each of its executions cost, with bounds and in emissions: for other formats."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query import energy
from cmfd.report.costs.piles import Stretch
from cmfd.report.costs.sums import Sum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.model import Carbon
    from cmfd.report.costs.model import Energy
    from cmfd.report.costs.policy import Policy


class Cost(NamedTuple):
    """What something took, and what that means."""

    energy: Energy
    carbon: Carbon | None
    """Without the hardware's share; None where the site has no factor set."""


def costs_of(
    db: sqlite3.Connection, run_id: int, policy: Policy, book: CarbonBook
) -> dict[str, Cost]:
    """
    Return what a run cost, under the empty name, and its executions, by their ids.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_id : int
        The run's number there.
    policy : Policy
        How sure each grade is.
    book : CarbonBook
        The factors.

    Returns
    -------
    dict
        Of the run all energy, also that of its executions; nothing of what took none that is known.
    """
    step_ns = book.step_ns if book.factor_set_id else None
    rows = energy.sums(db, energy.Which([run_id]), by_execution=True, step_ns=step_ns)
    numbers = {row.execution_id for row in rows if row.execution_id}
    names = energy.names_of_executions(db, numbers)
    by_name: dict[str, list[energy.EnergySum]] = defaultdict(list)
    for row in rows:
        by_name[""].append(row)
        if row.execution_id in names:
            by_name[names[row.execution_id]].append(row)
    return {name: _cost(some, policy, book) for name, some in by_name.items()}


def _cost(rows: Sequence[energy.EnergySum], policy: Policy, book: CarbonBook) -> Cost:
    whole = Sum()
    for row in rows:
        whole.add(row)
    found = whole.energy(policy)
    assert found is not None  # there is a row at least
    if not book.factor_set_id:
        return Cost(found, None)
    stretches = [
        Stretch(None, row.node, row.grade, row.first_ns, row.end_ns - row.first_ns, row.uj)
        for row in rows
    ]
    return Cost(found, book.of(stretches, bounds=policy.all_bounds()))
