"""Letting others read a site whose index is in PostgreSQL: each what was granted to him."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from cmfd.errors import ConfigError
from cmfd.merge.index import connect_index, open_database
from cmfd.store.grants import Grant, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.merge.layout import Site
    from cmfd.store.postgres.connection import PostgresIndex

__all__ = ["Grant", "grant", "grants", "revoke", "told"]


def grant(site: Site, wanted: Sequence[Grant]) -> None:
    """
    Let users of the database see runs; more than they see already.

    Raises
    ------
    NotFoundError
        The server knows no such user, or the site has no index yet; nothing was granted.
    ConfigError
        The index is no database's; nothing was granted.
    StoreError
        It is somebody else's, or cannot be reached.
    """
    with _index(site) as db:
        from cmfd.store.postgres import readers  # noqa: PLC0415 - an extra, and 0.1 s

        readers.grant(db, wanted)


def revoke(site: Site, role: str, unwanted: Sequence[Grant] | None = None) -> list[Grant]:
    """
    Take back what was granted to a user of the database: what is named, or everything.

    Returns
    -------
    list of Grant
        What was taken back: what is named, as far as it was granted.

    Raises
    ------
    NotFoundError, ConfigError, StoreError
        As for `grant`.
    """
    with _index(site) as db:
        from cmfd.store.postgres import readers  # noqa: PLC0415 - as above

        return readers.revoke(db, role, unwanted)


def grants(site: Site) -> list[Grant]:
    """
    Return all that was granted, by user.

    Raises
    ------
    NotFoundError, ConfigError, StoreError
        As for `grant`.
    """
    with _index(site) as db:
        from cmfd.store.postgres import readers  # noqa: PLC0415 - as above

        return readers.grants(db)


@contextmanager
def _index(site: Site) -> Iterator[PostgresIndex]:
    if not site.database:
        raise ConfigError(
            f"The index of {site.path} is a file: who may read that sees all of it; nothing was"
            " changed. To say who sees what, have it in PostgreSQL:"
            " cmfd site reindex --to postgresql://..."
        )
    connect_index(site, current=True).close()
    with closing(open_database(site)) as db:
        yield db
