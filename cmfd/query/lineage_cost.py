"""
What led to an artifact, as what is to be paid for: each execution once, and its share of its run.

How costs are shared is explained in docs/explanation/lineage-cost.md.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query.energy import Which, sums
from cmfd.query.reach import reach
from cmfd.query.shares import Span, divide, finals, own_time_ns
from cmfd.query.walk import Start, Way
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from cmfd.query.energy import EnergySum

ANCESTRY, FAILED, UNUSED = "ancestry", "failed", "unused"
_CAME_TO_NOTHING = ("failed", "lost", "cancelled")


class Member(NamedTuple):
    """
    An execution that is paid for.

    Attributes
    ----------
    role : str
        ``ancestry``: it led to the artifact; of its siblings, of which nothing did: ``failed``, or
        ``unused``.
    own_ns : int
        How long it ran while nothing nested in it did.
    core_ns : int
        Its share of its run's wall time times cores.
    run_ns : int
        Its share of its run's wall time: what it held the run's nodes for.
    run_cores : int or None
        Allotted to its run, where a batch system said how many.
    """

    execution_id: int
    run_id: int
    execution: str
    run: str
    pipeline: str
    stage: str
    status: str
    began_ns: int | None
    user: str
    uid: int | None
    job: str
    variant: str
    role: str
    own_ns: int
    core_ns: int
    run_ns: int
    run_cores: int | None


class _Line(NamedTuple):
    """A row of the query `executions`."""

    execution_id: int
    run_id: int
    execution: str
    run: str
    parent: str | None
    pipeline: str
    stage: str
    status: str
    began_ns: int | None
    ended_ns: int | None
    n_ranks: int
    user: str
    uid: int | None
    cluster: str
    job: str
    variant: str
    run_began_ns: int
    run_ended_ns: int | None
    cores: int | None

    @property
    def span(self) -> Span:
        began_ns = self.run_began_ns if self.began_ns is None else self.began_ns
        return Span(began_ns, max(began_ns, self.ended_ns or began_ns))


class Ancestry(NamedTuple):
    """
    What led to an artifact, and what was tried beside it.

    Attributes
    ----------
    members : list of Member
        In the order in which they began.
    weights : dict
        Of each run, all its executions by number: what they share by.
    """

    members: list[Member]
    weights: dict[int, dict[int, int]]


def ancestry(db: sqlite3.Connection, start: Start) -> Ancestry:
    """
    Find what led to an artifact, and its siblings.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    start : Start
        The artifact.
    """
    reached = [step.id for step in reach(db, start, Way.UP).executions]
    siblings = [row[0] for row in db.execute(_sql("siblings"), {"ids": json.dumps(reached)})]
    asked = {"ids": json.dumps(reached + siblings)}
    runs: dict[int, list[_Line]] = defaultdict(list)
    for row in db.execute(_sql("executions"), asked):
        line = _Line._make(row)
        runs[line.run_id].append(line)
    roles = dict.fromkeys(siblings, UNUSED) | dict.fromkeys(reached, ANCESTRY)
    found = Ancestry([], {})
    for run_id, lines in runs.items():
        _take(found, run_id, lines, roles)
    found.members.sort(key=lambda one: (one.began_ns or 0, one.execution))
    return found


def _take(found: Ancestry, run_id: int, lines: Sequence[_Line], roles: dict[int, str]) -> None:
    """Share what a run took among all its executions, and take those that have a role."""
    spans = {line.execution: line.span for line in lines}
    own = own_time_ns(spans, {line.execution: line.parent for line in lines})
    weights = {line.execution_id: own[line.execution] * line.n_ranks for line in lines}
    found.weights[run_id] = weights
    first = lines[0]
    ended_ns = first.run_ended_ns or max(span.ended_ns for span in spans.values())
    wall_ns = max(ended_ns - first.run_began_ns, 0)
    cores = first.cores or max(line.n_ranks for line in lines)
    times = divide(wall_ns, list(weights.values()))
    core_times = divide(wall_ns * cores, list(weights.values()))
    for line, run_ns, core_ns in zip(lines, times, core_times, strict=True):
        role = roles.get(line.execution_id)
        if role is not None:
            if role == UNUSED and line.status in _CAME_TO_NOTHING:
                role = FAILED
            found.members.append(
                Member(
                    line.execution_id, run_id, line.execution, line.run, line.pipeline, line.stage,
                    line.status, line.began_ns, line.user, line.uid, line.job, line.variant, role,
                    own[line.execution], core_ns, run_ns, line.cores,
                )
            )  # fmt: skip


def energy(
    db: sqlite3.Connection, found: Ancestry, step_ns: int | None = None
) -> Iterator[EnergySum]:
    """
    Yield what the members took: their own, and their share of their run's.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    found : Ancestry
        Whose.
    step_ns : int, optional
        Apart for each such step of time.

    Yields
    ------
    EnergySum
        Of one member each, by `execution_id`. Over all executions of a run they add up to what the
        run took, to the microjoule.
    """
    members = {one.execution_id for one in found.members}
    which = Which(run_ids=list(found.weights))
    for row in sums(db, which, by_execution=True, step_ns=step_ns):
        if row.execution_id in members:
            yield row
        elif not row.execution_id:
            yield from _shared(row, found.weights[row.run_id], members)


def _shared(
    row: EnergySum, weights: dict[int, int], members: AbstractSet[int]
) -> Iterator[EnergySum]:
    """Divide what is of a run as a whole."""
    parts = zip(
        weights, divide(row.uj, list(weights.values())),
        divide(row.static_uj, list(weights.values())), strict=True,
    )  # fmt: skip
    for execution_id, uj, static_uj in parts:
        if execution_id in members and uj:
            yield row._replace(execution_id=execution_id, uj=uj, static_uj=min(static_uj, uj))


class Portion(NamedTuple):
    """
    Which part of an execution's cost an artifact bears.

    Attributes
    ----------
    places : tuple of int
        Its places among those that bear the cost, from 0.
    n_bearers : int
        How many these are: each bears the same.
    """

    places: tuple[int, ...]
    n_bearers: int

    def of(self, amount: int) -> int:
        """Return the part; over all that bear it, the parts add up to the amount."""
        parts = divide(amount, [1] * self.n_bearers) if self.n_bearers else []
        return sum(parts[place] for place in self.places)


class Bearers(NamedTuple):
    """
    Who bears what led to an artifact.

    Attributes
    ----------
    kind : str
        Of what bears it: final artifacts of this kind.
    is_final : bool
        The artifact is one of them; else, it stands for those that were made from it.
    portions : dict
        By execution.
    """

    kind: str
    is_final: bool
    portions: dict[int, Portion]


def amortised(db: sqlite3.Connection, artifact_id: int, executions: Iterable[int]) -> Bearers:
    """
    Find which part an artifact bears of what led to it, and to others as well.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    artifact_id : int
        The artifact.
    executions : iterable of int
        What led to it.
    """
    kind = db.execute(_sql("kind"), {"id": artifact_id}).fetchone()[0]
    members = set(executions)
    starts = [Start(is_execution=True, id=one) for one in members]
    names = _chosen(db, [artifact_id], kind)
    for start in starts:
        names |= _made(db, start, kind)
    after: dict[int, AbstractSet[int]] = {}
    while missing := names.keys() - after.keys():
        for one in missing:
            made = _made(db, Start(is_execution=False, id=one), kind)
            after[one] = made.keys() | {one}
            names |= made
    ends = finals(after)
    bearers: dict[int, set[int]] = {one: set() for one in members}
    for end in ends:
        # Who bears what is asked of each end, so that the answer is one, whoever asks.
        led = {step.id for step in reach(db, Start(is_execution=False, id=end), Way.UP).executions}
        for one in led & members:
            bearers[one].add(end)
    is_final = artifact_id in ends
    mine = {artifact_id} if is_final else after[artifact_id] & ends
    portions = {}
    for one, some in bearers.items():
        order = sorted(some, key=lambda number: names[number])
        places = tuple(at for at, number in enumerate(order) if number in mine)
        portions[one] = Portion(places, len(order))
    return Bearers(kind, is_final, portions)


def _made(db: sqlite3.Connection, start: Start, kind: str) -> dict[int, str]:
    """Return what of a kind came of something: digests by number."""
    return _chosen(db, [step.id for step in reach(db, start, Way.DOWN).artifacts], kind)


def _chosen(db: sqlite3.Connection, ids: Collection[int], kind: str) -> dict[int, str]:
    return dict(db.execute(_sql("kinds"), {"ids": json.dumps(list(ids)), "kind": kind}))


def _sql(name: str) -> str:
    return named("query/lineage_cost")[name]
