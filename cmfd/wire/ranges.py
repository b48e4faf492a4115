"""
Sets of units as sorted, disjoint, half-open ranges: what was sent, what is committed.

Nearly always such a set is one range from 0, so lists and linear scans are
the fast way.
"""

from __future__ import annotations

Ranges = list[tuple[int, int]]


def add(ranges: Ranges, first: int, end: int) -> Ranges:
    """Return `ranges` with ``[first, end)`` in it, joined where they touch."""
    if first >= end:
        return ranges
    before = [item for item in ranges if item[1] < first]
    after = [item for item in ranges if item[0] > end]
    joined = ranges[len(before) : len(ranges) - len(after)]
    if joined:
        first = min(first, joined[0][0])
        end = max(end, joined[-1][1])
    return [*before, (first, end), *after]


def missing(ranges: Ranges, first: int, end: int) -> Ranges:
    """Return the parts of ``[first, end)`` that are not in `ranges`."""
    gaps: Ranges = []
    at = first
    for begin, stop in ranges:
        if stop <= at:
            continue
        if begin >= end:
            break
        if begin > at:
            gaps.append((at, begin))
        at = stop
    if at < end:
        gaps.append((at, end))
    return gaps


def covers(ranges: Ranges, first: int, end: int) -> bool:
    """Tell whether every unit of ``[first, end)`` is in `ranges`."""
    return not missing(ranges, first, end)
