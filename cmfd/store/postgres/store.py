"""
A site's index in PostgreSQL, open for absorbing packs: as `cmfd.store.site.SiteStore` in SQLite.

One merger at a time writes to an index: an advisory lock, which ends with its transaction, however
that ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import psycopg

from cmfd.errors import PackError, StoreError
from cmfd.store.absorbing import named_in, put_down, take
from cmfd.store.connection import named, sql, statements
from cmfd.store.digest import digest_of
from cmfd.store.postgres import schema, staging
from cmfd.store.postgres.connection import PostgresIndex, explained
from cmfd.store.sums import is_stale, refresh

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

_COUNTED = ("run", "execution", "artifact", "environment", "series", "note", "meter", "pack")
"""Tables whose rows are numbered."""


class PostgresStore:
    """
    A site's index, open for absorbing packs: a `cmfd.store.absorbing.Store`.

    Parameters
    ----------
    url, schema_name : str
        As for `PostgresIndex`.
    readonly : bool
        Only look at it, as it is.

    Raises
    ------
    StoreError
        It cannot be used as it is; it was left unchanged.
    """

    def __init__(self, url: str, schema_name: str, *, readonly: bool = False) -> None:
        self._db = PostgresIndex(url, schema_name)
        self.where = self._db.url
        try:
            with explained(self.where):
                if readonly:
                    schema.check(self._db)
                else:
                    schema.set_up(self._db)
        except BaseException:
            self._db.close()
            raise

    @property
    def db(self) -> PostgresIndex:
        """The connection."""
        return self._db

    def close(self) -> None:
        """Close the index; what was absorbed is on disk."""
        self._db.close()

    def has(self, digest: str) -> bool:
        """Say whether the pack of this sha256 was absorbed."""
        found = self._db.execute("SELECT 1 FROM pack WHERE digest = ?", (digest,))
        return found.fetchone() is not None

    def ledger(self) -> set[str]:
        """Return the sha256 of every absorbed pack."""
        return {row[0] for row in self._db.execute("SELECT digest FROM pack")}

    def packs_together(self) -> list[tuple[int, str, str]]:
        """Return run, node and sha256 of packs of one run each, in that order, the last first."""
        return self._db.execute(named("site/upkeep")["together"]).fetchall()

    def digest(self) -> str:
        """Return the sha256 of the logical content: equal for equal content."""
        return content_digest(self._db)

    def damage(self) -> str:
        """Return nothing: the server sees to its files."""
        return ""

    def absorb_group(
        self, packs: Sequence[tuple[Path, str]], *, sum_up: bool = False
    ) -> list[bool | PackError]:
        """Take in some packs in one transaction: see `cmfd.store.absorbing.Store`."""
        del sum_up  # a server writes its log once, and does not wait long
        try:
            with explained(self.where):
                return self._absorb_all(packs)
        except StoreError as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            if len(packs) == 1:
                return [refusal]
        # One of them is not what it must be; alone, each shows whether it is the one.
        return [outcome for pack in packs for outcome in self.absorb_group([pack])]

    def _absorb_all(self, packs: Sequence[tuple[Path, str]]) -> list[bool | PackError]:
        with self._db.staging(), schema.atomic(self._db):
            schema.lock(self._db)
            new = {digest: path for path, digest in packs if not self.has(digest)}
            if new:
                self._renumber()
                copied = [
                    staging.copy(self._db, number, path) for number, path in enumerate(new.values())
                ]
                there = {table for counts in copied for table, n in counts.items() if n}
                staging.analyze(self._db, there)
                take(self._db, there, self._group, self._every)
                self._take_chunks(sum(counts["chunk"] for counts in copied))
                for number, (digest, path) in enumerate(new.items()):
                    put_down(self._db, there, number, (path, digest), self._every)
        return [new.pop(digest, None) is not None for _, digest in packs]

    def _renumber(self) -> None:
        """Let numbers go on from the last one: an attempt to insert takes one in any case."""
        self._db.raw.execute("; ".join(map(_going_on, _COUNTED)).encode())

    def _group(self, statement: str) -> str:
        staging.make(self._db, named_in(statement))
        return staging.of_group(statement)

    def _every(self, statement: str) -> str:
        staging.make(self._db, named_in(statement))
        return staging.of_every(statement)

    def _take_chunks(self, n_chunks: int) -> None:
        queries = named("site/absorb_chunks")
        if n_chunks and self._db.execute(self._every(queries["new"])).rowcount < n_chunks:
            self._db.execute(self._every(queries["series"]))
            self._db.execute(self._group(queries["grow"]))

    def sum_up(self) -> None:
        """Make anew what sums of reports are out of date."""
        db = cast("sqlite3.Connection", self._db)
        while is_stale(db):
            with explained(self.where), schema.atomic(self._db):
                schema.lock(self._db)
                refresh(db)


def content_digest(db: PostgresIndex) -> str:
    """
    Return the digest of the content of an index: see `cmfd.store.digest`.

    Raises
    ------
    StoreError
        Who asks may not see all of it.
    """
    if db.is_restricted:
        raise StoreError(
            f"You see only a part of the index {db.url}, and the digest is of all of it; nothing"
            " was changed. Ask whose it is"
        )
    with schema.atomic(db):
        db.raw.execute(b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return digest_of(map(db.stream, statements(sql("site/digest"))))


def _going_on(table: str) -> str:
    number = f"pg_get_serial_sequence('{table}', 'id')"
    return f"SELECT setval({number}, max(id) + 1, false) FROM {table} HAVING max(id) IS NOT NULL"  # noqa: S608 - names of our own tables


def _refusal(error: StoreError) -> PackError | None:
    """Return what is wrong with a pack that gave an error; None if that is the index's."""
    if isinstance(error, PackError):
        return error
    if isinstance(error.__cause__, (psycopg.IntegrityError, psycopg.DataError)):
        return PackError(f"foreign: a row is not of its table's types: {error.__cause__}")
    if isinstance(error.__cause__, psycopg.errors.ProgramLimitExceeded):
        return PackError(f"a row is larger than PostgreSQL takes: {error.__cause__}")
    return None
