"""What takes packs in: a site's index, in whatever database; and what all of them do alike."""

from __future__ import annotations

import re
import time
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from cmfd.store.connection import named, sql, statements
from cmfd.store.content import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from cmfd.errors import PackError

INCOMING = re.compile(r"\bincoming\.(\w+)")
"""What the statements of `sql/site/absorb*.sql` call a table of packs."""


class Store(Protocol):
    """A site's index, open for absorbing packs, or only to be looked at."""

    def close(self) -> None:
        """Close the index; what was absorbed is on disk."""

    def has(self, digest: str) -> bool:
        """Say whether the pack of this sha256 was absorbed."""
        raise NotImplementedError

    def ledger(self) -> set[str]:
        """Return the sha256 of every absorbed pack."""
        raise NotImplementedError

    def packs_together(self) -> list[tuple[int, str, str]]:
        """Return run, node and sha256 of packs of one run each, in that order, the last first."""
        raise NotImplementedError

    def digest(self) -> str:
        """
        Return the sha256 of the logical content: equal for equal content, in whatever database.

        Raises
        ------
        StoreError
            The index cannot be read, or who asks may not see all of it.
        """
        raise NotImplementedError

    def damage(self) -> str:
        """Return what is wrong with the index's file, if it has one; else nothing."""
        raise NotImplementedError

    def absorb_group(
        self, packs: Sequence[tuple[Path, str]], *, sum_up: bool = False
    ) -> list[bool | PackError]:
        """
        Take in up to `cmfd.store.site.MAX_GROUP` packs in one transaction.

        Each is taken wholly or not at all. Whoever else reads the index sees all of them, or none.

        Parameters
        ----------
        packs : sequence of (Path, str)
            Files that `cmfd.store.pack.open_pack` has checked, and their sha256.
        sum_up : bool
            No more come after these: where each transaction waits for a disk, a first batch of sums
            is to be made in the same one. `sum_up` finds then that it has nothing to do, mostly.

        Returns
        -------
        list of bool or PackError
            For each pack whether it was new, or why nothing of it was taken.

        Raises
        ------
        SiteBusyError
            Others kept the index busy for too long; nothing of any of them was taken.
        StoreError
            The index cannot be written (no space, no right, no server, damaged); likewise.
        """
        raise NotImplementedError

    def sum_up(self) -> None:
        """
        Make anew what sums of reports are out of date: to be done when a merge is.

        Raises
        ------
        SiteBusyError, StoreError
            As for `absorb_group`; those that are still out of date are made by the next merge, and
            until then by who reads.
        """


class Database(Protocol):
    """A connection to an index."""

    def execute(self, query: str, parameters: Any = (), /) -> Any:
        """Execute a statement, and return a cursor."""
        raise NotImplementedError


def take(
    db: Database, there: AbstractSet[str], group: Callable[[str], str], every: Callable[[str], str]
) -> None:
    """
    Take what was copied of a group of packs into an index, but for chunks.

    Parameters
    ----------
    db : Database
        Of the index, in a transaction.
    there : set of str
        Tables of which something was copied.
    group, every : callable
        Given a statement about ``incoming.x``, returns one about where such rows were copied to: of
        each key the one that wins, or all.
    """
    copies = dict(named("site/absorb_copies"))
    (may_be,) = db.execute(every(copies.pop("may_be"))).fetchone()
    steps = (_statements("site/absorb"), copies.values() if may_be else ())
    for statement in chain(*steps, _statements("site/absorb_energy")):
        if not there.isdisjoint(named_in(statement)):
            db.execute(group(statement))


@cache
def _statements(name: str) -> list[str]:
    return list(statements(sql(name)))


@cache
def named_in(statement: str) -> frozenset[str]:
    """Return the tables of packs that a statement is about."""
    return frozenset(INCOMING.findall(statement)) & layout().keys()


def put_down(
    db: Database,
    there: AbstractSet[str],
    number: int,
    pack: tuple[Path, str],
    every: Callable[[str], str],
) -> None:
    """
    Put down a pack whose rows were taken, with what it is about.

    Parameters
    ----------
    db, there : Database, set of str
        As for `take`.
    number : int
        Which pack of its group.
    pack : (Path, str)
        Its file, and its sha256.
    every : callable
        As for `take`.
    """
    path, digest = pack
    queries = named("site/absorb_packs")
    asked = {"pack_no": number, "digest": digest}
    label = {"size_bytes": path.stat().st_size, "merged_ns": time.time_ns()}
    db.execute(every(queries["ledger"]), asked | label)
    if not db.execute(every(queries["about"]), asked).rowcount:
        db.execute(every(queries["about_parts"]), asked)
        if "energy" in there:
            db.execute(every(queries["about_energy"]), asked)
