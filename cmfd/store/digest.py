"""
The digest of a site's content: equal content, equal digest, in whatever database it lies.

Rows are encoded by their values alone, in a form that no database has a say
in, and sorted as bytes, so that neither collations nor local integers nor the
order of merges can show.
"""

from __future__ import annotations

import hashlib
import struct
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from cmfd.store.connection import sql, statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    Value = bytes | str | int | float | None

_HEADER = b"cmfd site content 1\n"
_INT, _FLOAT, _LENGTH = struct.Struct("<cq"), struct.Struct("<cd"), struct.Struct("<cI")
_LONG_BYTES = 256


def content_digest(db: sqlite3.Connection) -> str:
    """
    Return the sha256, in hex, of the logical content of a site index.

    Parameters
    ----------
    db : sqlite3.Connection
        Of schema ``site``. All of it is read in one transaction.
    """
    text_factory = db.text_factory
    db.text_factory = bytes
    db.execute("BEGIN")
    try:
        return digest_of(map(db.execute, statements(sql("site/digest"))))
    finally:
        db.text_factory = text_factory
        db.execute("ROLLBACK")


def digest_of(tables: Iterable[Iterable[tuple[Value, ...]]]) -> str:
    """Return the digest of what the queries of `sql/site/digest.sql` give, texts as bytes."""
    content = hashlib.sha256(_HEADER)
    for table in tables:
        for rows in _sorted_groups(table):
            content.update(b"".join(rows))
    return content.hexdigest()


def _sorted_groups(rows: Iterable[tuple[Value, ...]]) -> Iterable[list[bytes]]:
    """Yield the encoded rows of each leading id, sorted: few enough to hold at once."""
    for _, group in groupby(rows, key=itemgetter(1)):
        yield sorted(b"".join(map(_encoded, row)) for row in group)


def _encoded(value: Value) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, int):
        return _INT.pack(b"i", value)
    if isinstance(value, float):
        # Zero has two signs that databases neither tell apart nor always keep.
        return _FLOAT.pack(b"f", value + 0.0)
    data = value.encode() if isinstance(value, str) else value
    if len(data) > _LONG_BYTES:
        return b"h" + hashlib.sha256(data).digest()
    return _LENGTH.pack(b"s", len(data)) + data
