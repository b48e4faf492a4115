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
from cmfd.energy.split import Share, divide
from cmfd.energy.stretches import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cmfd.energy.buckets import Entry
    from cmfd.energy.lives import Life
    from cmfd.energy.stretches import Piece

SETTLED_NS = 15_000_000_000
"""What processes say of a time that is longer ago comes too late."""
_SURE_NS = 2_000_000_000
"""What they say comes so much later, as a rule."""
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
    counts_cpu : bool
        Its rows have processor times.
    """

    def __init__(
        self, entry: Entry, pieces: tuple[Piece, ...], shares: Mapping[bytes, Share],
        flags: int, *, counts_cpu: bool,
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
        self._counts_cpu = counts_cpu
        self._given: dict[bytes, dict[bytes, Part]] = {}

    def is_new(self, run: bytes) -> bool:
        """Tell whether a run has something of it that was never divided."""
        return run in self.runs and run not in self._given and run not in self.joined

    def with_all(self, others: Sequence[Division], run: bytes) -> Division:
        """Return one of this interval and others after it, for one run."""
        every = (self, *others)
        shares = [one.shares[run] for one in every]
        share = Share(sum(one.static_uj for one in shares), sum(one.dynamic_uj for one in shares))
        flags = 0
        for one in every:
            flags |= one.flags
            one.joined.add(run)
        return Division(
            self.entry.with_all([one.entry for one in others]),
            tuple(piece for one in every for piece in one.pieces), {run: share}, flags,
            counts_cpu=self._counts_cpu,
        )  # fmt: skip

    def divide(self, run: bytes, parts: Parts) -> None:
        """Give a run's executions what is theirs, as far as is known now."""
        times, uses = parts
        shares = divide(self.shares[run], times, uses)
        new = {
            key: Part(share, uses.get(key, 0) if self._counts_cpu else 0)
            for key, share in shares.items()
            if key != NOBODY
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


class Divisions:
    """All divisions of which processes may say more."""

    def __init__(self) -> None:
        self._recent: deque[Division] = deque()
        self._n_shares = 0

    def note(self, division: Division) -> None:
        """Take one in, of the latest interval."""
        self._recent.append(division)
        self._n_shares += len(division.runs)

    @property
    def is_full(self) -> bool:
        """Whether it is time to call `settle`."""
        return self._n_shares >= _MOST

    @property
    def since_ns(self) -> int | None:
        """Since when (UTC) lives matter; None: there is nothing to divide."""
        begins = (one.window.began_ns for each in self._recent for one in each.pieces[:1])
        return min(begins, default=None)

    @property
    def entries(self) -> list[Entry]:
        """What may change still."""
        return [division.entry for division in self._recent]

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
        for group in self._groups():
            surely = [d for d in group if d.pieces[-1].end_boot_ns < now_boot_ns - _SURE_NS]
            for run in of_run.keys() & {run for division in group for run in division.runs}:
                own = of_run[run]
                steady = [division for division in surely if division.is_new(run)]
                if len(steady) > 1 and _goes_on(own, steady):
                    whole = steady[0].with_all(steady[1:], run)
                    whole.divide(run, found.parts((found.joined(whole.pieces),), run, own))
                for division in group:
                    if run not in division.runs or run in division.joined:
                        continue
                    n_steady = len(own) if _goes_on(own, [division]) else None
                    if n_steady is None or division.n_steady.get(run) != n_steady:
                        division.divide(run, found.parts(division.pieces, run, own))
                        division.n_steady[run] = n_steady
        late_ns = now_boot_ns - SETTLED_NS
        while self._recent and (
            self._recent[0].pieces[-1].end_boot_ns < late_ns or self._n_shares > _MOST // 2
        ):
            self._n_shares -= len(self._recent.popleft().runs)


def _goes_on(lives: Iterable[Life], divisions: Sequence[Division]) -> bool:
    """Tell whether nothing of a run began or ended while it was given something."""
    began_ns = divisions[0].pieces[0].window.began_ns
    ended_ns = divisions[-1].pieces[-1].window.ended_ns
    return all(
        life.began_ns <= began_ns and (life.ended_ns is None or life.ended_ns > ended_ns)
        for life in lives
    )


class _Found:
    """What is the same for several channels, found out once."""

    def __init__(self) -> None:
        self._parts: dict[tuple[tuple[int, ...], bytes], Parts] = {}
        self._joined: dict[tuple[int, ...], Piece] = {}

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
