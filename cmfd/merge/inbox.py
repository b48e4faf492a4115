"""
What waits in a site's inbox.

A file there is either a pack under its full name, put there by a rename and
never changed again, or something else, which is left alone.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cmfd.store.pack import is_pack_name, open_untrusted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.merge.layout import Site

_MOST_STEPS = 100_000
"""Of SQLite's machine, to read the one row of a pack's run: it takes some tens."""


def waiting(site: Site) -> list[Path]:
    """Return the packs in the inbox, by name, so that every merger goes in the same order."""
    return [path for path in _entries(site) if is_pack_name(path.name)]


def n_waiting(site: Site) -> int:
    """Count the packs in the inbox; thousands of mergers that are refused may ask at once."""
    try:
        return sum(map(is_pack_name, os.listdir(site.inbox)))  # noqa: PTH208 - names will do
    except FileNotFoundError:
        return 0


def others(site: Site) -> list[Path]:
    """Return what is in the inbox and is no pack: files still being written, or left by a crash."""
    return [path for path in _entries(site) if not is_pack_name(path.name)]


class Named(NamedTuple):
    """The run that a pack says it is of."""

    run: bytes
    uid: int
    job: str
    restart: int


def named_by(pack: Path) -> Named | None:
    """Return which run an unchecked pack says it is of; None if that cannot be read."""
    try:
        if not pack.is_file():  # a pipe, say, of which no end comes
            return None
        with closing(open_untrusted(pack)) as db:
            # What is called so may be a view of which no end comes, either.
            db.set_progress_handler(lambda: 1, _MOST_STEPS)
            row = db.execute("SELECT run, uid, job, restart FROM run").fetchone()
        return None if row is None else msgspec.convert(row, Named)
    except (sqlite3.Error, OSError, msgspec.ValidationError):
        return None


def n_of(site: Site, is_meant: Callable[[Named], bool], *, limit: int) -> int:
    """Count packs that wait and are of runs that are meant, looking into the first of many."""
    said = (named_by(pack) for pack in waiting(site)[:limit])
    return sum(one is not None and is_meant(one) for one in said)


def _entries(site: Site) -> list[Path]:
    try:
        return sorted(site.inbox.iterdir())
    except FileNotFoundError:
        return []
