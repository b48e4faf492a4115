"""
Energy spread over the pieces of a timeline, exactly.

Whole microjoules stay integers; what a border cuts becomes a fraction, not a rounded part. So
no order of rows, and no division of a row in time or among owners, changes a sum.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cmfd.carbon.timeline import Piece

Rows = dict[tuple[int, int, str], int]
"""Microjoules by when their time begins, how long it is, and grade."""

Energy = dict[str, Fraction]
"""Microjoules by grade."""


def span_ns(rows: Mapping[tuple[int, int, str], int]) -> tuple[int, int]:
    """Return from when to when rows are; a row without a length takes a nanosecond."""
    ends = (t0_ns + max(dur_ns, 1) for t0_ns, dur_ns, _ in rows)
    return min(t0_ns for t0_ns, _, _ in rows), max(ends)


def spread(rows: Mapping[tuple[int, int, str], int], pieces: Sequence[Piece]) -> list[Energy]:
    """
    Return the energy in each piece.

    Parameters
    ----------
    rows : mapping
        As `Rows`.
    pieces : sequence of Piece
        Ascending, without gaps, over all of the rows' time.
    """
    found: list[Energy] = [defaultdict(Fraction) for _ in pieces]
    whole: dict[tuple[int, str], int] = defaultdict(int)
    starts = [piece.began_ns for piece in pieces]
    for (t0_ns, dur_ns, grade), uj in rows.items():
        at = bisect_right(starts, t0_ns) - 1
        if t0_ns + dur_ns <= pieces[at].ended_ns:
            whole[at, grade] += uj
            continue
        for number in range(at, bisect_right(starts, t0_ns + dur_ns - 1)):
            piece = pieces[number]
            inside = min(t0_ns + dur_ns, piece.ended_ns) - max(t0_ns, piece.began_ns)
            found[number][grade] += Fraction(uj * inside, dur_ns)
    for (at, grade), uj in whole.items():
        found[at][grade] += uj
    return found
