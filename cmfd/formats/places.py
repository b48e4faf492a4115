"""Where content was, as other formats name it."""

from __future__ import annotations

from urllib.parse import SplitResult, quote, urlsplit

_LEGAL = "%:/?[]@!$&'()*+,;="


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


def reference(path: str, absolute: str | None, host: str) -> str:
    """
    Return a reference to where content was: an address, or ``file://HOST/PATH``.

    Parameters
    ----------
    path : str
        What a program named. Of an address, only what no reference has is quoted (RFC 3986), and
        ``#``, which a file's name may have.
    absolute : str or None
        Where that is on the host, if it is a path; None, or nothing, if that is not known.
    host : str
        On which host.
    """
    if address_of(path) is not None:
        return quote(path, safe=_LEGAL)
    return f"file://{quote(host)}{quote(absolute or '/' + path)}"
