"""Which shares of nodes were held, and for how long: what embodied emissions go by."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from cmfd.carbon.model import Hold
from cmfd.query import reported
from cmfd.query.energy import hardware
from cmfd.query.shares import Span, own_share_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.query.periods import Period
    from cmfd.report.costs.piles import Heap, Piece, Pile

NANO = 1e9


class Holds:
    """
    What runs of a report held.

    Parameters
    ----------
    heap : Heap
        The runs.
    """

    def __init__(self, heap: Heap) -> None:
        self._db = heap.db
        self._heap = heap
        self._own: dict[int | None, dict[int, float]] = {}
        self._of_piles: dict[int, dict[str, float] | None] = {}

    def of(self, pile: Pile, node: str | None = None) -> list[Hold] | None:
        """
        Return which shares of nodes were held, added up by node; None if any is not known.

        Parameters
        ----------
        pile : Pile
            By whom.
        node : str, optional
            Only this one.
        """
        held = self._of_all() if pile is self._heap.all else self._of(pile, node)
        if held is None:
            return None
        return [Hold(name, round(held_s * NANO), 1.0) for name, held_s in held.items()]

    def _of_all(self) -> dict[str, float] | None:
        """Add up what piles held, of which each piece is on one, or on one for each node."""
        by_node = self._heap.by == "node"
        held: dict[str, float] = defaultdict(float)
        for key, pile in self._heap.piles.items():
            found = self._of(pile, key[0] if by_node else None)
            if found is None:
                return None
            for name, held_s in found.items():
                held[name] += held_s
        return held

    def _of(self, pile: Pile, node: str | None) -> dict[str, float] | None:
        if id(pile) not in self._of_piles:
            self._of_piles[id(pile)] = self._added_up(pile.pieces, node)
        return self._of_piles[id(pile)]

    def _added_up(self, pieces: Iterable[Piece], node: str | None) -> dict[str, float] | None:
        """Return for how many seconds nodes were held, as if whole; None if that is not known."""
        nodes_of, exclusive, n_threads = self._heap.nodes, self._exclusive, self._n_threads
        several = self._several if self._heap.has_parts else {}
        held: dict[str, float] = defaultdict(float)
        for piece in pieces:
            run = piece.run
            there = nodes_of.get(run.run_id)
            nodes = there if node is None or not there else there & {node}
            if not there or not nodes:
                continue
            held_s = self._own_s(piece) if run.run_id in several else piece.wall_s
            if run.run_id in exclusive:
                for name in nodes:
                    held[name] += held_s
            elif not run.cores or not nodes <= n_threads.keys():
                return None
            else:
                each = run.cores / len(there)
                for name in nodes:
                    held[name] += min(each / n_threads[name], 1.0) * held_s
        return held

    def _own_s(self, piece: Piece) -> float:
        """Return for how long a piece is charged: executions at the same time share it."""
        if piece.number not in self._own:
            self._own[piece.number] = self._owned_s(piece.number)
        return self._own[piece.number].get(piece.unit, 0.0)

    @cached_property
    def _several(self) -> dict[int, list[reported.Span]]:
        return reported.spans(self._db)

    def _owned_s(self, number: int | None) -> dict[int, float]:
        """Return how long each piece is charged, with what is nested in it and part of it."""
        found: dict[int, float] = defaultdict(float)
        times = self._heap.times
        period = None if times is None else times.period(number)
        for spans in self._several.values():
            outer = {one.execution_id: one.outer_id for one in spans}
            own = own_share_ns({one.execution_id: _when(one, period) for one in spans}, outer)
            for execution_id, own_ns in own.items():
                if (owner := self._owner(execution_id, outer)) is not None:
                    found[owner] += float(own_ns) / NANO
        return found

    def _owner(self, execution_id: int, outer: dict[int, int | None]) -> int | None:
        """Return the piece that an execution is, or is part of."""
        at: int | None = execution_id
        for _ in outer:  # what a job says of its parents might be a circle
            part = None if at is None else self._heap.parts.get(at)
            if part is None or at is None:
                return None
            if not part.is_nested:
                return at
            at = outer.get(at)
        return None

    @cached_property
    def _exclusive(self) -> set[int]:
        return reported.exclusive(self._db)

    @cached_property
    def _n_threads(self) -> dict[str, int]:
        latest = {one.node: one.n_threads for one in hardware(self._db)}
        return {node: n_threads for node, n_threads in latest.items() if n_threads}


def _when(one: reported.Span, period: Period | None) -> Span:
    """Return when an execution was, as far as that is in a period."""
    began_ns = one.began_ns or 0
    ended_ns = began_ns + round(max(one.wall_s or 0.0, 0.0) * NANO)
    if period is None:
        return Span(began_ns, ended_ns)
    began_ns = min(max(began_ns, period.since_ns), period.until_ns)
    return Span(began_ns, max(min(ended_ns, period.until_ns), began_ns))
