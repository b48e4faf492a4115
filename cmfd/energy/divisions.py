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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cmfd.energy.buckets import Entry
    from cmfd.energy.lives import Life
    from cmfd.energy.stretches import Stretch

SETTLED_NS = 15_000_000_000
"""What processes say of a time that is longer ago comes too late."""
_MOST = 2048


class Part(NamedTuple):
    """What an execution was given of one division."""

    share: Share
    cpu_ns: int

    def less(self, other: Part) -> Part:
        """Return what it has more than another."""
        uj = (mine - theirs for mine, theirs in zip(self.share, other.share, strict=True))
        return Part(Share(*uj), self.cpu_ns - other.cpu_ns)


_NOTHING = Part(Share(), 0)


class Division:
    """
    What runs were given of one channel for one interval.

    Parameters
    ----------
    entry : Entry
        Where it stands.
    stretches : tuple of Stretch
        Of which time it is.
    shares : mapping
        What each run was given.
    flags : int
        Of the interval.
    counts_cpu : bool
        Its rows have processor times.
    """

    def __init__(
        self, entry: Entry, stretches: tuple[Stretch, ...], shares: Mapping[bytes, Share],
        flags: int, *, counts_cpu: bool,
    ) -> None:  # fmt: skip
        self.entry = entry
        self.stretches = stretches
        self.runs = shares.keys()
        self._shares = shares
        self._flags = flags
        self._counts_cpu = counts_cpu
        self._given: dict[bytes, dict[bytes, Part]] = {}

    def divide(self, run: bytes, parts: Parts) -> None:
        """Give a run's executions what is theirs, as far as is known now."""
        times, uses = parts
        shares = divide(self._shares[run], times, uses)
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
                self.entry.put(whose, more.share, "rank_pids", self._flags, more.cpu_ns)
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

    def note(self, division: Division) -> None:
        """Take one in, of the latest interval."""
        self._recent.append(division)

    @property
    def is_full(self) -> bool:
        """Whether it is time to call `settle`."""
        return len(self._recent) >= _MOST

    @property
    def since_ns(self) -> int | None:
        """Since when (UTC) lives matter; None: there is nothing to divide."""
        begins = (one.window.began_ns for each in self._recent for one in each.stretches[:1])
        return min(begins, default=None)

    @property
    def entries(self) -> list[Entry]:
        """What may change still."""
        return [division.entry for division in self._recent]

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
        known: dict[tuple[tuple[int, ...], bytes], Parts] = {}
        for division in self._recent:
            place = tuple(map(id, division.stretches))
            for run in division.runs & of_run.keys():
                if (place, run) not in known:
                    known[place, run] = _parts(division.stretches, run, of_run[run])
                division.divide(run, known[place, run])
        late_ns = now_boot_ns - SETTLED_NS
        while self._recent and self._recent[0].stretches[-1].end_boot_ns < late_ns:
            self._recent.popleft()


def _parts(stretches: tuple[Stretch, ...], run: bytes, lives: list[Life]) -> Parts:
    there = [one for one in stretches if any(work.run == run for work in one.works)]
    used = [used_ns for one in there if (used_ns := one.used_ns(run)) is not None]
    return parts_of((one.window for one in there), lives, sum(used) if used else None)
