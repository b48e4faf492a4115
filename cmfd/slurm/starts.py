"""
Which records are of which start of a job.

A job that was requeued has a record of each start, and few releases of SLURM say of which. So all
starts that are known are matched with all records, each with one at most: a record that is late, or
gone, leaves its own start without one, and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cmfd.slurm.records import Record

SLACK_S = 300
"""By how much the clocks of a node and of the controller may differ."""

_EXACT_S = 5
"""By how much they may where nothing but the time speaks for a record."""

_NEVER = float("inf")


class Start(NamedTuple):
    """A start of a job, as those know it who ran in it."""

    restart: int
    """How often the job was requeued before."""
    began_s: float | None
    """A time at which it ran, by the clock of a node."""


def by_job(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each job, by all that users and services call it."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for name in dict.fromkeys(_names(record)):
            found.setdefault(name, []).append(record)
    return found


def records_of(records: Sequence[Record], starts: Sequence[Start]) -> dict[Start, list[Record]]:
    """
    Choose the records of each start of a job.

    Parameters
    ----------
    records : sequence of Record
        Of a job: see `by_job`.
    starts : sequence of Start
        All that are known, also those of no interest: what is theirs is no other's.

    Returns
    -------
    dict of Start to list of Record
        For each start one, also for each of those that are one and the same; of a het job one for
        each component, the leader's first. Empty if there is none.
    """
    found: dict[Start, list[Record]] = {start: [] for start in starts}
    ordered = sorted(found, key=lambda start: (start.began_s or 0, start.restart))
    for component in sorted({record.het_component or 0 for record in records}):
        told = [record for record in records if (record.het_component or 0) == component]
        matched = dict(_matched(ordered, sorted(told, key=_order)))
        for start in found:
            record = matched.get(start) or _of_the_same(start, matched)
            found[start] += [record] if record else []
    return found


def _names(record: Record) -> tuple[str, ...]:
    """Return what a record's job is called: of an array's task a Prolog knows only the number."""
    names = [str(record.job)]
    if record.array_task is not None:
        names.append(f"{record.array_job}_{record.array_task}")
    if record.het_job:
        names.append(str(record.het_job))
    return tuple(names)


def _order(record: Record) -> tuple[int, int]:
    return record.submit_time_s or 0, record.start_time_s or 0


def _of_the_same(start: Start, matched: Mapping[Start, Record]) -> Record | None:
    """Return the record of a start that is known twice: by two runs that began in it."""
    for other, record in matched.items():
        if other.restart == start.restart and _apart_s(start, record) <= SLACK_S:
            return record
    return None


def _matched(starts: Sequence[Start], records: Sequence[Record]) -> list[tuple[Start, Record]]:
    """Match starts with records, both in the order of time."""
    counted = _by_number(starts, records)
    return _by_time(starts, records) if counted is None else counted


def _by_number(
    starts: Sequence[Start], records: Sequence[Record]
) -> list[tuple[Start, Record]] | None:
    """
    Give each start the record of its number, if that is one of a time at which it ran.

    Numbers mislead where the first records are gone, and where they are of another job that had
    the same number before. Clocks mislead where they differ by more than a start took.
    """
    if any(record.restart is not None for record in records):
        return None
    if not all(start.restart < len(records) for start in starts):
        return None
    pairs = [(start, records[start.restart]) for start in starts]
    n_taken = len({start.restart for start in starts})
    is_of_them = all(_apart_s(*pair) <= SLACK_S for pair in pairs)
    return pairs if is_of_them and n_taken == len(starts) else None


def _by_time(starts: Sequence[Start], records: Sequence[Record]) -> list[tuple[Start, Record]]:
    """
    Match as many as possible, in order; of several ways the one that is closest in time.

    A record that has not the place among them that a start's number says must be of its very time:
    it may be of the start before, whose own has not come, or of the one after.
    """
    # The best for the starts so far and the first 0, 1, ... records: unmatched, apart, matched.
    best: list[tuple[int, float, tuple[tuple[int, int], ...]]] = [(0, 0.0, ())] * (len(records) + 1)
    for i, start in enumerate(starts):
        left_out = [(n_left + 1, apart_s, pairs) for n_left, apart_s, pairs in best]
        now = left_out[:1]
        for j, record in enumerate(records):
            ways = [now[j], left_out[j + 1]]
            is_of_number = start.restart in (j, record.restart)
            apart_s = _apart_s(start, record)
            if apart_s <= (SLACK_S if is_of_number else _EXACT_S):
                n_left, so_far_s, pairs = best[j]
                ways.append((n_left, so_far_s + apart_s, (*pairs, (i, j))))
            now.append(min(ways))
        best = now
    return [(starts[i], records[j]) for i, j in best[-1][2]]


def _apart_s(start: Start, record: Record) -> float:
    """Return how far a start is in time from what a record is of; never, of another number."""
    if record.restart not in (None, start.restart):
        return _NEVER
    if start.began_s is None:
        return 0.0
    # Of a start that is to come, the time is known at which the job was queued.
    begin_s = record.start_time_s or record.submit_time_s
    if begin_s is None:
        return _NEVER
    end_s = record.end_time_s or _NEVER
    return max(begin_s - start.began_s, start.began_s - end_s, 0.0)
