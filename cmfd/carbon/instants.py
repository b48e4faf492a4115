"""Points in time of factors: UTC, said in full; nothing is guessed of a zone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_US = timedelta(microseconds=1)


def instant_ns(text: str) -> int:
    """
    Read a point in time that says itself that it is UTC.

    Parameters
    ----------
    text : str
        ISO 8601 with ``Z`` or ``+00:00``, as ``2026-03-29T00:30Z``.

    Raises
    ------
    ValueError
        It is none, or of another zone, or of none; the message says which.
    """
    try:
        found = datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] in "Zz" else text)
    except ValueError:
        raise ValueError(f"{text!r} is no time such as 2026-03-29T00:30:00Z") from None
    return datetime_ns(found)


def datetime_ns(found: datetime) -> int:
    """
    Return nanoseconds since 1970 of a time in UTC.

    Raises
    ------
    ValueError
        It is of another zone, or of none.
    """
    if found.tzinfo is None:
        raise ValueError(f"{found.isoformat()} has no zone: say it in UTC, with Z at its end")
    if found.utcoffset():
        raise ValueError(f"{found.isoformat()} is not in UTC: say it in UTC, with Z at its end")
    return (found - EPOCH) // _US * 1000


def instant(ns: int) -> str:
    """Write a point in time: ``2026-03-29T00:30:00Z``, with microseconds only where it has any."""
    return (EPOCH + timedelta(microseconds=ns // 1000)).isoformat().replace("+00:00", "Z")
