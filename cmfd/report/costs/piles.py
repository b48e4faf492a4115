"""Putting runs together: who held what for how long, what it took, and what came to nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon.model import Hold
from cmfd.query.energy import hardware
from cmfd.query.jobs import OUTCOMES
from cmfd.query.reported import given, hosts, meters, part_lines, run_lines
from cmfd.report.costs.sums import Sum, read_ns

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from cmfd.query.reported import Given, RunLine
    from cmfd.query.selection import Selection

    Key = tuple[str, ...]

OF_PARTS = ("pipeline", "stage")
OUTCOME_OF_STATUS = {"failed": "failed", "lost": "failed", "cancelled": "cancelled"}
"""What becomes of the time of a run of which no batch system has told."""

"""No grid says its intensity more often: within it, energy may be spread evenly."""
NANO = 1e9


def outcome_of(state: str) -> str | None:
    """Return in which way a run that ended so came to nothing, if it did."""
    return OUTCOMES.get(state) or OUTCOME_OF_STATUS.get(state)


class Piece(NamedTuple):
    """A run, or an execution or a node's part of one, as it goes onto a pile."""

    run: RunLine
    unit: int
    """Number of the run, or of the execution where those are put together."""
    state: str
    wall_s: float
    cores: float
    gpus: float


class Stretch(NamedTuple):
    """Energy in a stretch of time, as emissions are reckoned from."""

    unit: int
    node: str
    grade: str
    t0_ns: int
    dur_ns: int
    uj: int


class Pile:
    """All that is put together under one name."""

    def __init__(self) -> None:
        self.runs: dict[int, RunLine] = {}
        self.states: Counter[str] = Counter()
        self.pieces: list[Piece] = []
        self.sum = Sum()
        self.uj_of_unit: dict[int, int] = defaultdict(int)
        self.stretches: list[Stretch] = []

    def put(self, piece: Piece) -> None:
        """Add a piece."""
        self.runs[piece.run.run_id] = piece.run
        self.states[piece.state] += 1
        self.pieces.append(piece)


