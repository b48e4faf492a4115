"""What an artifact cost with everything that led to it: see docs/explanation/lineage-cost.md."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon.book import CarbonBook
from cmfd.carbon.model import Carbon, Hold
from cmfd.query import lineage_cost as cost
from cmfd.query.energy import hardware
from cmfd.query.lineage import ReachedArtifact, nodes
from cmfd.query.results import Result
from cmfd.query.selection import ANONYMOUS
from cmfd.query.walk import Reach, Step
from cmfd.report.costs.model import Energy, Factors
from cmfd.report.costs.piles import Stretch
from cmfd.report.costs.policy import is_operator, policy_of
from cmfd.report.costs.sums import Sum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from cmfd.merge.layout import Site
    from cmfd.query.energy import EnergySum
    from cmfd.query.subject import Subject
    from cmfd.report.costs.policy import Policy

_NANO = 1e9


class Bill(Result, frozen=True, kw_only=True):
    """What some executions cost."""

    n_executions: int
    n_without_energy: int
    """Of these; nothing was read while they ran."""
    wall_s: float
    """Of executions nested in another one, not again."""
    core_s: float
    energy: Energy | None
    carbon: Carbon | None
    """Embodied: of the executions with known energy only."""


class StageBill(Result, frozen=True, kw_only=True):
    """What the executions of a stage cost that led to the artifact."""

    pipeline: str
    stage: str
    bill: Bill


class Item(Result, frozen=True, kw_only=True):
    """What one execution cost."""

    execution: str
    run: str
    job: str
    user: str
    pipeline: str
    stage: str
    variant: str
    status: str
    role: str
    """``ancestry``; of its siblings, ``failed`` or ``unused``."""
    began_ns: int | None
    wall_s: float
    core_s: float
    energy_j: float | None
    portion: float | None
    """Which part the artifact bears, where costs are amortised."""


class Amortised(Result, frozen=True, kw_only=True):
    """What the artifact bears of it, the rest being borne by others that it led to."""

    kind: str
    """Costs are borne by final artifacts of this kind: those from which none other was made."""
    is_final: bool
    """It is one; else this is what those bear that were made from it."""
    n_bearers: int
    """The most artifacts that share one execution."""
    bill: Bill


class LineageCost(Result, frozen=True, kw_only=True):
    """What an artifact cost with its ancestry, each execution counted once."""

    site: str
    made_ns: int
    artifact: ReachedArtifact
    ancestry: Bill
    failed: Bill
    """Trials of the same stages that came to nothing: beside the ancestry, not in it."""
    unused: Bill
    """Variants of the same stages, nothing of which went into it: beside it, too."""
    amortised: Amortised | None
    stages: list[StageBill]
    """Of the ancestry, in the order in which they first began."""
    executions: list[Item]
    """Where the site shows other users' only put together: one's own."""
    factors: Factors
    n_hidden: int
    """Executions of other users that this site's reports leave out: of them nothing is added up."""


class _Taken(NamedTuple):
    """A member with what it took."""

    member: cost.Member
    rows: list[EnergySum]


def lineage_cost(
    db: sqlite3.Connection,
    site: Site,
    subject: Subject,
    *,
    amortise: bool = False,
    factors: str | None = None,
) -> LineageCost:
    """
    Reckon what an artifact cost with everything that led to it.

    Parameters
    ----------
    db : sqlite3.Connection
        The site's index.
    site : Site
        What else it holds: factors, and what its operator says of reports.
    subject : Subject
        The artifact.
    amortise : bool
        Also what it bears of it.
    factors : str, optional
        A factor set; None: the one in use.

    Raises
    ------
    ConfigError
        The site's configuration cannot be understood.
    NotFoundError
        There is no such factor set.
    """
    policy = policy_of(site)
    book = CarbonBook.open(site.path)
    if factors:
        book = book.with_factors(factors)
    found = cost.ancestry(db, subject.start)
    shown, n_hidden = _visible(found.members, policy, everything=is_operator(site))
    taken = _taken(db, found._replace(members=shown), book.step_ns)
    biller = _Biller(db, policy, book)
    groups: dict[str, list[_Taken]] = defaultdict(list)
    stages: dict[tuple[str, str], list[_Taken]] = defaultdict(list)
    for one in taken:
        groups[one.member.role].append(one)
        if one.member.role == cost.ANCESTRY:
            stages[one.member.pipeline, one.member.stage].append(one)
    if any(not one.member.execution for one in taken):
        stages = _put_together(stages, policy.least_users)
    bearers = None
    if amortise:
        ids = [one.member.execution_id for one in groups[cost.ANCESTRY]]
        bearers = cost.amortised(db, subject.start.id, ids)
    portions = bearers.portions if bearers else {}
    artifacts, _ = nodes(db, Reach([Step(subject.start.id, 0, None)], []))
    return LineageCost(
        site=site.id,
        made_ns=time.time_ns(),
        artifact=artifacts[subject.start.id],
        ancestry=biller.bill(groups[cost.ANCESTRY]),
        failed=biller.bill(groups[cost.FAILED]),
        unused=biller.bill(groups[cost.UNUSED]),
        amortised=_amortised(biller, bearers, groups[cost.ANCESTRY]) if bearers else None,
        stages=[
            StageBill(pipeline=pipeline, stage=stage, bill=biller.bill(some))
            for (pipeline, stage), some in stages.items()
        ],
        executions=[
            _item(one, portions.get(one.member.execution_id))
            for one in taken
            if one.member.execution
        ],
        factors=Factors(id=book.factor_set_id, name=book.factor_set_name),
        n_hidden=n_hidden,
    )


