"""Energy against a metric: which equal runs reached as much with less."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cmfd.query import energy, runs
from cmfd.report import units
from cmfd.report.costs.model import Pareto, ParetoPoint
from cmfd.report.costs.sums import Sum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.model import EnergyRow
    from cmfd.query.energy import EnergySum
    from cmfd.query.search import Leader, LeaderBoard
    from cmfd.report.costs.policy import Policy


class _Stretch(NamedTuple):
    node: str
    t0_ns: int
    dur_ns: int
    uj: int
    grade: str


def pareto_of(  # noqa: PLR0913 - each by name
    db: sqlite3.Connection,
    board: LeaderBoard,
    policy: Policy,
    book: CarbonBook,
    *,
    stage: str | None = None,
    only_uid: int | None = None,
) -> Pareto:
    """
    Set what executions took against what they reached.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    board : LeaderBoard
        The executions of an experiment with the best value that each logged.
    policy : Policy
        Of the site.
    book : CarbonBook
        For emissions.
    stage : str, optional
        What they were narrowed to.
    only_uid : int, optional
        Only executions in runs of this user.

    Returns
    -------
    Pareto
        An execution's energy is its own with that of all nested in it; where nothing was given to
        a run's executions and it has but one of these, the run's.
    """
    numbers = {run: runs.find(db, run) for run in {one.run for one in board.leaders if one.run}}
    if only_uid is not None:
        numbers = {
            run: number
            for run, number in numbers.items()
            if runs.run_of(db, number).uid == only_uid
        }
    leaders = [one for one in board.leaders if one.run in numbers]
    rows = _rows_of(db, leaders, numbers, book.step_ns)
    points = [
        point
        for leader in leaders
        if (point := _point(leader, rows[leader.execution], policy, book, _varied(leaders)))
    ]
    points.sort(key=lambda one: (one.energy_j, one.execution))
    return Pareto(
        pipeline=board.pipeline,
        stage=stage,
        metric=board.metric,
        goal=board.goal,
        points=_with_front(points, board.goal),
        n_without_energy=len(leaders) - len(points),
    )


def _rows_of(
    db: sqlite3.Connection, leaders: Sequence[Leader], numbers: dict[str, int], step_ns: int
) -> dict[str, list[EnergySum]]:
    """Return the energy of each leader."""
    which = energy.Which(list(numbers.values()))
    rows = energy.sums(db, which, by_execution=True, step_ns=step_ns)
    names = energy.names_of_executions(db, {row.execution_id for row in rows})
    parents = {
        one.execution: one.parent
        for number in numbers.values()
        for one in runs.executions(db, number)
    }
    wanted = {one.execution for one in leaders}
    found: dict[str, list[EnergySum]] = defaultdict(list)
    of_run: dict[int, list[EnergySum]] = defaultdict(list)
    for row in rows:
        of_run[row.run_id].append(row)
        for name in _upward(names.get(row.execution_id), parents):
            if name in wanted:
                found[name].append(row)
    in_run: dict[str | None, int] = defaultdict(int)
    for one in leaders:
        in_run[one.run] += 1
    for one in leaders:
        whole = of_run[numbers[one.run]] if one.run else []
        # Nothing is also a row of 0: its processes were gone before anybody read what they used.
        if in_run[one.run] == 1 and not any(row.execution_id and row.uj for row in whole):
            found[one.execution] = whole
    return found


def _upward(name: str | None, parents: dict[str, str | None]) -> list[str]:
    """Return an execution and what it is nested in."""
    chain: list[str] = []
    while name is not None and name not in chain:
        chain.append(name)
        name = parents.get(name)
    return chain


def _varied(leaders: Sequence[Leader]) -> list[str]:
    """Return the parameters in which they differ."""
    keys = {key for one in leaders for key in one.params}
    return [key for key in sorted(keys) if len({repr(one.params.get(key)) for one in leaders}) > 1]


def _point(
    leader: Leader,
    rows: Sequence[EnergySum],
    policy: Policy,
    book: CarbonBook,
    varied: Sequence[str],
) -> ParetoPoint | None:
    taken = Sum()
    for row in rows:
        taken.add(row)
    found = taken.energy(policy)
    if found is None:
        return None
    stretches: list[EnergyRow] = [
        _Stretch(row.node, row.first_ns, row.end_ns - row.first_ns, row.uj, row.grade)
        for row in rows
    ]
    carbon = book.of(stretches, bounds=policy.all_bounds())
    return ParetoPoint(
        run=leader.run or "",
        execution=leader.execution,
        energy_j=found.energy_j,
        grade=found.grade,
        operational_gco2e=carbon.operational_gco2e,
        value=leader.value,
        on_front=False,
        params={
            key: " | ".join(units.literal(value) for value in leader.params[key])
            for key in varied
            if key in leader.params
        },
    )


def _with_front(points: Sequence[ParetoPoint], goal: str) -> list[ParetoPoint]:
    """Say which points no other beats in one and equals in the other; they are by energy."""
    sign = 1 if goal == "max" else -1
    front: set[str] = set()
    best = float("-inf")
    for energy_j in dict.fromkeys(one.energy_j for one in points):
        equal = [one for one in points if one.energy_j == energy_j]
        reached = max(sign * one.value for one in equal)
        if reached > best:
            best = reached
            front |= {one.execution for one in equal if sign * one.value == reached}
    return [msgspec.structs.replace(one, on_front=one.execution in front) for one in points]
