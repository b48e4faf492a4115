"""Piles of runs as a report shows them."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import pairwise
from operator import mul
from typing import TYPE_CHECKING

import msgspec

from cmfd.query.runs import run_of
from cmfd.report.costs.holds import Holds
from cmfd.report.costs.model import Group, Histogram, Lost, Spread, Top
from cmfd.report.costs.piles import outcome_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.model import Carbon, Weighed
    from cmfd.report.costs.piles import Heap, Key, Piece, Pile, Stretch
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
        self._holds = Holds(heap)

    def carbon(self, pile: Pile, node: str | None) -> Carbon | None:
        """Return what a pile's energy means in emissions; None where nothing is known of it."""
        if self.book is None or not (pile.weighed or pile.stretches):
            return None
        held = self._holds.of(pile, node)
        found = self.book.of(
            pile.stretches, held, weighed=pile.weighed.values(), bounds=self.policy.all_bounds()
        )
        if held is None:
            found = msgspec.structs.replace(found, missing=[*found.missing, _NOT_HELD])
        return found

    def operational(self, rows: Iterable[Stretch], weighed: Iterable[Weighed] = ()) -> float | None:
        """Return the location-based emissions of energy."""
        if self.book is None:
            return None
        bounds = self.policy.all_bounds()
        return self.book.of(rows, weighed=weighed, bounds=bounds).operational_gco2e

    def group(self, key: Key, pile: Pile, *, node: str | None = None) -> Group:
        """Make a group; with an empty key, of all that was chosen."""
        names = dict(zip(NAMES[self.heap.by], key, strict=True)) if key else {}
        # One look at the pieces for each figure: there may be very many of them.
        walls_s = [piece.wall_s for piece in pile.pieces]
        return Group(
            names=names,
            n_runs=len({piece.run.run_id for piece in pile.pieces}),
            n_users=len({piece.run.uid for piece in pile.pieces}),
            states=dict(sorted(Counter([piece.state for piece in pile.pieces]).items())),
            wall_s=sum(walls_s),
            core_s=_held_s(walls_s, [piece.cores for piece in pile.pieces]),
            gpu_s=_held_s(walls_s, [piece.gpus for piece in pile.pieces]),
            energy=pile.sum.energy(self.policy),
            carbon=self.carbon(pile, node),
            lost=self._lost(pile),
            run_energy_j=spread([uj * _J for uj in pile.uj_of_unit.values()]),
            run_wall_s=spread(walls_s),
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
        pieces: dict[str, list[Piece]] = defaultdict(list)
        for piece in pile.pieces:
            if outcome := outcome_of(piece.state):
                pieces[outcome].append(piece)
        found = [self._lost_so(outcome, mine, pile) for outcome, mine in pieces.items()]
        return sorted(found, key=lambda one: (-one.energy_j, -(one.core_s or 0)))

    def _lost_so(self, outcome: str, pieces: Sequence[Piece], pile: Pile) -> Lost:
        units = {piece.unit for piece in pieces}
        return Lost(
            outcome=outcome,
            n_runs=len(units),
            core_s=_held_s([piece.wall_s for piece in pieces], [piece.cores for piece in pieces]),
            energy_j=sum(pile.uj_of_unit.get(unit, 0) for unit in units) * _J,
            operational_gco2e=self.operational(*pile.lost(outcome)),
        )

    def top(self, db: sqlite3.Connection) -> list[Top]:
        """Return the runs that took the most, but for those that go by no name."""
        heap = self.heap
        weights: Mapping[int, float] = heap.uj_of_run
        if not heap.all.sum.uj:
            weights = _core_s_of_runs(heap.all.pieces)
        whole = sum(weights.values())
        most: list[int] = []
        for run_id in heapq.nlargest(len(weights), weights, key=weights.__getitem__):
            if not heap.runs[run_id].is_anonymous:
                most.append(run_id)
            if len(most) == MOST_TOP:
                break
        sums, stretches = heap.energy_of_runs(most), heap.stretches_of(most)
        pieces: dict[int, list[Piece]] = {run_id: [] for run_id in most}
        for piece in heap.all.pieces:
            if piece.run.run_id in pieces:
                pieces[piece.run.run_id].append(piece)
        found = []
        for run_id, mine in pieces.items():
            run, energy = run_of(db, run_id), sums[run_id].energy(self.policy)
            walls_s = [piece.wall_s for piece in mine]
            found.append(
                Top(
                    run=run.run,
                    job=run.job,
                    user=run.user,
                    stages=run.stages,
                    state=heap.runs[run_id].state,
                    wall_s=sum(walls_s),
                    core_s=_held_s(walls_s, [piece.cores for piece in mine]),
                    energy_j=energy.energy_j if energy else None,
                    grade=energy.grade if energy else None,
                    operational_gco2e=self.operational(stretches[run_id]) if energy else None,
                    share=weights[run_id] / whole if whole else 0.0,
                )
            )
        return found


def _held_s(walls_s: Sequence[float], amounts: Sequence[float | None]) -> float | None:
    """Return wall time times what was held; None where of nothing it is known how much that was."""
    if walls_s and amounts.count(None) == len(amounts):
        return None
    return sum(map(mul, walls_s, [amount or 0 for amount in amounts]), 0.0)


def _core_s_of_runs(pieces: Iterable[Piece]) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    for piece in pieces:
        found[piece.run.run_id] += piece.wall_s * (piece.cores or 0)
    return found


def _size(group: Group) -> tuple[float, float, float]:
    return (group.energy.energy_j if group.energy else 0.0, group.core_s or 0.0, group.wall_s)


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
    values = sorted(value for value in values_s if value > 0)
    if not values:
        return None
    edges = (0, *EDGES_S)
    below = [*(bisect_left(values, edge) for edge in edges), len(values)]
    counts = [upto - before for before, upto in pairwise(below)]
    first = next(number for number, count in enumerate(counts) if count)
    last = max(number for number, count in enumerate(counts) if count)
    ends = [*edges, max(2 * edges[-1], values[-1])]
    return Histogram(
        edges_s=[float(edge) for edge in ends[first : last + 2]], counts=counts[first : last + 1]
    )
