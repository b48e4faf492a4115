"""
Energy spread over the pieces of a timeline, exactly.

Whole microjoules stay integers; what a border cuts becomes a fraction, not a rounded part. So
no order of rows, and no division of a row in time or among owners, changes a sum.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from cmfd.carbon.model import Weighed
    from cmfd.carbon.timeline import Piece

Rows = dict[tuple[int, int, str], int]
"""Microjoules by when their time begins, how long it is, and grade."""


def span_ns(
    rows: Mapping[tuple[int, int, str], int], weighed: Iterable[Weighed] = ()
) -> tuple[int, int]:
    """Return from when to when energy is; a row without a length takes a nanosecond."""
    spans = [(t0_ns, t0_ns + max(dur_ns, 1)) for t0_ns, dur_ns, _ in rows]
    spans += [(one.first_ns, one.end_ns) for one in weighed]
    return min(began_ns for began_ns, _ in spans), max(ended_ns for _, ended_ns in spans)


@dataclass
class Lot:
    """
    Energy in pieces of time whose factors differ in nothing but the grid's intensity.

    Attributes
    ----------
    piece : Piece
        One of them.
    began_ns, ended_ns : int
        From the first of them to the last.
    uj : dict
        Microjoules by grade.
    weighted : dict
        The same, each times the intensity of its piece; zeroes where none is known.
    """

    piece: Piece
    began_ns: int
    ended_ns: int
    uj: dict[str, Fraction] = field(default_factory=dict)
    weighted: dict[str, Fraction] = field(default_factory=dict)


class Course:
    """
    The pieces of a place's timeline, ready for much energy to be spread over them.

    Parameters
    ----------
    pieces : sequence of Piece
        Ascending, without gaps.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self.began_ns, self.ended_ns = pieces[0].began_ns, pieces[-1].ended_ns
        self._starts = [piece.began_ns for piece in pieces]
        self._ends = [piece.ended_ns for piece in pieces]
        numbers: dict[Hashable, int] = {}
        self._kinds = [numbers.setdefault(_kind(piece), len(numbers)) for piece in pieces]
        grams = [piece.grid.gco2e_per_kwh if piece.grid else Fraction() for piece in pieces]
        # Of one denominator, so that very many products are of integers.
        self.denominator = math.lcm(*{one.denominator for one in grams})
        self._grams = [int(one * self.denominator) for one in grams]

    def steps(self, step_ns: int) -> Iterator[tuple[int, int, int]]:
        """
        Yield each step of time, with the number of its kind of piece and its intensity.

        Parameters
        ----------
        step_ns : int
            No piece begins or ends within one.

        Yields
        ------
        tuple of int
            When it begins; a number that pieces share that differ in intensity only; the intensity
            times `denominator`, 0 where none is known.
        """
        for began_ns, ended_ns, kind, grams in zip(
            self._starts, self._ends, self._kinds, self._grams, strict=True
        ):
            for at_ns in range(began_ns, ended_ns, step_ns):
                yield at_ns, kind, grams

    def lots(
        self, rows: Mapping[tuple[int, int, str], int], weighed: Iterable[Weighed] = ()
    ) -> list[Lot]:
        """
        Return where energy is, put together by factors.

        Parameters
        ----------
        rows : mapping
            As `Rows`; all within the course.
        weighed : iterable of Weighed
            More energy, whose intensity is in it already; likewise.
        """
        starts, ends, kinds, grams = self._starts, self._ends, self._kinds, self._grams
        weighed = list(weighed)
        sums, seen = self._begun(weighed)
        for (t0_ns, dur_ns, grade), uj in rows.items():
            at = bisect_right(starts, t0_ns) - 1
            whole = t0_ns + dur_ns <= ends[at]
            for number, part in ((at, uj),) if whole else self._parts(at, t0_ns, dur_ns, uj):
                kind = kinds[number]
                one = sums.get((kind, grade))
                if one is None:
                    sums[kind, grade] = [part, part * grams[number]]
                else:
                    one[0] += part
                    one[1] += part * grams[number]
                ends_of = seen.setdefault(kind, [number, number])
                if number < ends_of[0]:
                    ends_of[0] = number
                elif number > ends_of[1]:
                    ends_of[1] = number
        began_ns, ended_ns = span_ns(rows, weighed) if rows or weighed else (0, 0)
        lots = {
            kind: Lot(self._pieces[first], max(starts[first], began_ns), min(ends[last], ended_ns))
            for kind, (first, last) in sorted(seen.items(), key=lambda item: item[1])
        }
        for (kind, grade), (whole_uj, weighted) in sums.items():
            lots[kind].uj[grade] = Fraction(whole_uj)
            lots[kind].weighted[grade] = Fraction(weighted) / self.denominator
        return list(lots.values())

    def _begun(
        self, weighed: Iterable[Weighed]
    ) -> tuple[dict[tuple[int, str], list[Fraction | int]], dict[int, list[int]]]:
        """Return, by kind of piece and grade, microjoules and these times intensity; and where."""
        sums: dict[tuple[int, str], list[Fraction | int]] = {}
        seen: dict[int, list[int]] = {}
        for one in weighed:
            first = bisect_right(self._starts, one.first_ns) - 1
            last = bisect_right(self._starts, one.end_ns - 1) - 1
            kind = self._kinds[first]
            both = sums.setdefault((kind, one.grade), [0, 0])
            both[0] += one.uj
            both[1] += one.weighted * self.denominator
            ends_of = seen.setdefault(kind, [first, last])
            ends_of[:] = min(ends_of[0], first), max(ends_of[1], last)
        return sums, seen

    def _parts(
        self, at: int, t0_ns: int, dur_ns: int, uj: int
    ) -> Iterator[tuple[int, Fraction | int]]:
        """Yield what of a row over borders is in which piece."""
        for number in range(at, bisect_right(self._starts, t0_ns + dur_ns - 1)):
            piece = self._pieces[number]
            inside = min(t0_ns + dur_ns, piece.ended_ns) - max(t0_ns, piece.began_ns)
            yield number, Fraction(uj * inside, dur_ns)


def _kind(piece: Piece) -> Hashable:
    """Return what pieces have in common that differ in time and intensity only."""
    return id(piece.pue), piece.market, piece.grid and piece.grid._replace(gco2e_per_kwh=Fraction())
