"""
How a cost is shared: among the executions of a run, among what was made from something.

All of it in integers, so that the shares of something always add up to it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cmfd.energy.split import apportion

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    K = TypeVar("K", bound=Hashable)


class Span(NamedTuple):
    """When something was, in nanoseconds; half-open."""

    began_ns: int
    ended_ns: int


def divide(amount: int, weights: Sequence[int]) -> list[int]:
    """
    Divide an amount by weights, each counting the same where all are 0; the parts add up to it.

    Parameters
    ----------
    amount : int
        Not negative.
    weights : sequence of int
        None is negative.
    """
    return apportion(amount, weights if any(weights) else [1] * len(weights))


def own_time_ns(spans: Mapping[K, Span], parents: Mapping[K, K | None]) -> dict[K, int]:
    """
    Return how long each execution ran while none of those nested in it did.

    Parameters
    ----------
    spans : mapping
        When each execution was.
    parents : mapping
        What each is nested in; None, or what is no key of `spans`: in nothing.
    """
    within: dict[K, list[Span]] = {name: [] for name in spans}
    for name, span in spans.items():
        parent = parents.get(name)
        if parent is not None and parent in within and parent != name:
            within[parent].append(span)
    return {name: _uncovered_ns(span, within[name]) for name, span in spans.items()}


def _uncovered_ns(span: Span, others: Sequence[Span]) -> int:
    """Return how much of a span none of the others covers."""
    free, at = 0, span.began_ns
    for other in sorted(others):
        free += max(min(other.began_ns, span.ended_ns) - at, 0)
        at = max(at, other.ended_ns)
    return free + max(span.ended_ns - at, 0)


def own_share_ns(spans: Mapping[K, Span], parents: Mapping[K, K | None]) -> dict[K, Fraction | int]:
    """
    Give each moment out once, to the executions that ran then.

    Parameters
    ----------
    spans : mapping
        When each execution was.
    parents : mapping
        What each is nested in; None, or what is no key of `spans`: in nothing.

    Returns
    -------
    dict
        Nanoseconds of each: of several at a time, each has the same part; one has none while any
        runs that is nested in it, at whatever depth. They add up to the time in which any ran.
    """
    found: dict[K, Fraction | int] = dict.fromkeys(spans, 0)
    edges = sorted(
        [(span.began_ns, True, name) for name, span in spans.items()]
        + [(span.ended_ns, False, name) for name, span in spans.items()],
        key=lambda edge: edge[:2],
    )
    running: set[K] = set()
    at_ns = 0
    for edge_ns, begins, name in edges:
        if running and edge_ns > at_ns:
            around: set[K] = _around(running, parents)
            inner = running - around or running
            for one in inner:
                # A fraction takes ten times as long as an integer to make and to add.
                found[one] += (
                    edge_ns - at_ns if len(inner) == 1 else Fraction(edge_ns - at_ns, len(inner))
                )
        at_ns = edge_ns
        if begins and spans[name].ended_ns > edge_ns:
            running.add(name)
        else:
            running.discard(name)
    return found


def _around(names: AbstractSet[K], parents: Mapping[K, K | None]) -> set[K]:
    """Return all that some executions are nested in."""
    found: set[K] = set()
    for name in names:
        parent = parents.get(name)
        while parent is not None and parent not in found:
            found.add(parent)
            parent = parents.get(parent)
    return found


def finals(made: Mapping[K, AbstractSet[K]]) -> set[K]:
    """
    Return what nothing else was made from: the ends that a cost comes to rest at.

    Parameters
    ----------
    made : mapping
        For each artifact, all that was made from it, at any distance. What is made from each
        other (the same content, written again and again) counts as one end together.
    """
    return {
        one
        for one, after in made.items()
        if all(one in made.get(other, ()) for other in after if other != one)
    }
