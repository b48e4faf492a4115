"""
Slices: named parts of data sets, each the same slice wherever it has the same members.

The identity of a slice is the SHA-256 of its members, written as a JSON object with sorted keys
and no blanks: ``{"of": <digest of the data set>, "rows": [[0, 100], ...]}`` or, of whole files,
``{"files": [[<path>, <digest>], ...]}``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALGORITHM = "slice"
"""What comes before the colon of such a digest."""


def slice_digest(document: str) -> str:
    """Return the identity of the slice that has these members."""
    content = document.encode("utf-8", "surrogatepass")
    return f"{ALGORITHM}:{hashlib.sha256(content).hexdigest()}"


def rows_document(of: str, rows: Iterable[int | tuple[int, int]]) -> str:
    """
    Write down the rows of a data set that are a slice of it.

    Parameters
    ----------
    of : str
        Digest of the data set.
    rows : iterable of int or (int, int)
        Row numbers, and ranges ``[first, end)``; in any order, overlapping or not.

    Returns
    -------
    str
        The same text for the same rows.

    Raises
    ------
    ValueError
        A row is negative, or a range has no rows.
    """
    return _text({"of": of, "rows": _ranges(rows)})


def files_document(digests: Mapping[str, str]) -> str:
    """
    Write down the files that are a slice.

    Parameters
    ----------
    digests : mapping of str to str
        Digest by path.
    """
    return _text({"files": sorted(map(list, digests.items()))})


def _ranges(rows: Iterable[int | tuple[int, int]]) -> list[list[int]]:
    """Return sorted ranges that do not touch each other."""
    wanted = sorted(row if isinstance(row, tuple) else (row, row + 1) for row in rows)
    ranges: list[list[int]] = []
    for first, end in wanted:
        if not 0 <= first < end:
            raise ValueError(f"no rows: {first} to {end}")
        if ranges and first <= ranges[-1][1]:
            ranges[-1][1] = max(ranges[-1][1], end)
        else:
            ranges.append([first, end])
    return ranges


def _text(members: Mapping[str, Any]) -> str:
    return json.dumps(members, sort_keys=True, separators=(",", ":"))
