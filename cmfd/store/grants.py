"""What may be granted of an index in PostgreSQL, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Grant(NamedTuple):
    """
    Some runs that somebody may see.

    Attributes
    ----------
    role : str
        A user of the database, or a group of users.
    kind : str
        By what the runs are chosen: ``all``, ``user``, ``project`` or ``pipeline``.
    value : str
        Of which user, project or pipeline; empty of kind ``all``.
    """

    role: str
    kind: str
    value: str


def told(grants: Iterable[Grant]) -> str:
    """Return in words which runs are granted."""
    named = [f"of {one.kind} {one.value}" if one.value else "of everybody" for one in grants]
    return f"runs {', '.join(named)}"
