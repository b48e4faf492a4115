"""Dropping from a node store what is published as a whole."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping


def purge(db: sqlite3.Connection, before_ns: int, uids: Collection[int] = ()) -> list[bytes]:
    """
    Drop runs that were published as a whole before a time, in the current transaction.

    Those of some users are dropped whenever they were published.

    What was committed of a journal stays noted as long as the journal is there:
    it would be taken in anew otherwise.

    Returns
    -------
    list of bytes
        The runs that are no longer there.
    """
    queries = named("node/purge")
    before = {"before_ns": before_ns, "uids": json.dumps(list(uids))}
    runs = [bytes(run) for (run,) in db.execute(queries["purgeable"], before)]
    for run in runs:
        drop_run(db, run)
        # Not in `drop_run`: that is also for what others said of a run, and energy nobody says.
        _each(db, "end_", [{"run": run}])
    _each(db, "old_", [before])
    if runs:
        _each(db, "clean_", [{}])
    idle = db.execute(queries["idle"], before).fetchall()
    _each(db, "empty_", [{"instance": instance} for instance, _ in idle])
    gone = [instance for instance, journal in idle if not os.path.lexists(journal)]
    _each(db, "forget_", [{"instance": instance} for instance in gone])
    return runs


def drop_run(db: sqlite3.Connection, run: bytes) -> None:
    """Drop all that is said of a run, and of its executions."""
    _each(db, "drop_", [{"run": run}])


def _each(db: sqlite3.Connection, prefix: str, parameters: Iterable[Mapping[str, object]]) -> None:
    """Run the statements of a prefix, in the order of their file, once for each parameter set."""
    for name, query in named("node/purge").items():
        if name.startswith(prefix):
            db.executemany(query, parameters)
