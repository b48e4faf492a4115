"""
Results for machines: JSON and CSV.

Keys carry their unit (``_ns``, ``_bytes``, ``_s``) and values are never rounded. JSON knows no NaN
and no infinity: they are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, here and in
CSV; ``null`` means that there is no value. A parameter's ``type`` tells such a string from a
parameter that is a string. Integers are written whole, also beyond 2**53.
"""

from __future__ import annotations

import csv
import json
from typing import IO, TYPE_CHECKING, Any

import msgspec

from cmfd.query.results import nonfinite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def to_json(document: object, *, indent: int = 2) -> str:
    """
    Encode a result, its structs as objects.

    Parameters
    ----------
    document : object
        Structs, lists, dictionaries and scalars.
    indent : int
        Blanks a level; 0 keeps it on one line.

    Returns
    -------
    str
        JSON, ending without a newline.
    """
    plain = _spell(msgspec.to_builtins(document))
    # Not msgspec's encoder: it has no form for integers of more than 64 bits.
    return json.dumps(plain, indent=indent or None, ensure_ascii=False, allow_nan=False)


def _spell(value: Any) -> Any:
    """Return `value` with every NaN and infinity in it as its word."""
    if isinstance(value, float):
        return nonfinite(value) or value
    if isinstance(value, dict):
        return {key: _spell(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell(item) for item in value]
    return value


def write_csv(stream: IO[str], headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """
    Write a table as CSV (RFC 4180, but with plain newlines).

    Parameters
    ----------
    stream : text file
        Where to.
    headings : sequence of str
        The first line.
    rows : iterable of sequence
        None becomes an empty field.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([_spell(cell) for cell in row] for row in rows)
