"""Putting runs together: who held what for how long, what it took, and what came to nothing."""

from __future__ import annotations

from collections import defaultdict
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.carbon.hours import Product, merged
from cmfd.query import reported
from cmfd.query.jobs import OUTCOMES
from cmfd.query.parts import extents
from cmfd.query.reported import part_lines, run_lines
from cmfd.report.costs.slices import NO_TIME, Slice, Times
from cmfd.report.costs.sums import Sum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.hours import Hours
    from cmfd.carbon.model import Weighed
    from cmfd.query.reported import PartLine, RunLine
    from cmfd.query.selection import Selection

    Key = tuple[str, ...]

OF_PARTS = ("pipeline", "stage")
OUTCOME_OF_STATUS = {"failed": "failed", "lost": "failed", "cancelled": "cancelled"}
"""What becomes of the time of a run of which no batch system has told."""

NANO = 1e9
_REST = 0
"""Number of what is of no execution, where those are put together."""
_LOST = sorted({*OUTCOMES.values(), *OUTCOME_OF_STATUS.values()})
_OUTCOMES = (None, *_LOST)
_NUMBER_OF = {outcome: number for number, outcome in enumerate(_LOST, 1)}


@cache
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
    cores: float | None
    gpus: float | None
    number: int | None = None
    """Of the time that it is in, of those that are told apart; None: of all of them."""


class Stretch(NamedTuple):
    """Energy in a stretch of time, as emissions are reckoned from."""

    lost: str | None
    """How what took it came to nothing."""
    node: str
    """That, or one that has the same factors."""
    grade: str
    t0_ns: int
    dur_ns: int
    uj: int


