"""
What runs were given of late, divided among their executions.

When an execution ran is known only after it: a run's energy is its own at first, and what its
executions took is moved to them when they have said so. Nothing but a run's own rows changes, and
their sum never does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.lives import Parts, parts_of
from cmfd.energy.presence import NOBODY
from cmfd.energy.split import Share, apportion, divide
from cmfd.energy.stretches import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cmfd.energy.buckets import Entry, Slot
    from cmfd.energy.lives import Life
    from cmfd.energy.stretches import Piece

SETTLED_NS = 15_000_000_000
"""What processes say of a time that is longer ago comes too late."""
_MOST = 5_000
"""Shares that are kept, of some 150 bytes: where readings are frequent, for less long."""


class Part(NamedTuple):
    """What an execution was given of one division."""

    share: Share
    cpu_ns: int

    def less(self, other: Part) -> Part:
        """Return what it has more than another."""
        static_uj, dynamic_uj = other.share
        share = Share(self.share.static_uj - static_uj, self.share.dynamic_uj - dynamic_uj)
        return Part(share, self.cpu_ns - other.cpu_ns)


_NOTHING = Part(Share(), 0)


class Division:
    """
    What runs were given of one channel for one interval.

    Parameters
    ----------
    entry : Entry
        Where it stands.
    pieces : tuple of Piece
        Of which time it is.
    shares : mapping
        What each run was given.
    flags : int
        Of the interval.
    cpu_ns : mapping
        Processor time in the runs' rows; empty: it stands in those of another component.
    """

    def __init__(
        self, entry: Entry, pieces: tuple[Piece, ...], shares: Mapping[bytes, Share],
        flags: int, cpu_ns: Mapping[bytes, int],
    ) -> None:  # fmt: skip
        self.entry = entry
        self.pieces = pieces
        self.runs = shares.keys()
        self.joined: set[bytes] = set()
        """Runs for which this is a part of a longer one, and done with."""
        self.n_steady: dict[bytes, int | None] = {}
        """Into how many lives a run's was divided that all went on: as many again are the same."""
        self.shares = shares
        self.flags = flags
        self.cpu_ns = cpu_ns
        self._given: dict[bytes, dict[bytes, Part]] = {}

    def is_new(self, run: bytes) -> bool:
        """Tell whether a run has something of it that was never divided."""
        return run in self.runs and run not in self._given and run not in self.joined

    def divide(self, run: bytes, parts: Parts) -> None:
        """Give a run's executions what is theirs, as far as is known now."""
        times, uses = parts
        shares = divide(self.shares[run], times, uses)
        cpu_ns = self._cpu_ns_of(run, uses)
        new = {
            key: Part(share, cpu_ns.get(key, 0)) for key, share in shares.items() if key != NOBODY
        }
        old = self._given.get(run, {})
        for key in dict.fromkeys((*old, *new)):
            more = new.get(key, _NOTHING).less(old.get(key, _NOTHING))
            whose = ("run", run, key)
            if key not in old:
                self.entry.put(whose, more.share, "rank_pids", self.flags, more.cpu_ns)
            elif more != _NOTHING:
                self.entry.change(whose, more.share, more.cpu_ns)
            if more != _NOTHING or not old:
                rest = _NOTHING.less(more)
                self.entry.change(("run", run, NOBODY), rest.share, rest.cpu_ns)
        self._given[run] = new

    def _cpu_ns_of(self, run: bytes, uses: Mapping[bytes, int]) -> dict[bytes, int]:
        """Return the executions' processor time: in all, no more than stands in the run's row."""
        own_ns = self.cpu_ns.get(run, 0)
        cpu_ns = {key: used_ns for key, used_ns in uses.items() if key != NOBODY and own_ns}
        if sum(cpu_ns.values()) > own_ns:
            return dict(zip(cpu_ns, apportion(own_ns, list(cpu_ns.values())), strict=True))
        return cpu_ns

    def divide_anew(self, run: bytes, lives: list[Life], found: _Found) -> None:
        """Divide a run's, unless it was with as many lives, all of which go on."""
        n_steady = len(lives) if _goes_on(lives, [self]) else None
        if n_steady is None or self.n_steady.get(run) != n_steady:
            self.divide(run, found.parts(self.pieces, run, lives))
            self.n_steady[run] = n_steady


def added(several: Sequence[Division], runs: Iterable[bytes]) -> Division:
    """Return what some runs were given of several intervals of one bucket, as of one."""
    first, *others = several
    flags = 0
    for one in several:
        flags |= one.flags
    shares, cpu_ns = {}, {}
    for run in runs:
        static_uj = dynamic_uj = used_ns = 0
        for one in several:
            if (share := one.shares.get(run)) is not None:
                static_uj += share[0]
                dynamic_uj += share[1]
                used_ns += one.cpu_ns.get(run, 0)
        shares[run], cpu_ns[run] = Share(static_uj, dynamic_uj), used_ns
    entry = first.entry.with_all([one.entry for one in others])
    pieces = tuple(piece for one in several for piece in one.pieces)
    return Division(entry, pieces, shares, flags, cpu_ns)


