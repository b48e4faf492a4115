"""Where content was, as other formats name it."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def parts_of(path: str) -> SplitResult:
    """
    Split a path into the parts of a URL.

    Parameters
    ----------
    path : str
        What a program named: a path, a URL, or what only looks like one, as ``http://[x``, which is
        a path of no scheme.
    """
    try:
        return urlsplit(path)
    except ValueError:
        return SplitResult("", "", path, "", "")
