"""The index of a site, in SQLite or in PostgreSQL: where it is, whether it is there, opening it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, cast

from cmfd.errors import ConfigError, NotFoundError, StoreError
from cmfd.store.connection import connect
from cmfd.store.migrations import SCHEMAS, check
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.store.absorbing import Store
    from cmfd.store.postgres.connection import PostgresIndex


def open_store(site: Site, *, readonly: bool = False) -> Store:
    """
    Open the index of a site for absorbing packs.

    Parameters
    ----------
    site : Site
        Whose; made if missing, migrated if older, unless `readonly`.
    readonly : bool
        Only look at it, as it is.

    Raises
    ------
    StoreError
        It cannot be used as it is; it was left unchanged.
    ConfigError
        It is in PostgreSQL, and what that needs is not installed here.
    """
    if not site.database:
        return SiteStore(site.index, readonly=readonly)
    from cmfd.store.postgres.store import PostgresStore  # noqa: PLC0415 - an extra, and 0.1 s

    return PostgresStore(site.database, site.schema, readonly=readonly)


def has_index(site: Site) -> bool:
    """
    Say whether a site has an index: it has none before its first merge.

    Raises
    ------
    StoreError
        It is in PostgreSQL, and the server does not answer.
    """
    if not site.database:
        return site.index.exists()
    from cmfd.store.postgres import schema  # noqa: PLC0415 - as above

    with closing(open_database(site)) as db:
        return schema.exists(db)


def is_missing(site: Site) -> bool:
    """Say whether there is no index, or only the empty file that a killed merger left."""
    if site.database:
        return not has_index(site)
    try:
        return site.index.stat().st_size == 0
    except FileNotFoundError:
        return True


def open_database(site: Site, schema: str = "") -> PostgresIndex:
    """Connect to the database that an index in PostgreSQL is in, be there one or not."""
    from cmfd.store.postgres.connection import PostgresIndex  # noqa: PLC0415 - as above

    return PostgresIndex(site.database, schema or site.schema, beside=site.index)


def connect_index(site: Site, *, current: bool = False) -> sqlite3.Connection:
    """
    Connect to the index of a site for reading.

    Parameters
    ----------
    site : Site
        Whose.
    current : bool
        Only if its tables are those of this release.

    Returns
    -------
    sqlite3.Connection
        Or, of an index in PostgreSQL, what answers as one does.

    Raises
    ------
    NotFoundError
        Nothing was ever merged there.
    StoreError
        The index cannot be read, or is not `current`.
    SchemaTooNewError
        A newer cmfd made it.
    """
    db, version_of = _connected(site)
    try:
        is_older = version_of() < len(SCHEMAS["site"])
    except BaseException:
        db.close()
        raise
    if is_older and current:
        db.close()
        raise StoreError(
            f"{place_of(site)} has the schema of an older cmfd; it was left unchanged."
            " `cmfd merge` brings it up to date."
        )
    return db


def _connected(site: Site) -> tuple[sqlite3.Connection, Callable[[], int]]:
    missing = NotFoundError(
        f"Nothing was ever merged into {site.path}. `cmfd merge` takes what waits in its inbox."
    )
    if not site.database:
        if not has_index(site):
            raise missing
        db = connect(site.index, readonly=True)
        return db, lambda: check(db, "site")
    from cmfd.store.postgres import schema  # noqa: PLC0415 - as above

    index = open_database(site)  # once: that takes as long as many a question
    try:
        is_there = schema.exists(index)
    except BaseException:
        index.close()
        raise
    if not is_there:
        index.close()
        raise missing
    # It answers as SQLite's does, as far as cmfd asks.
    return cast("sqlite3.Connection", index), lambda: schema.check(index)


def digest_of(site: Site) -> str:
    """
    Return the digest of a site's content: equal for equal content, in whatever database.

    Raises
    ------
    NotFoundError, StoreError, SchemaTooNewError
        As for `connect_index`.
    """
    connect_index(site).close()
    with closing(open_store(site, readonly=True)) as index:
        return index.digest()


def place_of(site: Site) -> Path | str:
    """Return where the index is, for people."""
    return site.database or site.index


def check_database(database: str) -> None:
    """
    See to it that a database answers.

    Raises
    ------
    ConfigError
        Its address cannot be understood, or what it needs is not installed here.
    StoreError
        It does not answer, or refuses.
    """
    from cmfd.store.postgres.connection import PostgresIndex  # noqa: PLC0415 - as above

    PostgresIndex(database, "public").close()


def make_index(site: Site, database: str) -> None:
    """
    Make the index of a new site.

    Raises
    ------
    ConfigError
        It was a site before, with its index elsewhere, which was left as it is.
    StoreError
        The index cannot be made; the first merge tries again.
    """
    if site.database != database:
        raise ConfigError(
            f"{site.path} is a site already, and its index is {place_of(site)}, as before."
            f" To move it: cmfd site reindex --site {site.path} --to {database}"
        )
    open_store(site).close()
