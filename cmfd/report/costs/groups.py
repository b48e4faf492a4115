"""Piles of runs as a report shows them."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from cmfd.query.runs import run_of
from cmfd.report.costs.model import Group, Histogram, Lost, Spread, Top
from cmfd.report.costs.piles import outcome_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.model import Carbon
    from cmfd.report.costs.piles import Heap, Key, Pile, Stretch
    from cmfd.report.costs.policy import Policy

NAMES = {
    "run": ("run", "job", "user"), "user": ("user",), "account": ("account",),
    "partition": ("partition",), "project": ("project",), "month": ("month",),
    "node": ("node",), "pipeline": ("pipeline",), "stage": ("pipeline", "stage"),
}  # fmt: skip
"""What reports of energy can put runs together by, and what names a group then."""

MOST_TOP = 10
EDGES_S = (1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800, 345600)
"""Where bars of a histogram of wall times begin."""

_J = 1e-6
_NOT_HELD = (
    "Embodied emissions are left out: of some runs it is not known which share of their nodes they "
    "held (`cmfd slurm enrich` joins the cores of jobs; the node's daemon says what it has)."
)


class Reckoner:
    """
    Makes groups of piles.

    Parameters
    ----------
    heap : Heap
        Where they are from.
    policy : Policy
        Of the site.
    book : CarbonBook, optional
        Without it, nothing is said of emissions.
    """

    def __init__(self, heap: Heap, policy: Policy, book: CarbonBook | None) -> None:
        self.heap = heap
        self.policy = policy
        self.book = book

    def carbon(self, pile: Pile, node: str | None) -> Carbon | None:
        """Return what a pile's energy means in emissions; None where nothing is known of it."""
        if self.book is None or not pile.stretches:
            return None
        held = self.heap.holds(pile, node)
        found = self.book.of(pile.stretches, held, bounds=self.policy.all_bounds())
        if held is None:
            found = msgspec.structs.replace(found, missing=[*found.missing, _NOT_HELD])
        return found

    def operational(self, rows: Iterable[Stretch]) -> float | None:
        """Return the location-based emissions of energy."""
        if self.book is None:
            return None
        return self.book.of(rows, bounds=self.policy.all_bounds()).operational_gco2e

    def group(self, key: Key, pile: Pile, *, node: str | None = None) -> Group:
        """Make a group; with an empty key, of all that was chosen."""
        names = dict(zip(NAMES[self.heap.by], key, strict=True)) if key else {}
        return Group(
            names=names,
            n_runs=len(pile.runs),
            n_users=len({run.uid for run in pile.runs.values()}),
            states=dict(sorted(pile.states.items())),
            wall_s=sum(piece.wall_s for piece in pile.pieces),
            core_s=sum(piece.wall_s * piece.cores for piece in pile.pieces),
            gpu_s=sum(piece.wall_s * piece.gpus for piece in pile.pieces),
            energy=pile.sum.energy(self.policy),
            carbon=self.carbon(pile, node),
            lost=self._lost(pile),
            run_energy_j=spread([uj * _J for uj in pile.uj_of_unit.values()]),
            run_wall_s=spread([piece.wall_s for piece in pile.pieces]),
        )

    def groups(self) -> list[Group]:
        """Make a group of each pile, in the order of a report."""
        by_node = self.heap.by == "node"
        found = [
            self.group(key, pile, node=key[0] if by_node else None)
            for key, pile in self.heap.piles.items()
        ]
        if self.heap.by == "month":
            return sorted(found, key=lambda one: one.names["month"], reverse=True)
        return sorted(found, key=_size, reverse=True)

    def _lost(self, pile: Pile) -> list[Lost]:
        outcomes: dict[int, str] = {}
        core_s: dict[str, float] = defaultdict(float)
        for piece in pile.pieces:
            if outcome := outcome_of(piece.state):
                outcomes[piece.unit] = outcome
                core_s[outcome] += piece.wall_s * piece.cores
        uj: dict[str, int] = defaultdict(int)
        for unit, outcome in outcomes.items():
            uj[outcome] += pile.uj_of_unit.get(unit, 0)
        stretches: dict[str, list[Stretch]] = defaultdict(list)
        for stretch in pile.stretches if outcomes else ():
            if stretch.unit in outcomes:
                stretches[outcomes[stretch.unit]].append(stretch)
        return [
            Lost(
                outcome=outcome,
                n_runs=sum(one == outcome for one in outcomes.values()),
                core_s=core_s[outcome],
                energy_j=uj[outcome] * _J,
                operational_gco2e=self.operational(stretches[outcome]),
            )
            for outcome in sorted(uj, key=lambda name: (-uj[name], -core_s[name]))
        ]

    def top(self, db: sqlite3.Connection) -> list[Top]:
        """Return the runs that took the most, but for those that go by no name."""
        heap, pile = self.heap, self.heap.all
        core_s: dict[int, float] = defaultdict(float)
        wall_s: dict[int, float] = defaultdict(float)
        for piece in pile.pieces:
            core_s[piece.run.run_id] += piece.wall_s * piece.cores
            wall_s[piece.run.run_id] += piece.wall_s
        weights: dict[int, float] = core_s
        if pile.sum.uj:
            weights = defaultdict(float)
            for row in heap.rows:
                weights[row.run_id] += row.uj
        whole = sum(weights.values())
        named = (run_id for run_id in weights if not heap.runs[run_id].is_anonymous)
        most = heapq.nlargest(MOST_TOP, named, key=lambda run_id: weights[run_id])
        sums = heap.energy_of_runs(most)
        found = []
        for run_id in most:
            run, energy = run_of(db, run_id), sums[run_id].energy(self.policy)
            found.append(
                Top(
                    run=run.run,
                    job=run.job,
                    user=run.user,
                    stages=run.stages,
                    state=heap.runs[run_id].state,
                    wall_s=wall_s[run_id],
                    core_s=core_s[run_id],
                    energy_j=energy.energy_j if energy else None,
                    grade=energy.grade if energy else None,
                    operational_gco2e=(
                        self.operational(heap.stretches_of(run_id)) if energy else None
                    ),
                    share=weights[run_id] / whole if whole else 0.0,
                )
            )
        return found


def _size(group: Group) -> tuple[float, float, float]:
    return (group.energy.energy_j if group.energy else 0.0, group.core_s, group.wall_s)


def spread(values: Sequence[float]) -> Spread | None:
    """Return median and 95th percentile by nearest rank; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)

    def rank(percent: int) -> float:
        return ordered[math.ceil(percent / 100 * len(ordered)) - 1]

    return Spread(p50=rank(50), p95=rank(95))


def histogram(values_s: Iterable[float]) -> Histogram | None:
    """Return how many runs took how long; None of nothing."""
    from bisect import bisect_right  # noqa: PLC0415 - of a few values only

    values = [value for value in values_s if value > 0]
    if not values:
        return None
    edges = (0, *EDGES_S)
    counts = [0] * len(edges)
    for value in values:
        counts[bisect_right(edges, value) - 1] += 1
    first = next(number for number, count in enumerate(counts) if count)
    last = max(number for number, count in enumerate(counts) if count)
    ends = [*edges, 2 * edges[-1]] if max(values) < 2 * edges[-1] else [*edges, max(values)]
    return Histogram(
        edges_s=[float(edge) for edge in ends[first : last + 2]], counts=counts[first : last + 1]
    )
