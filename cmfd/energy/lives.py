"""
When executions ran in which process, and what of a time's processor use was whose.

Processes say when they began and ended an execution, and what processor time that took them. It
is known only afterwards, but to the nanosecond: an execution that is shorter than the time between
two readings has its part all the same.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cmfd.energy.presence import NOBODY
from cmfd.energy.split import apportion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_NEVER_NS = 1 << 63
_MOST_CPUS = 10_000


class Life(NamedTuple):
    """
    One process's time in an execution, as it says itself.

    Attributes
    ----------
    instance, run, execution : bytes
        Whose.
    outer : bytes
        The execution that this one is within; zeroes: none.
    began_ns : int
        UTC.
    ended_ns : int or None
        None: it has not ended, as far as is known.
    cpu_ns : int or None
        The processor time that it took; None: it has not said so, or was killed.
    wraps : bool
        It waits beside the program proper, whose time is in its own.
    """

    instance: bytes
    run: bytes
    execution: bytes
    outer: bytes
    began_ns: int
    ended_ns: int | None
    cpu_ns: int | None
    wraps: bool = False


class Window(NamedTuple):
    """A stretch of time (UTC), and what each process used in it, as far as it was read."""

    began_ns: int
    ended_ns: int
    process_ns: Mapping[bytes, int]

    def shared_ns(self, life: Life) -> int:
        """Return for how much of it a life lasted."""
        ended_ns = self.ended_ns if life.ended_ns is None else min(life.ended_ns, self.ended_ns)
        return max(0, ended_ns - max(life.began_ns, self.began_ns))

    def is_within(self, life: Life) -> bool:
        """Tell whether a life began before it and goes on after it."""
        return life.began_ns < self.began_ns and (
            life.ended_ns is None or life.ended_ns > self.ended_ns
        )


class Parts(NamedTuple):
    """
    How a run's energy is divided among its executions.

    Attributes
    ----------
    times : dict
        How long each was there; those at the same time share it. Under `NOBODY` when none was.
    uses : dict
        Processor time of each, and, under `NOBODY`, of the run beside them.
    """

    times: dict[bytes, int]
    uses: dict[bytes, int]

    def add(self, other: Parts) -> None:
        """Take in those of another time."""
        for into, what in zip(self, other, strict=True):
            for key, amount in what.items():
                into[key] = into.get(key, 0) + amount


def parts_of(windows: Iterable[Window], lives: Collection[Life], run_ns: int | None) -> Parts:
    """
    Return how a run's energy of some time is divided among its executions.

    Parameters
    ----------
    windows : iterable of Window
        That time, piece by piece.
    lives : collection of Life
        The run's.
    run_ns : int or None
        Processor time of the run in it; None: not known.
    """
    whole = Parts({}, {})
    for window in windows:
        there = [life for life in lives if window.shared_ns(life)]
        if len(there) == 1 and window.is_within(there[0]):
            whole.add(_of_only(window, there[0]))
        else:
            whole.add(Parts(_times(window, there), _uses(window, there)))
    times, uses = whole
    if run_ns is None:
        run_ns = min(sum(uses.values()), _MOST_CPUS * sum(times.values()))
    if sum(uses.values()) > run_ns:  # what processes say is not the kernel's word
        uses = dict(zip(uses, apportion(run_ns, list(uses.values())), strict=True))
    uses[NOBODY] = run_ns - sum(uses.values())
    if not any(times.values()):
        times[NOBODY] = 1
    return Parts(times, uses)


def _of_only(window: Window, life: Life) -> Parts:
    """Return what `_times` and `_uses` do of one that was there all the time: most are, mostly."""
    dur_ns = max(0, window.ended_ns - window.began_ns)
    used_ns = max(0, window.process_ns.get(life.instance, 0))
    return Parts({life.execution: dur_ns, NOBODY: 0}, {life.execution: used_ns})


def _times(window: Window, lives: Collection[Life]) -> dict[bytes, int]:
    """Divide the time in which there was an execution by how long each was there."""
    covered_ns, upto_ns = 0, window.began_ns
    for began_ns, ended_ns in sorted(_spans(window, lives)):
        covered_ns += max(0, ended_ns - max(began_ns, upto_ns))
        upto_ns = max(upto_ns, ended_ns)
    longest: dict[bytes, int] = {}  # of its processes
    for life in lives:
        longest[life.execution] = max(longest.get(life.execution, 0), window.shared_ns(life))
    whole_ns = sum(longest.values())
    times = {key: covered_ns * shared_ns // whole_ns for key, shared_ns in longest.items()}
    times[NOBODY] = max(0, window.ended_ns - window.began_ns - covered_ns)
    return times


def _spans(window: Window, lives: Iterable[Life]) -> Iterator[tuple[int, int]]:
    for life in lives:
        began_ns = max(life.began_ns, window.began_ns)
        yield began_ns, began_ns + window.shared_ns(life)


def _uses(window: Window, lives: Sequence[Life]) -> dict[bytes, int]:
    """Add up what each execution's processes used; of a wrapper, what is not the program's."""
    processes: dict[bytes, list[Life]] = {}
    for life in lives:
        processes.setdefault(life.instance, []).append(life)
    uses: dict[bytes, int] = {}
    waited: dict[bytes, int] = {}
    for own in processes.values():
        for life, used_ns in _of_process(window, own):
            into = waited if life.wraps else uses
            into[life.execution] = into.get(life.execution, 0) + used_ns
    inner: dict[bytes, set[bytes]] = {}
    for life in lives:
        inner.setdefault(life.outer, set()).add(life.execution)
    for execution, used_ns in waited.items():
        within = {execution, *inner.get(execution, ())}
        rest_ns = max(0, used_ns - sum(uses.get(key, 0) for key in within))
        uses[execution] = uses.get(execution, 0) + rest_ns
    return uses


def _of_process(window: Window, lives: list[Life]) -> Iterator[tuple[Life, int]]:
    """
    Divide what a process used among its executions; of one around another, what is beside that.

    Those that ended say what they took. What is left is of the others, by time.
    """
    lives.sort(key=lambda life: (life.began_ns, -_end_ns(life)))
    alone = _alone(window, lives)
    own = _without_inner(lives, [_said_ns(window, life) for life in lives])
    read_ns = window.process_ns.get(lives[0].instance, 0)
    left_ns = max(0, read_ns - sum(said_ns or 0 for said_ns in own))
    dur_ns = window.ended_ns - window.began_ns
    said = [n for n, said_ns in enumerate(own) if said_ns is not None]
    open_ns = max(1, dur_ns - sum(alone[n] for n in said))
    for number, life in enumerate(lives):
        said_ns = own[number]
        yield life, left_ns * alone[number] // open_ns if said_ns is None else said_ns


def _said_ns(window: Window, life: Life) -> int | None:
    """
    Return what an execution that began or ended in a window says to have used of it.

    None: it does not say. Of one that went on all the time, what its process was seen to use is
    nearer to the truth than a mean.
    """
    if life.cpu_ns is None or life.ended_ns is None:
        return None
    if life.began_ns < window.began_ns and life.ended_ns > window.ended_ns:
        return None
    return max(0, life.cpu_ns) * window.shared_ns(life) // max(1, life.ended_ns - life.began_ns)


def _end_ns(life: Life) -> int:
    return _NEVER_NS if life.ended_ns is None else life.ended_ns


def _without_inner(lives: Sequence[Life], said: list[int | None]) -> list[int | None]:
    """Take from what an execution said what those within it did; all in the order of begin."""
    around: list[int] = []
    for number, life in enumerate(lives):
        while around and _end_ns(lives[around[-1]]) < _end_ns(life):
            around.pop()
        said_ns = said[number]
        if around and said_ns is not None and (outer_ns := said[around[-1]]) is not None:
            said[around[-1]] = max(0, outer_ns - said_ns)
        around.append(number)
    return said


def _alone(window: Window, lives: Sequence[Life]) -> list[int]:
    """Return for how long each was the one that began last: those around it wait meanwhile."""
    spans = list(_spans(window, lives))
    cuts = sorted({at_ns for span in spans for at_ns in span})
    found = [0] * len(lives)
    there: list[int] = []  # a heap, the last to begin first
    begun = 0
    for began_ns, ended_ns in pairwise(cuts):
        while begun < len(spans) and spans[begun][0] <= began_ns:
            heappush(there, -begun)
            begun += 1
        while there and spans[-there[0]][1] <= began_ns:
            heappop(there)
        if there:
            found[-there[0]] += ended_ns - began_ns
    return found