class Divisions:
    """All divisions of which processes may say more."""

    def __init__(self) -> None:
        self._recent: deque[Division] = deque()
        self._whole: list[Division] = []
        """Those of one run that were divided as one, before all had spoken of their end."""
        self._begun: dict[Slot, Division] = {}
        """Those whose end is not known yet."""
        self._n_shares = 0

    def note(self, division: Division, *, ends: bool) -> None:
        """
        Take one in, of the latest interval.

        Parameters
        ----------
        division : Division
            It begins where the last one of its component ended.
        ends : bool
            It is known what processes used until its end; else it is one with the next.
        """
        slot, _ = place = division.entry.place
        begun = self._begun.pop(slot, None)
        if begun is not None and begun.entry.place == place:
            division = added((begun, division), {**begun.shares, **division.shares})
        elif begun is not None and begun.pieces:
            self._keep(begun)
        if ends:
            self._keep(division)
        else:
            self._begun[slot] = division

    def _keep(self, division: Division) -> None:
        self._recent.append(division)
        self._n_shares += len(division.runs)

    @property
    def is_full(self) -> bool:
        """Whether it is time to call `settle`."""
        return self._n_shares >= _MOST

    @property
    def since_ns(self) -> int | None:
        """Since when (UTC) lives matter; None: there is nothing to divide."""
        begins = [one.window.began_ns for each in self._recent for one in each.pieces[:1]]
        begins += [each.pieces[-1].window.began_ns for each in self._whole]
        return min(begins, default=None)

    @property
    def entries(self) -> list[Entry]:
        """What may change still."""
        every = (*self._recent, *self._whole, *self._begun.values())
        return [division.entry for division in every]

    def _groups(self) -> Iterable[list[Division]]:
        """Return those together that have their rows in common."""
        groups: dict[object, list[Division]] = {}
        for division in self._recent:
            groups.setdefault(division.entry.place, []).append(division)
        return groups.values()

    def settle(self, lives: Iterable[Life], now_boot_ns: int) -> None:
        """
        Divide all of it, and forget what is long ago.

        Parameters
        ----------
        lives : iterable of Life
            Those since `since_ns`.
        now_boot_ns : int
            The time since the node booted.
        """
        of_run: dict[bytes, list[Life]] = {}
        for life in lives:
            of_run.setdefault(life.run, []).append(life)
        found = _Found()
        for whole in self._whole:
            for run in of_run.keys() & whole.runs:
                whole.divide_anew(run, of_run[run], found)
        for group in self._groups():
            for run in of_run.keys() & {run for division in group for run in division.runs}:
                own = of_run[run]
                steady = [division for division in group if division.is_new(run)]
                if len(steady) > 1 and _goes_on(own, steady):
                    whole = found.added(steady, run)
                    whole.divide(run, found.parts((found.joined(whole.pieces),), run, own))
                    whole.n_steady[run] = len(own)
                    self._whole.append(whole)
                for division in group:
                    if run in division.runs and run not in division.joined:
                        division.divide_anew(run, own, found)
        self._forget(now_boot_ns - SETTLED_NS)

    def _forget(self, late_ns: int) -> None:
        while self._recent and (
            self._recent[0].pieces[-1].end_boot_ns < late_ns or self._n_shares > _MOST // 2
        ):
            self._n_shares -= len(self._recent.popleft().runs)
        self._whole = [each for each in self._whole if each.pieces[-1].end_boot_ns >= late_ns]


def _goes_on(lives: Iterable[Life], divisions: Sequence[Division]) -> bool:
    """Tell whether nothing of a run began or ended while it was given something."""
    began_ns = divisions[0].pieces[0].window.began_ns
    ended_ns = divisions[-1].pieces[-1].window.ended_ns
    for life in lives:
        if life.began_ns > began_ns or (life.ended_ns is not None and life.ended_ns <= ended_ns):
            return False
    return True


class _Found:
    """What is the same for several channels, found out once."""

    def __init__(self) -> None:
        self._parts: dict[tuple[tuple[int, ...], bytes], Parts] = {}
        self._joined: dict[tuple[int, ...], Piece] = {}
        self._added: dict[tuple[int, ...], Division] = {}

    def added(self, several: Sequence[Division], run: bytes) -> Division:
        """Return what a run was given of several intervals, none of which is then its own."""
        key = tuple(map(id, several))
        if key not in self._added:
            common = set(several[0].runs).intersection(*(one.runs for one in several[1:]))
            self._added[key] = added(several, common)
        whole = self._added[key]
        for one in several:
            one.joined.add(run)
        cpu_ns = {run: whole.cpu_ns[run]}
        return Division(whole.entry, whole.pieces, {run: whole.shares[run]}, whole.flags, cpu_ns)

    def parts(self, pieces: tuple[Piece, ...], run: bytes, lives: list[Life]) -> Parts:
        """Return how what a run was given of some time is divided."""
        key = (tuple(map(id, pieces)), run)
        if key not in self._parts:
            there = [piece for piece in pieces if run in piece.used_ns]
            used = [used_ns for piece in there if (used_ns := piece.used_ns[run]) is not None]
            windows = (piece.window for piece in there)
            self._parts[key] = parts_of(windows, lives, sum(used) if used else None)
        return self._parts[key]

    def joined(self, pieces: tuple[Piece, ...]) -> Piece:
        """Return several pieces as one."""
        key = tuple(map(id, pieces))
        if key not in self._joined:
            self._joined[key] = joined(pieces)
        return self._joined[key]
