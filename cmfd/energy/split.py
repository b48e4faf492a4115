"""
Whose energy it was: one interval's energy of one component, split exactly.

Law: what runs, idle time and the system are given adds up to what there was to split, in integer
microjoules. Energy is split in two parts. The *static* part is what the component would have
drawn anyway; it goes by what was allocated, and what was allocated to nobody is `idle`. The
*dynamic* part goes by use, and what no run used is the `system`'s. A job alone on its node has
asked for all of it, and is given all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Key = TypeVar("Key")


class Share(NamedTuple):
    """Microjoules of both parts."""

    static_uj: int = 0
    dynamic_uj: int = 0

    @property
    def uj(self) -> int:
        """All of it."""
        return self.static_uj + self.dynamic_uj


@dataclass(frozen=True, slots=True)
class Claim(Generic[Key]):
    """
    What somebody had of a component during an interval.

    Attributes
    ----------
    key
        Who.
    alloc : int or None
        What was allocated of the capacity; None: not known.
    use : int or None
        What was used, in the unit of the node's use; None: not known.
    exclusive : bool
        All of the node was allocated: nobody else can have used it.
    """

    key: Key
    alloc: int | None
    use: int | None
    exclusive: bool = False


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """
    Divide a whole number in proportion to weights, by largest remainder.

    Parameters
    ----------
    total : int
        Not negative.
    weights : sequence of int
        Not negative, not all zero. Of equal remainders the first counts as larger.

    Returns
    -------
    list of int
        They add up to `total`; each is less than 1 away from its exact part.
    """
    whole = sum(weights)
    if len(weights) == 2:  # most often: it takes a fifth of the time this way
        first, rest = divmod(total * weights[0], whole)
        first += 2 * rest >= whole
        return [first, total - first]
    given = [total * weight // whole for weight in weights]
    left = total - sum(given)
    if left:
        rests = [total * weight % whole for weight in weights]
        for index in sorted(range(len(given)), key=rests.__getitem__, reverse=True)[:left]:
            given[index] += 1
    return given


@dataclass
class Weights(Generic[Key]):
    """
    By what an interval's energy is to be split; several stretches of time add up.

    Attributes
    ----------
    alloc, use : dict
        Of each who had something.
    idle_alloc, idle_use : int
        What nobody had, and what was used while nobody was there.
    system_use : int
        What was used by none of those who were there.
    shared : bool
        Somebody shared the node, or did not have all of it.
    by_alloc : bool
        For some time use was not known, and allocation stood in for it.
    """

    alloc: dict[Key, int] = field(default_factory=dict)
    use: dict[Key, int] = field(default_factory=dict)
    idle_alloc: int = 0
    idle_use: int = 0
    system_use: int = 0
    shared: bool = False
    by_alloc: bool = False

    def add(
        self, claims: Sequence[Claim[Key]], capacity: int, node_use: int | None, dur_ns: int
    ) -> None:
        """
        Take in a stretch of time in which nobody came or went.

        Parameters
        ----------
        claims : sequence of Claim
            All who were there; none: the node was idle.
        capacity : int
            What there was to allocate. Where more was allocated, all have less of it.
        node_use : int or None
            What was used in all; None: not known, and then of no claim either. Where claims say
            more, it was as much as they say.
        dur_ns : int
            How long.
        """
        if not claims:
            self.idle_alloc += capacity * dur_ns
            self.idle_use += node_use or 0
            return
        allocs = _allocations(claims, capacity, dur_ns)
        for claim, alloc in zip(claims, allocs, strict=True):
            self.alloc[claim.key] = self.alloc.get(claim.key, 0) + alloc
        self.idle_alloc += capacity * dur_ns - sum(allocs)
        self.shared |= not _is_exclusive(claims)
        self._add_use(claims, allocs, capacity * dur_ns, dur_ns if node_use is None else node_use)

    def _add_use(
        self, claims: Sequence[Claim[Key]], allocs: list[int], whole_alloc: int, whole_use: int
    ) -> None:
        if _is_exclusive(claims):
            uses = [max(whole_use, 1)]
        elif all(claim.use is None for claim in claims):
            self.by_alloc = True
            uses = [whole_use * alloc // whole_alloc for alloc in allocs]
            self.idle_use += whole_use - sum(uses)
        else:
            uses = [claim.use or 0 for claim in claims]
            self.system_use += max(0, whole_use - sum(uses))
        for claim, use in zip(claims, uses, strict=True):
            self.use[claim.key] = self.use.get(claim.key, 0) + use


def _is_exclusive(claims: Sequence[Claim[Key]]) -> bool:
    return len(claims) == 1 and claims[0].exclusive


def _allocations(claims: Sequence[Claim[Key]], capacity: int, dur_ns: int) -> list[int]:
    """Return what each has, over time; those of whom it is not known share what is left."""
    if _is_exclusive(claims):
        return [capacity * dur_ns]
    known = sum(claim.alloc or 0 for claim in claims)
    if known > capacity:
        return [(claim.alloc or 0) * dur_ns * capacity // known for claim in claims]
    unknown = sum(claim.alloc is None for claim in claims)
    each = (capacity - known) * dur_ns // unknown if unknown else 0
    return [each if claim.alloc is None else claim.alloc * dur_ns for claim in claims]


@dataclass(frozen=True, slots=True)
class Split(Generic[Key]):
    """Whose an interval's energy was."""

    shares: dict[Key, Share]
    idle: Share
    system: Share


def split(energy_uj: int, static_uj: int, weights: Weights[Key]) -> Split[Key]:
    """
    Split the energy of one component in one interval.

    Parameters
    ----------
    energy_uj : int
        What its counter moved.
    static_uj : int
        What it would have drawn anyway; no more than `energy_uj` counts. 0 where that is not
        known: then all goes by use.
    weights : Weights
        Who was there, and what each had.

    Returns
    -------
    Split
        All its parts add up to `energy_uj`.
    """
    static = min(max(static_uj, 0), energy_uj)
    keys = list(weights.alloc)
    allocs = [*(weights.alloc[key] for key in keys), weights.idle_alloc, 0]
    uses = [*(weights.use[key] for key in keys), weights.idle_use, weights.system_use]
    if not any(allocs):
        allocs[-2] = 1
    statics = apportion(static, allocs)
    dynamics = apportion(energy_uj - static, uses if any(uses) else allocs)
    assert sum(statics) + sum(dynamics) == energy_uj, "energy is conserved"
    shares = list(map(Share, statics, dynamics))
    return Split(dict(zip(keys, shares, strict=False)), shares[-2], shares[-1])


def divide(share: Share, times: Mapping[Key, int], uses: Mapping[Key, int]) -> dict[Key, Share]:
    """
    Divide what a run was given among its parts.

    Parameters
    ----------
    share : Share
        The run's.
    times : mapping
        How long each was there, which the static part goes by.
    uses : mapping
        What each used, which the dynamic part goes by. What is only in one of both has none of
        the other; without any use, time stands in for it.

    Returns
    -------
    dict
        They add up to `share`, part by part.
    """
    keys = list(dict.fromkeys((*times, *uses)))
    by_time = [times.get(key, 0) for key in keys]
    by_use = [uses.get(key, 0) for key in keys]
    statics = apportion(share.static_uj, by_time if any(by_time) else by_use)
    dynamics = apportion(share.dynamic_uj, by_use if any(by_use) else by_time)
    return dict(zip(keys, map(Share, statics, dynamics), strict=True))