def _visible(
    members: list[cost.Member], policy: Policy, *, everything: bool
) -> tuple[list[cost.Member], int]:
    """Leave out other users' executions as the site's operator says, or their names."""
    me = os.geteuid()
    others = {one.uid for one in members if one.uid != me}
    if everything or policy.others == "all":
        return members, 0
    if policy.others == "aggregates" and len(others) >= policy.least_users:
        return [one if one.uid == me else _nameless(one) for one in members], 0
    shown = [one for one in members if one.uid == me]
    return shown, len(members) - len(shown)


def _nameless(member: cost.Member) -> cost.Member:
    return member._replace(user=ANONYMOUS, job="", run="", execution="", variant="")


def _put_together(
    stages: dict[tuple[str, str], list[_Taken]], least_users: int
) -> dict[tuple[str, str], list[_Taken]]:
    """Put stages of so few other users that one might stand out on one pile."""
    found: dict[tuple[str, str], list[_Taken]] = defaultdict(list)
    for name, some in stages.items():
        others = {one.member.uid for one in some if not one.member.execution}
        found[name if not others or len(others) >= least_users else ("", ANONYMOUS)] += some
    return found


def _taken(db: sqlite3.Connection, found: cost.Ancestry, step_ns: int) -> list[_Taken]:
    rows: dict[int, list[EnergySum]] = defaultdict(list)
    for row in cost.energy(db, found, step_ns):
        rows[row.execution_id].append(row)
    return [_Taken(one, rows[one.execution_id]) for one in found.members]


class _Biller:
    """Adds executions up."""

    def __init__(self, db: sqlite3.Connection, policy: Policy, book: CarbonBook) -> None:
        self.policy = policy
        self.book = book
        self.n_threads = {one.node: one.n_threads for one in hardware(db)}

    def bill(self, some: Iterable[_Taken]) -> Bill:
        """Return what executions cost together."""
        taken = list(some)
        whole, stretches, holds = Sum(), [], []
        for one in taken:
            for row in one.rows:
                whole.add(row)
                width_ns = row.end_ns - row.first_ns
                stretches.append(Stretch(None, row.node, row.grade, row.first_ns, width_ns, row.uj))
            holds.append(self._holds(one))
        known = [hold for each in holds if each is not None for hold in each]
        is_known = all(each is not None for each in holds)
        bounds = {grade: self.policy.bounds(grade) for grade in "ABCDEM"}
        return Bill(
            n_executions=len(taken),
            n_without_energy=sum(not one.rows for one in taken),
            wall_s=sum(one.member.own_ns for one in taken) / _NANO,
            core_s=sum(one.member.core_ns for one in taken) / _NANO,
            energy=whole.energy(self.policy),
            carbon=self.book.of(stretches, known if is_known else None, bounds=bounds)
            if stretches
            else None,
        )

    def _holds(self, one: _Taken) -> list[Hold] | None:
        """Return which shares of nodes an execution held; None where that is not known."""
        names = {row.node for row in one.rows}
        is_alone = any(row.method == "exclusive" for row in one.rows)
        held = []
        for node in names:
            share = 1.0
            if not is_alone:
                cores, n_threads = one.member.run_cores, self.n_threads.get(node)
                if not cores or not n_threads:
                    return None
                share = min(cores / len(names) / n_threads, 1.0)
            held.append(Hold(node, one.member.run_ns, share))
        return held


def _amortised(biller: _Biller, bearers: cost.Bearers, taken: Iterable[_Taken]) -> Amortised:
    """Return the bill of what the artifact bears."""
    parts = []
    for one in taken:
        member, portion = one.member, bearers.portions[one.member.execution_id]
        of = portion.of
        parts.append(
            _Taken(
                member._replace(
                    own_ns=of(member.own_ns), core_ns=of(member.core_ns), run_ns=of(member.run_ns)
                ),
                [row._replace(uj=of(row.uj), static_uj=of(row.static_uj)) for row in one.rows],
            )
        )
    return Amortised(
        kind=bearers.kind,
        is_final=bearers.is_final,
        n_bearers=max((one.n_bearers for one in bearers.portions.values()), default=1),
        bill=biller.bill(parts),
    )


def _item(one: _Taken, portion: cost.Portion | None) -> Item:
    member = one.member
    said: Callable[[str], object] = member._asdict().__getitem__
    names = ("execution", "run", "job", "user", "pipeline", "stage", "variant", "status", "role")
    return Item(
        **{name: said(name) for name in names},  # type: ignore[arg-type] # all of them are texts
        began_ns=member.began_ns,
        wall_s=member.own_ns / _NANO,
        core_s=member.core_ns / _NANO,
        energy_j=sum(row.uj for row in one.rows) / 1e6 if one.rows else None,
        portion=len(portion.places) / portion.n_bearers if portion and portion.n_bearers else None,
    )
