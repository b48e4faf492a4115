"""Points in time as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def time_ns(text: str) -> int:
    """
    Read a point in time.

    Parameters
    ----------
    text : str
        ISO 8601: ``2026-11-22``, ``2026-11-22T14:30``, ``2026-11-22T13:30:00Z``; local time
        where it names no zone.

    Returns
    -------
    int
        Nanoseconds since 1970, UTC.

    Raises
    ------
    ValueError
        It is none.
    """
    zoned = f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text
    since = datetime.fromisoformat(zoned).astimezone() - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def iso(at_ns: int) -> str:
    """Write a time in ISO 8601, in UTC, to the microsecond."""
    at = _EPOCH + timedelta(microseconds=at_ns // 1000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