class Heap:
    """
    The piles of a report, and one of all of them.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, after `cmfd.query.selection.choose`.
    by : str
        What runs are put together by.
    selection : Selection
        What was chosen.
    step_ns : int, optional
        Stretches of energy are within such steps of time, in which no factor of emissions changes.
    """

    def __init__(
        self, db: sqlite3.Connection, by: str, selection: Selection, *, step_ns: int | None
    ) -> None:
        self.by = by
        self.node = selection.node
        self.is_of_parts = selection.is_of_parts
        self.has_parts = by in OF_PARTS or self.is_of_parts
        self.runs = {line.run_id: line for line in run_lines(db, by)}
        parts = part_lines(db, by) if self.has_parts else []
        self.parts = {part.execution_id: part for part in parts if part.run_id in self.runs}
        self.n_threads = {one.node: one.n_threads for one in hardware(db)}
        self.nodes: dict[int, set[str]] = defaultdict(set)
        self.exclusive: set[int] = set()
        self.all = Pile()
        self.piles: dict[Key, Pile] = defaultdict(Pile)
        self.meters = {
            number: one for number, one in meters(db).items() if self.node in (None, one.node)
        }
        self.has_steps = step_ns is not None
        self.rows = [
            row
            for row in given(db, by_parts=self.has_parts, step_ns=step_ns)
            if row.meter_id in self.meters
            and (not self.is_of_parts or row.execution_id in self.parts)
        ]
        self._note_nodes(db)
        self._put_all()
        self._give_all()

    def _note_nodes(self, db: sqlite3.Connection) -> None:
        for row in self.rows:
            self.nodes[row.run_id].add(self.meters[row.meter_id].node)
            if row.method == "exclusive":
                self.exclusive.add(row.run_id)
        if self.by == "node" or self.node is not None:
            for run_id, names in hosts(db).items():
                self.nodes[run_id].update(names)

    def key(self, run_id: int, execution_id: int, node: str) -> Key:
        """Return the name of the pile that something belongs on."""
        run = self.runs[run_id]
        if self.by == "node":
            return (node,)
        if self.by == "run":
            return (run.run, run.job, run.user)
        if self.by not in OF_PARTS:
            return (run.name,)
        part = self.parts.get(execution_id)
        names = (part.pipeline, part.stage) if part else ("", "")
        return names[:1] if self.by == "pipeline" else names

    def _put_all(self) -> None:
        for piece in self._pieces():
            nodes = self.nodes[piece.run.run_id]
            # Where it is about nodes, each has an even share of what a run held.
            cores, gpus = piece.cores / max(len(nodes), 1), piece.gpus / max(len(nodes), 1)
            part = piece._replace(cores=cores, gpus=gpus)
            self.all.put(piece if self.node is None else part)
            if self.by == "node":
                for node in nodes if self.node is None else nodes & {self.node}:
                    self.piles[(node,)].put(part)
            else:
                key = self.key(piece.run.run_id, piece.unit, "")
                self.piles[key].put(piece if self.node is None else part)

    def _pieces(self) -> Iterator[Piece]:
        """Yield runs, or executions that are in no other one of these."""
        if not self.has_parts:
            for run in self.runs.values():
                yield _piece(run, run.run_id, run.state, run.wall_s)
            return
        for part in self.parts.values():
            if not part.is_nested:
                run = self.runs[part.run_id]
                yield _piece(run, part.execution_id, part.status, part.wall_s)

    def _give_all(self) -> None:
        apart: dict[tuple[int, int], list[Given]] = defaultdict(list)
        for row in self.rows:
            meter = self.meters[row.meter_id]
            pile = self.piles[self.key(row.run_id, row.execution_id, meter.node)]
            pile.sum.put(
                (meter.component, row.grade, row.method, meter.source), row.uj, row.static_uj
            )
            pile.uj_of_unit[row.execution_id if self.has_parts else row.run_id] += row.uj
            if self.has_steps:
                pile.stretches.append(self._stretch(row))
            if row.is_alone or self.has_parts:
                self._cover(pile, meter.component, row.run_id, row.covered_ns, row.dur_ns)
            else:
                apart[row.run_id, row.meter_id].append(row)
        for (run_id, meter_id), rows in apart.items():
            meter = self.meters[meter_id]
            pile = self.piles[self.key(run_id, 0, meter.node)]
            self._cover(pile, meter.component, run_id, *read_ns(rows))
        for pile in self.piles.values():
            self.all.sum.merge(pile.sum)
            self.all.stretches += pile.stretches
            for unit, uj in pile.uj_of_unit.items():
                self.all.uj_of_unit[unit] += uj

    def _cover(
        self, pile: Pile, component: str, run_id: int, covered_ns: float, dur_ns: int
    ) -> None:
        """Say for how much of its time, of a whole run of the run's, a meter was read."""
        wall_s = None if self.has_parts else self.runs[run_id].wall_s
        pile.sum.cover(component, covered_ns, max(dur_ns, (wall_s or 0) * NANO))

    def _stretch(self, row: Given) -> Stretch:
        unit = row.execution_id if self.has_parts else row.run_id
        node = self.meters[row.meter_id].node
        return Stretch(unit, node, row.grade, row.first_ns, row.end_ns - row.first_ns, row.uj)

    def stretches_of(self, run_id: int) -> list[Stretch]:
        """Return the energy of a run by time, as far as it is in the report."""
        return [self._stretch(row) for row in self.rows if row.run_id == run_id]

    def energy_of_runs(self, run_ids: Iterable[int]) -> dict[int, Sum]:
        """Return what some runs were given, as far as it is in the report."""
        found = {run_id: Sum() for run_id in run_ids}
        for row in self.rows:
            if row.run_id in found:
                meter = self.meters[row.meter_id]
                key = (meter.component, row.grade, row.method, meter.source)
                found[row.run_id].put(key, row.uj, row.static_uj)
        return found

    def holds(self, pile: Pile, node: str | None = None) -> list[Hold] | None:
        """
        Return which shares of nodes were held, added up by node; None if any is not known.

        Parameters
        ----------
        pile : Pile
            By whom.
        node : str, optional
            Only this one.
        """
        held: dict[str, float] = defaultdict(float)
        for piece in pile.pieces:
            nodes = self.nodes[piece.run.run_id]
            for name in nodes if node is None else nodes & {node}:
                share = self.share(piece.run, name)
                if share is None:
                    return None
                held[name] += share * piece.wall_s
        return [Hold(name, round(held_s * NANO), 1.0) for name, held_s in held.items()]

    def share(self, run: RunLine, node: str) -> float | None:
        """Return which share of a node a run held; None where that is not known."""
        if run.run_id in self.exclusive:
            return 1.0
        if not run.cores or not self.n_threads.get(node):
            return None
        return min(run.cores / len(self.nodes[run.run_id]) / self.n_threads[node], 1.0)


def _piece(run: RunLine, unit: int, state: str, wall_s: float | None) -> Piece:
    return Piece(run, unit, state, max(wall_s or 0.0, 0.0), run.cores or 0, run.gpus or 0)
