"""
The factors of hours as numbers that a database multiplies energy by, exactly.

SQLite's integers have 64 bits. So an intensity is an integer here, in parts of 20 bits each, and
energy is multiplied by each part, 20 bits at a time.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon.model import Weighed

if TYPE_CHECKING:
    from cmfd.carbon.spread import Course

HOUR_NS = 3_600_000_000_000
_BITS = 20


class Factor(NamedTuple):
    """The intensity of an hour, or a part of it."""

    at: int
    """Number of a node."""
    began_ns: int
    part: int
    """So many times 20 bits are below it."""
    kind: int
    """Hours of a node that have the same one differ in nothing but intensity."""
    grams: int


class Product(NamedTuple):
    """What a database makes of energy in hours of one kind."""

    first_ns: int
    """When the first of them begins."""
    last_ns: int
    """When the last one does."""
    uj: int
    high: int
    """Sum of what is above 40 bits of an hour's microjoules, times the part of its intensity."""
    middle: int
    """The same of the 20 bits below."""
    low: int
    """And of those below these."""


class Hours:
    """
    The factors of each hour of some nodes.

    Attributes
    ----------
    factors : list of Factor
        By node and time; of some intensities several parts.
    """

    def __init__(self) -> None:
        self.factors: list[Factor] = []
        self._denominators: dict[int, int] = {}
        self._nodes: dict[int, str] = {}

    def add(self, at: int, node: str, course: Course, span: tuple[int, int]) -> None:
        """Add a node, whose factors are known."""
        self._denominators[at], self._nodes[at] = course.denominator, node
        for began_ns, kind, grams in course.steps(HOUR_NS):
            if span[0] <= began_ns < span[1]:
                for part in range(max(-(-grams.bit_length() // _BITS), 1)):
                    bits = grams >> _BITS * part & (1 << _BITS) - 1
                    self.factors.append(Factor(at, began_ns, part, kind, bits))

    def add_none(self, at: int, node: str, t0_ns: int, t1_ns: int) -> None:
        """Add a node of which nothing is known."""
        self._denominators[at], self._nodes[at] = 1, node
        self.factors += [Factor(at, began_ns, 0, 0, 0) for began_ns in range(t0_ns, t1_ns, HOUR_NS)]

    def weighed(self, at: int, part: int, grade: str, product: Product) -> Weighed:
        """Return energy that was multiplied by a part of factors; its own sum is in the first."""
        first_ns, last_ns, uj, high, middle, low = product
        whole = (high << 2 * _BITS) + (middle << _BITS) + low
        weighted = Fraction(whole << _BITS * part, self._denominators[at])
        return Weighed(
            self._nodes[at], grade, first_ns, last_ns + HOUR_NS, 0 if part else uj, weighted
        )


def merged(one: Weighed, other: Weighed) -> Weighed:
    """Add up energy of one node, grade and kind of hours."""
    return one._replace(
        first_ns=min(one.first_ns, other.first_ns),
        end_ns=max(one.end_ns, other.end_ns),
        uj=one.uj + other.uj,
        weighted=one.weighted + other.weighted,
    )
