"""
The site index: the union of all packs of a site, in one SQLite database.

It can be rebuilt from the packs at any time. It lies wherever the site lies,
network filesystems included, so it has a rollback journal and never a
write-ahead log; the merge lock sees to it that one process writes.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from cmfd.errors import PackError, SiteBusyError, StoreError
from cmfd.store import staging
from cmfd.store.absorbing import put_down, take
from cmfd.store.connection import atomic, connect, named, statements
from cmfd.store.migrations import check, migrate, refresh_views, version_of
from cmfd.store.pack import damage, open_untrusted, put_in_memory
from cmfd.store.shared import follow
from cmfd.store.sums import is_stale, refresh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MAX_GROUP = 8
"""Packs that one transaction takes at most: SQLite attaches up to ten databases, one is memory."""

_PRAGMAS = """\
PRAGMA journal_mode = TRUNCATE;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
PRAGMA secure_delete = OFF;
PRAGMA cell_size_check = ON;
"""
# Truncated and not deleted: a new journal file for each commit is slow on a parallel filesystem.
# 64 MiB of cache: what a group of packs changes stays in memory until its commit, which is the
# only time that readers must wait. Cell sizes: a pack with broken pages is an error, not less rows.


class SiteStore:
    """
    A site's index, open for absorbing packs: a `cmfd.store.absorbing.Store`.

    Parameters
    ----------
    path : Path
        The database; made if missing, migrated if older.
    readonly : bool
        Only look at it, as it is.
    views : bool
        Give it those of this release; without, nobody but this process is to read it.

    Raises
    ------
    StoreError
        It cannot be used as it is; it was left unchanged.
    """

    def __init__(self, path: Path, *, readonly: bool = False, views: bool = True) -> None:
        self.path = path
        self._can_stage = False
        self._contents: dict[Path, bytes] = {}
        self._db = connect(path, readonly=readonly)
        if not readonly:
            follow(path)
        try:
            with index_errors(path):
                if readonly:
                    check(self._db, "site")
                else:
                    self._set_up(views=views)
        except BaseException:
            self._db.close()
            raise

    def _set_up(self, *, views: bool) -> None:
        for pragma in statements(_PRAGMAS):
            self._db.execute(pragma)
        migrate(self._db, "site")
        if views:
            refresh_views(self._db, "site/views")
        self._clear_journal()

    def _clear_journal(self) -> None:
        """
        Empty a journal that a killed writer began and had not made valid.

        SQLite has undone it already if it was valid, and passes over it if not,
        until the next write: this one, of what stands there already.
        """
        journal = self.path.with_name(f"{self.path.name}-journal")
        if journal.exists() and journal.stat().st_size:
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            self._db.execute(f"PRAGMA user_version = {version}")

    def close(self) -> None:
        """Close the index; what was absorbed is on disk."""
        self._db.close()

    def has(self, digest: str) -> bool:
        """Say whether the pack of this sha256 was absorbed."""
        return (
            self._db.execute("SELECT 1 FROM pack WHERE digest = ?", (digest,)).fetchone()
            is not None
        )

    def ledger(self) -> set[str]:
        """Return the sha256 of every absorbed pack."""
        return {row[0] for row in self._db.execute("SELECT digest FROM pack")}

    def packs_together(self) -> list[tuple[int, str, str]]:
        """Return run, node and sha256 of packs of one run each, in that order, the last first."""
        with index_errors(self.path):
            return self._db.execute(named("site/upkeep")["together"]).fetchall()

    def digest(self) -> str:
        """Return the sha256 of the logical content: equal for equal content."""
        from cmfd.store.digest import content_digest  # noqa: PLC0415 - hardly anybody asks

        with index_errors(self.path):
            return content_digest(self._db)

    def sum_up(self) -> None:
        """Make anew what sums of reports are out of date."""
        with index_errors(self.path):
            while is_stale(self._db):
                with atomic(self._db):
                    refresh(self._db)

    def damage(self) -> str:
        """Return what SQLite finds wrong with the index file, or nothing."""
        return damage(self._db)

    def absorb(self, pack: Path, digest: str, content: bytes | None = None) -> bool:
        """
        Take in all of a pack, or nothing of it; return whether it was new.

        Parameters
        ----------
        pack : Path
            A file that `cmfd.store.pack.open_pack` has checked.
        digest : str
            Its sha256.
        content : bytes, optional
            What `cmfd.store.pack.content_of` returned: it is taken in place of the file.

        Raises
        ------
        PackError
            It cannot be read or has rows that no pack may have.
        SiteBusyError, StoreError
            As for `absorb_group`.
        """
        self._contents = {} if content is None else {pack: content}
        try:
            (outcome,) = self.absorb_group([(pack, digest)])
        finally:
            self._contents = {}
        if isinstance(outcome, PackError):
            raise outcome
        return outcome

    def absorb_group(
        self, packs: Sequence[tuple[Path, str]], *, sum_up: bool = False
    ) -> list[bool | PackError]:
        """Take in some packs in one transaction: see `cmfd.store.absorbing.Store`."""
        with index_errors(self.path):
            try:
                return self._absorb_all(packs, sum_up=sum_up)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                if len(packs) == 1:
                    return [self._refusal(packs[0][0], error)]
        # One of them is not what it must be; alone, each shows whether it is the one.
        return [outcome for pack in packs for outcome in self.absorb_group([pack])]

    def _absorb_all(
        self, packs: Sequence[tuple[Path, str]], *, sum_up: bool
    ) -> list[bool | PackError]:
        new = {digest: path for path, digest in packs if not self.has(digest)}
        attached: dict[str, str] = {}
        try:
            # SQLite attaches no database inside a transaction.
            if new and not self._can_stage:
                staging.make(self._db)
                self._can_stage = True
            for number, (digest, path) in enumerate(new.items()):
                attached[self._attach(number, path)] = digest
            with atomic(self._db):
                if attached:
                    self._absorb_attached(attached, new)
                if attached and sum_up:
                    self._sum_up_along()
        finally:
            for schema in attached:
                self._db.execute(f"DETACH {schema}")
        return [new.pop(digest, None) is not None for _, digest in packs]

    def _sum_up_along(self) -> None:
        """Make sums in the transaction that is open."""
        self._db.execute("SAVEPOINT sums")
        try:
            refresh(self._db)
        except sqlite3.Error:
            if not self._db.in_transaction:  # of a full disk, say: nothing is left of it
                raise
            # The packs are not to blame: `sum_up` tries once more, and says what is wrong.
            self._db.execute("ROLLBACK TO sums")
        self._db.execute("RELEASE sums")

    def _attach(self, number: int, path: Path) -> str:
        schema = f"incoming_{number}"
        if path in self._contents:
            self._db.execute(f"ATTACH ':memory:' AS {schema}")
            put_in_memory(self._db, schema, self._contents[path])
            return schema
        # Immutable: without locks or journals beside it, whoever may own the file.
        uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
        self._db.execute(f"ATTACH ? AS {schema}", (uri,))
        return schema

    def _absorb_attached(self, attached: Mapping[str, str], paths: Mapping[str, Path]) -> None:
        packs = tuple((schema, version_of(self._db, schema)) for schema in attached)
        few = sum(path.stat().st_size for path in paths.values()) <= staging.MOST_BYTES
        there = staging.copy(self._db, packs) if few else staging.in_place(self._db, packs)
        rows = str if few else partial(staging.of_packs, packs)
        take(self._db, there, rows, rows)
        for number, (schema, digest) in enumerate(attached.items()):
            self._take_chunks(schema)
            put_down(self._db, there, number, (paths[digest], digest), rows)
        if few:
            staging.clear(self._db, there)

    def _take_chunks(self, schema: str) -> None:
        queries = staging.of_chunks(schema)
        n_new = self._db.execute(queries["new"]).rowcount
        if n_new < self._db.execute(queries["count"]).fetchone()[0]:
            self._db.execute(queries["series"])
            self._db.execute(queries["grow"])

    def _refusal(self, pack: Path, error: sqlite3.DatabaseError) -> PackError:
        """Return what is wrong with a pack that gave an error, unless that is the index's fault."""
        if isinstance(error, sqlite3.IntegrityError):
            # The index accepts every row that a pack may have.
            return PackError(f"foreign: a row is not of its table's types: {error}")
        with closing(open_untrusted(pack)) as db:
            found = damage(db)
        if not found:
            raise error
        return PackError(f"foreign: it is no sound SQLite database: {found}")


@contextmanager
def index_errors(path: Path) -> Iterator[None]:
    """Say what SQLite's errors mean for a site."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise SiteBusyError(
                f"other programs kept {path} locked ({error}); packs stay in the inbox."
                " Run cmfd merge again when they are done"
            ) from error
        raise StoreError(
            f"cannot write the site index {path}: {error}; packs stay in the inbox."
            " Check its permissions and the free space, then run cmfd merge again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"the site index {path} is damaged: {error}; the packs are whole."
            " Rebuild it from them: cmfd site reindex"
        ) from error
