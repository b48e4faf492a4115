"""Making a site's index anew from its packs, which are the truth."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import StoreError
from cmfd.merge import inbox
from cmfd.merge.absorb import absorb_files
from cmfd.merge.index import is_missing, open_database, open_store
from cmfd.merge.layout import open_site, set_index
from cmfd.merge.lock import merge_lock
from cmfd.merge.superseded import forget, superseded
from cmfd.store.connection import connect
from cmfd.store.shared import follow
from cmfd.store.site import SiteStore, index_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cmfd.merge.absorb import Progress
    from cmfd.merge.layout import Site
    from cmfd.store.absorbing import Store

PREFIX = "index-new-"
"""Begins the name of an index that is being built."""


def reindex(
    site_dir: Path,
    *,
    force: bool = False,
    to: str | None = None,
    progress: Progress | None = None,
) -> list[tuple[Path, str]]:
    """
    Build the index anew from the merged packs, and put it in place of the old.

    Parameters
    ----------
    site_dir : Path
        The site. Readers go on with what they read.
    force : bool
        Even if the index knows packs whose files are gone.
    to : str, optional
        Where the index is from now on: the address of a PostgreSQL database, or empty for a file of
        the site. Default: where it is.
    progress : callable, optional
        Called with the number of packs done and the number of all.

    Returns
    -------
    list of (Path, str)
        Packs that could not be taken, and why: their content is not in the new
        index. They were left where they are.

    Raises
    ------
    NotFoundError, ConfigError
        There is no usable site.
    SiteBusyError
        A merger is at work; the message says who. Nothing was changed.
    StoreError
        The new index cannot be written, or would lose what only the old one
        still has. The old one is in place.
    """
    site = open_site(site_dir)
    with merge_lock(site.lock):
        if force:
            forget(site)
        else:
            _check_nothing_is_lost(site)
        moved = site if to is None else msgspec.structs.replace(site, database=to)
        refused = rebuild(moved, progress=progress)
        if moved != site:
            set_index(site, moved.database)
            _remove(site)
    return refused


def _check_nothing_is_lost(site: Site) -> None:
    if is_missing(site):
        return
    try:
        with closing(open_store(site, readonly=True)) as index:
            ledger = index.ledger()
    except (StoreError, sqlite3.DatabaseError):
        return  # what is beyond reading cannot be lost
    # A merger that was killed after its commit left a pack in the inbox: the next merge takes it.
    waiting = {pack.stem for pack in inbox.waiting(site)}
    absent = ledger - waiting - superseded(site)
    gone = sorted(digest for digest in absent if not site.merged(digest).exists())
    if gone:
        raise StoreError(
            f"{len(gone)} packs of the index have no file any more ({gone[0]}.db, for one), so an"
            " index made from the files would lack them; the index was left as it is. Merge the"
            " packs again from where they came or another site, or do without them: --force"
        )


def rebuild(site: Site, *, progress: Progress | None = None) -> list[tuple[Path, str]]:
    """Do what `reindex` does, for who holds the merge lock."""
    rebuilt = _rebuild_in_postgres if site.database else _rebuild_in_file
    refused = rebuilt(site, progress=progress)
    if refused:
        # What superseded others may be among them.
        forget(site)
    return refused


def _rebuild_in_file(site: Site, *, progress: Progress | None = None) -> list[tuple[Path, str]]:
    for dead in site.path.glob(f"{PREFIX}*"):
        dead.unlink()  # its maker held the lock, and does no more
    new = site.path / f"{PREFIX}{secrets.token_hex(8)}.db"
    try:
        with closing(SiteStore(new)) as index:
            refused = build(site, index, progress=progress)
        _replace(site.index, new)
    finally:
        for leftover in (new, new.with_name(f"{new.name}-journal")):
            leftover.unlink(missing_ok=True)
    return refused


def _rebuild_in_postgres(site: Site, *, progress: Progress | None = None) -> list[tuple[Path, str]]:
    from cmfd.store.postgres import readers, schema  # noqa: PLC0415 - an extra, and 0.1 s
    from cmfd.store.postgres.store import PostgresStore  # noqa: PLC0415 - as above

    name = f"{site.schema}_new"
    with closing(open_database(site, name)) as db:
        schema.drop(db)  # its maker held the lock, and does no more
        try:
            with closing(PostgresStore(site.database, name)) as index:
                refused = build(site, index, progress=progress)
            readers.take_over(db, site.schema)
            schema.rename(db, site.schema)
        except BaseException:
            with suppress(StoreError):
                schema.drop(db)
            raise
    return refused


def _remove(site: Site) -> None:
    """Remove an index that is used no more; one that cannot be reached stays where it is."""
    if not site.database:
        site.index.unlink(missing_ok=True)
        return
    from cmfd.store.postgres import schema  # noqa: PLC0415 - an extra, and 0.1 s

    with suppress(StoreError), closing(open_database(site)) as db:
        schema.drop(db)


def build(
    site: Site, index: Store, *, also: Iterable[Path] = (), progress: Progress | None = None
) -> list[tuple[Path, str]]:
    """Take a site's merged packs, and others, into an index; return those refused."""
    packs = [*site.merged_packs(), *also]
    refused: list[tuple[Path, str]] = []
    for n_done, (pack, outcome) in enumerate(absorb_files(index, packs), 1):
        if not isinstance(outcome, bool):
            refused.append((pack, str(outcome)))
        if progress is not None:
            progress(n_done, len(packs))
    index.sum_up()
    return refused


def _replace(index: Path, new: Path) -> None:
    """
    Put the content of `new` in place of an index that others may have open.

    It is copied into the old file, in one transaction. Renaming over it would
    leave a reader with the old file and the name of the new one's journal,
    which it could take for its own and roll back.
    """
    old = _existing(index)
    if old is None:
        index.with_name(f"{index.name}-journal").unlink(missing_ok=True)
        new.rename(index)
        follow(index)
        return
    with closing(old), closing(connect(new, readonly=True)) as source, index_errors(index):
        source.backup(old)


def _existing(index: Path) -> sqlite3.Connection | None:
    """Open an index, unless there is nothing that anyone could have open as a database."""
    try:
        if index.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    try:
        return connect(index)
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError):
            raise
        return None
