"""Where content was, as other formats name it."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def address_of(path: str) -> SplitResult | None:
    """
    Return the parts of an address as ``s3://bucket/key``; None of a path.

    Parameters
    ----------
    path : str
        What a program named. What only looks like an address is a path: ``http://[x``,
        ``exp:1.csv``, ``hits.h5::/train/x``.
    """
    try:
        parts = urlsplit(path)
    except ValueError:
        return None
    return parts if parts.scheme and path[len(parts.scheme) :].startswith("://") else None