class Pile:
    """
    All that is put together under one name.

    Attributes
    ----------
    weighed : dict
        Its energy in hours, by how what took it came to nothing, the number of a node with the same
        factors, that of a kind of hours, and grade.
    stretches : list of Stretch
        Other energy by time.
    """

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.sum = Sum()
        self.uj_of_unit: dict[int, int] = defaultdict(int)
        self.weighed: dict[tuple[str | None, int, int, str], Weighed] = {}
        self.stretches: list[Stretch] = []

    def weigh(self, key: tuple[str | None, int, int, str], weighed: Weighed) -> None:
        """Add energy in hours."""
        found = self.weighed.get(key)
        self.weighed[key] = weighed if found is None else merged(found, weighed)

    def lost(self, outcome: str) -> tuple[list[Stretch], list[Weighed]]:
        """Return the energy of what came to nothing in a way."""
        stretches = [one for one in self.stretches if one.lost == outcome]
        return stretches, [one for key, one in self.weighed.items() if key[0] == outcome]


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
    book : CarbonBook, optional
        Of emissions; without it, nothing is known of when energy was taken.
    """

    def __init__(
        self, db: sqlite3.Connection, by: str, selection: Selection, *, book: CarbonBook | None
    ) -> None:
        self.db = db
        self.by = by
        self.node = selection.node
        self.is_of_parts = selection.is_of_parts
        self.has_parts = by in OF_PARTS or self.is_of_parts
        self._is_of_nodes = by == "node" or self.node is not None
        self.runs = {line.run_id: line for line in run_lines(db, by)}
        parts = part_lines(db, by) if self.has_parts else []
        self.parts = {part.execution_id: part for part in parts if part.run_id in self.runs}
        self._parts_of: dict[int, list[PartLine]] = defaultdict(list)
        for part in self.parts.values():
            self._parts_of[part.run_id].append(part)
        self.all = Pile()
        self.piles: dict[Key, Pile] = defaultdict(Pile)
        self.uj_of_run: dict[int, int] = defaultdict(int)
        self._step_ns = 0 if book is None else book.step_ns
        self._known = reported.known_nodes(db, self.node)
        self._alike = list(range(len(self._known))) if book is None else book.alike(self._known)
        self._energies = reported.Energies(
            db,
            are_parts=self.has_parts,
            by_node=self._is_of_nodes,
            node_of_all=self._alike[0] if len(set(self._alike)) == 1 else None,
        )
        self.times: Times | None = None
        self._hours = self._factors_of_hours(book)
        if by == "month" or selection.is_of_a_time:
            self._tell_apart(selection)
        self._put_all()
        self._give_all()

    def _tell_apart(self, selection: Selection) -> None:
        """Find the times that are told apart, and forget runs that were in none of them."""
        spans = {run.run_id: _span_of(run) for run in self.runs.values() if run.began_ns}
        times = self.times = Times(
            selection.period, extents(self.db), spans.values(), by_month=self.by == "month"
        )
        if not selection.is_of_a_time:
            return
        self.runs = {
            run_id: run for run_id, run in self.runs.items()
            if times.of_energy(run_id) or (run_id in spans and times.of(*spans[run_id]))
        }  # fmt: skip
        self.parts = {key: part for key, part in self.parts.items() if part.run_id in self.runs}

    @cached_property
    def nodes(self) -> dict[int, set[str]]:
        """The nodes of each run: where it took energy, and where nodes matter, its processes."""
        found: dict[int, set[str]] = defaultdict(set)
        for run_id, name in reported.metered_nodes(self.db):
            found[run_id].add(name)
        for run_id, name in reported.hosts(self.db) if self._is_of_nodes else ():
            found[run_id].add(name)
        return found

    def key(self, run_id: int, execution_id: int, node: str, number: int = 0) -> Key:
        """Return the name of the pile that something belongs on, of a time that is told apart."""
        run = self.runs[run_id]
        if self.by == "node":
            return (node,)
        if self.by == "run":
            return (run.run, run.job, run.user)
        if self.by == "month":
            return ("" if self.times is None else self.times.name(number),)
        if self.by not in OF_PARTS:
            return (run.name,)
        return self._key_of_part(self.parts.get(execution_id))

    def _key_of_part(self, part: PartLine | None) -> Key:
        names = (part.pipeline, part.stage) if part else ("", "")
        return names[:1] if self.by == "pipeline" else names

    def _put_all(self) -> None:
        """Put pieces onto piles; of nodes, each has an even share of what was held."""
        for piece in self._pieces():
            nodes: Collection[str] = ()
            part = piece
            if self._is_of_nodes:
                nodes = self.nodes[piece.run.run_id]
                part = _shared(piece, max(len(nodes), 1))
            shown = piece if self.node is None else part
            if self.times is None:
                self.all.pieces.append(shown)
                self._put(part, nodes)
                continue
            began_ns, ended_ns = self._span(piece)
            whole = self.times.period(None)
            self.all.pieces.append(_lasting(shown, whole.overlap_ns(began_ns, ended_ns), None))
            for number in self._numbers(piece, began_ns, ended_ns):
                wall_ns = self.times.period(number).overlap_ns(began_ns, ended_ns)
                self._put(_lasting(part, wall_ns, number), nodes)

    def _put(self, piece: Piece, nodes: Collection[str]) -> None:
        if self.by != "node":
            key = self.key(piece.run.run_id, piece.unit, "", piece.number or 0)
            self.piles[key].pieces.append(piece)
            return
        for node in nodes if self.node is None else {self.node}.intersection(nodes):
            self.piles[(node,)].pieces.append(piece)

    def _numbers(self, piece: Piece, began_ns: int, ended_ns: int) -> Iterable[int]:
        """Return the times that something is in; of what nobody knows when it was, none."""
        assert self.times is not None  # asked for only then
        numbers: Collection[int] = self.times.of(began_ns, ended_ns)
        if not self.has_parts:
            of_energy = self.times.of_energy(piece.run.run_id)
            if of_energy != numbers:
                numbers = sorted({*numbers, *of_energy})
        return numbers or (NO_TIME,) if self.by == "month" else numbers

    def _span(self, piece: Piece) -> tuple[int, int]:
        part = self.parts[piece.unit] if self.has_parts else None
        began_ns = part.began_ns if part and part.began_ns else piece.run.began_ns
        return began_ns, began_ns + round(piece.wall_s * NANO)

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
        """Give piles their energy, as sums that the index adds up."""
        numbers: dict[Key, int] = {}
        for _ in self._slices(self.runs, numbers):
            keys = list(numbers)
            for row in self._energies.sums():
                self.piles[keys[row.pile]].sum.add(row)
            uj_to_weigh = 0
            for at, unit, run_id, uj in self._energies.units():
                self.piles[keys[at]].uj_of_unit[unit] += uj  # the rest is one of all runs
                self.uj_of_run[run_id] += uj
                uj_to_weigh += uj
            for at, component, covered_ns, need_ns in self._energies.readings():
                self.piles[keys[at]].sum.cover(component, covered_ns, need_ns)
            if self._weigh(keys) != uj_to_weigh:
                for at, stretch in self._stretches(self._energies.hours):
                    self.piles[keys[at]].stretches.append(stretch)
        self._add_all()

    def _factors_of_hours(self, book: CarbonBook | None) -> Hours | None:
        """Let the index know the factors of each hour of the time in which runs took energy."""
        span = None if book is None else reported.extent(self.db)
        hours = None
        if book is not None and span is not None:
            alike = sorted(set(self._alike))
            hours = book.hours([(at, self._known[at]) for at in alike], span)
        reported.put_factors(self.db, () if hours is None else hours.factors)
        return hours

    def _weigh(self, keys: Sequence[Key]) -> int | None:
        """Give piles their energy in hours; return how much it is, None if there is no such."""
        if self._hours is None:
            return None
        uj = 0
        for pile, lost, alike, kind, grade, part, *product in self._energies.weighed():
            one = self._hours.weighed(alike, part, chr(grade), Product._make(map(int, product)))
            self.piles[keys[pile]].weigh((_OUTCOMES[lost], alike, kind, one.grade), one)
            uj += one.uj
        return uj

    def _slices(self, run_ids: Iterable[int], numbers: dict[Key, int]) -> Iterator[None]:
        """Let the index know of runs, a part of them after the other, numbering their piles."""
        every = [Slice(None)] if run_ids is self.runs else [Slice(list(run_ids))]
        for run_ids_then, number in every if self.times is None else self.times.slices(run_ids):
            asked = self.runs if run_ids_then is None else run_ids_then
            period = None if number is None or self.times is None else self.times.period(number)
            reported.put_units(self.db, self._units(asked, number, numbers))
            reported.put_nodes(self.db, (
                (node, numbers.setdefault((node,), len(numbers)) if self.by == "node" else None, to)
                for node, to in zip(self._known, self._alike, strict=True)
            ))  # fmt: skip
            self._energies.choose(run_ids_then, period, self._step_ns)
            yield

    def _add_all(self) -> None:
        units: dict[int, int] = defaultdict(int)
        times: dict[Any, int] = defaultdict(int)
        for pile in self.piles.values():
            self.all.sum.merge(pile.sum)
            for key, one in pile.weighed.items():
                self.all.weigh(key, one)
            for *when, uj in pile.stretches:
                times[tuple(when)] += uj
            for unit, uj in pile.uj_of_unit.items():
                units[unit] += uj
        self.all.stretches = [Stretch._make((*when, uj)) for when, uj in times.items()]
        self.all.uj_of_unit = units

    def _units(
        self, run_ids: Iterable[int], number: int | None, numbers: dict[Key, int]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield what is put together of some runs in a time, numbering the piles."""
        if not self.has_parts:
            for run_id in run_ids:
                run = self.runs[run_id]
                time = self._time(run_id, number)
                key = () if self.by == "node" else self.key(run_id, 0, "", time)
                at = numbers.setdefault(key, len(numbers))
                yield run_id, at, _number_of(run.state), self._wall_ns(run, number)
            return
        for run_id in run_ids:
            for part in self._parts_of.get(run_id, ()):
                key = self.key(run_id, part.execution_id, "", self._time(run_id, number))
                lost = 0 if part.is_nested else _number_of(part.status)
                yield part.execution_id, numbers.setdefault(key, len(numbers)), lost, 0
        if not self.is_of_parts:
            yield _REST, numbers.setdefault(self._key_of_part(None), len(numbers)), 0, 0

    def _time(self, run_id: int, number: int | None) -> int:
        """Return the number of the time that energy of a run is in, all of it if none is given."""
        if number is not None or self.times is None:
            return number or 0
        return next(iter(self.times.of_energy(run_id)), 0)

    def _wall_ns(self, run: RunLine, number: int | None) -> int:
        began_ns, ended_ns = _span_of(run)
        if number is None or self.times is None:
            return ended_ns - began_ns
        return self.times.period(number).overlap_ns(began_ns, ended_ns)

    def _stretches(
        self, hours: Callable[[int], Iterable[reported.Hour]]
    ) -> Iterator[tuple[int, Stretch]]:
        known = self._known
        for pile, lost, node, grade, t0_ns, dur_ns, uj in (
            hours(self._step_ns) if self._step_ns else ()
        ):
            yield pile, Stretch(_OUTCOMES[lost], known[node], chr(grade), t0_ns, dur_ns, uj)

    def stretches_of(self, run_ids: Collection[int]) -> dict[int, list[Stretch]]:
        """Return the energy of some runs by time, as far as it is in the report."""
        found: dict[int, list[Stretch]] = defaultdict(list)
        for _ in self._slices(run_ids, {}):
            for run_id, stretch in self._stretches(self._energies.hours_by_run):
                found[run_id].append(stretch)
        return found

    def energy_of_runs(self, run_ids: Collection[int]) -> dict[int, Sum]:
        """Return what some runs were given, as far as it is in the report."""
        found: dict[int, Sum] = defaultdict(Sum)
        for _ in self._slices(run_ids, {}):
            for row in self._energies.sums_by_run():
                found[row.pile].add(row)
        return found


@cache
def _number_of(state: str) -> int:
    return _NUMBER_OF.get(outcome_of(state) or "", 0)


def _piece(run: RunLine, unit: int, state: str, wall_s: float | None) -> Piece:
    return Piece(run, unit, state, max(wall_s or 0.0, 0.0), run.cores, run.gpus)


def _lasting(piece: Piece, wall_ns: int, number: int | None) -> Piece:
    """Return what of a piece is in a time."""
    run, unit, state, _, cores, gpus, _ = piece
    return Piece(run, unit, state, wall_ns / NANO, cores, gpus, number)


def _shared(piece: Piece, n_nodes: int) -> Piece:
    run, unit, state, wall_s, cores, gpus, _ = piece
    return Piece(
        run, unit, state, wall_s, None if cores is None else cores / n_nodes,
        None if gpus is None else gpus / n_nodes,
    )  # fmt: skip


def _span_of(run: RunLine) -> tuple[int, int]:
    return run.began_ns, run.began_ns + round(max(run.wall_s or 0.0, 0.0) * NANO)
