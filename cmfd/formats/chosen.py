"""Which runs an export is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.query.filter import Filter
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3


def runs(db: sqlite3.Connection, where: str = "", *, after: int = 0) -> list[int]:
    """
    Return runs by their numbers in the index.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    where : str
        A filter: only runs of executions that it lets pass.
    after : int
        Only runs of which a pack was merged after this one, by its number; 0: all.

    Raises
    ------
    FilterError
        The filter cannot be understood.
    """
    condition, parameters = Filter(where, db).compiled(by_index=True)
    query = named("query/exported")["runs"].format(condition=condition)
    return [row[0] for row in db.execute(query, {**parameters, "after": after})]
