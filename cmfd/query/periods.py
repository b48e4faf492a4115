"""Half-open times, and the months of UTC."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NEVER_NS, EVER_NS = 0, 4_000_000_000_000_000_000
"""Before and after all that is recorded."""

_NANO = 1_000_000_000


class Period(NamedTuple):
    """A half-open time."""

    since_ns: int
    until_ns: int

    def overlap_ns(self, began_ns: int, ended_ns: int) -> int:
        """Return how much of another time is in it."""
        return max(min(ended_ns, self.until_ns) - max(began_ns, self.since_ns), 0)


EVER = Period(NEVER_NS, EVER_NS)


def month_name(at_ns: int) -> str:
    """Return what the month of an instant is called, as ``2026-11``."""
    return _at(at_ns).strftime("%Y-%m")


def months(began_ns: int, ended_ns: int, whole: Period = EVER) -> Iterator[Period]:
    """
    Yield the months that something was in, each as far as it is in a longer time.

    Parameters
    ----------
    began_ns, ended_ns : int
        When it was; without a length, it is in one month.
    whole : Period
        The longer time.
    """
    at_ns = max(began_ns, whole.since_ns)
    last_ns = min(max(ended_ns, began_ns + 1), whole.until_ns)
    while at_ns < last_ns:
        month = _at(at_ns).replace(day=1, hour=0, minute=0, second=0)
        after = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        yield Period(
            max(int(month.timestamp()) * _NANO, whole.since_ns),
            min(int(after.timestamp()) * _NANO, whole.until_ns),
        )
        at_ns = int(after.timestamp()) * _NANO


def _at(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // _NANO, timezone.utc)
