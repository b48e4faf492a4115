"""
A connection to an index in PostgreSQL that answers as SQLite's does, as far as cmfd asks.

It takes the statements of `cmfd/store/sql` and gives rows of integers, floats, texts, bytes and
nulls. Like every connection of cmfd it is in autocommit mode.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict

from cmfd.errors import ConfigError, SiteBusyError, StoreError
from cmfd.store.postgres.binding import bound
from cmfd.store.postgres.dialect import translated
from cmfd.store.postgres.values import HELD, held, numeric_told, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cmfd.store.postgres.binding import Parameters

BUSY_TIMEOUT_S = 30
"""How long a statement waits for another one's lock."""

CONNECT_TIMEOUT_S = 10
"""How long a server may take to answer, unless its address says otherwise."""

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
"""One state for all statements, as in SQLite."""

_SETTINGS = """\
SET search_path = "{schema}", pg_catalog;
SET join_collapse_limit = 1;
SET jit = off;
SET random_page_cost = 1.1;
SET lock_timeout = '{lock_s}s';
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET datestyle = 'ISO';
SET extra_float_digits = 3;
"""
# The index's own functions and operators before PostgreSQL's. Joins are made as they are written,
# as SQLite's CROSS JOIN is: new tables have no statistics. To look up a row costs little more than
# to read on, as on disks without heads.

_KEPT_FROM = 2
"""
How often a connection asks a question before the server keeps its plan.

The server makes the first five plans for the values asked with, and then one for all values, if
that promises to be no worse.
"""


class _Text(Loader):
    """A text, legible in any case."""

    def load(self, data: Any) -> Any:
        text = str(data, "utf-8")
        if HELD not in text:  # as most: a question may have very many
            return text
        found = told(text)
        if isinstance(found, str):
            return found.encode("utf-8", "surrogateescape").decode(errors="replace")
        return found


class _RawText(Loader):
    """A text as the bytes that it was in its pack."""

    def load(self, data: Any) -> Any:
        found = told(bytes(data).decode())
        return found.encode("utf-8", "surrogateescape") if isinstance(found, str) else found


class _Numeric(Loader):
    def load(self, data: Any) -> float:
        return numeric_told(bytes(data).decode())


class _Truth(Loader):
    def load(self, data: Any) -> int:
        return int(bytes(data) == b"t")


class _TextDumper(Dumper):
    """A text, of no type of its own: what it is compared with decides."""

    def dump(self, obj: Any) -> bytes:
        return held(obj).encode("utf-8", "surrogateescape")


class PostgresIndex:
    """
    An index in PostgreSQL.

    Parameters
    ----------
    url : str
        As libpq has it: ``postgresql://host/database``. The password, if any, is found by libpq,
        in its password file say.
    schema : str
        Where in the database the index is.
    beside : Path, optional
        What would be the site's index in SQLite: caches lie beside it.

    Raises
    ------
    StoreError
        The server does not answer, or refuses.
    ConfigError
        The address cannot be understood.
    """

    def __init__(self, url: str, schema: str, *, beside: Path | None = None) -> None:
        self.url = shown(url)
        self.schema = schema
        self.beside = beside
        self.staged: set[str] = set()
        """Tables of packs that there are temporary ones of: see `cmfd.store.postgres.staging`."""
        self._has_begun = False
        with explained(self.url):
            self._db = psycopg.connect(
                url,
                autocommit=True,
                cursor_factory=psycopg.ClientCursor,
                **_defaults(url),
            )
        self._db.prepare_threshold = _KEPT_FROM
        with explained(self.url):
            self._db.execute(_SETTINGS.format(schema=schema, lock_s=BUSY_TIMEOUT_S).encode())
        for name in ("text", "varchar", "bpchar"):
            self._db.adapters.register_loader(name, _Text)
        self._db.adapters.register_loader("numeric", _Numeric)
        self._db.adapters.register_loader("bool", _Truth)
        self._db.adapters.register_dumper(str, _TextDumper)

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """The connection itself, for what only PostgreSQL has."""
        return self._db

    @cached_property
    def is_restricted(self) -> bool:
        """Whether it shows only what was granted to its user."""
        query = "SELECT row_security_active(to_regclass(?))"
        return bool(self.one(query, (f'"{self.schema}".cmfd_index',))[0])

    @contextmanager
    def staging(self) -> Iterator[None]:
        """Forget temporary tables that were made within, where that fails and so is undone."""
        before = set(self.staged)
        try:
            yield
        except BaseException:
            self.staged = before
            raise

    @property
    def in_transaction(self) -> bool:
        """Whether there is a transaction that can be committed."""
        return self._db.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    def execute(self, statement: str, parameters: Parameters = ()) -> psycopg.Cursor[Any]:
        """
        Run one statement that is written for SQLite.

        Raises
        ------
        StoreError
            It cannot be done; the message says why.
        SiteBusyError
            Others kept the index locked.
        """
        if statement == "BEGIN":
            statement, self._has_begun = _BEGIN, True
        with explained(self.url), self._undone_on_error():
            text, given, is_kept = bound(statement, self.schema, parameters)
            if not is_kept:
                return self._db.cursor().execute(text, given)
            return psycopg.Cursor(self._db).execute(text, given)

    @contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        """End a transaction that a statement began, as SQLite does, where one in it fails."""
        try:
            yield
        except psycopg.Error:
            if self._has_begun and not self._db.closed:
                self._db.rollback()
            raise

    def one(self, statement: str, parameters: Parameters = ()) -> tuple[Any, ...]:
        """Run one statement, and return its first row; for those that have one in any case."""
        found = self.execute(statement, parameters).fetchone()
        assert found is not None, statement
        return tuple(found)

    def executemany(self, statement: str, many: Iterable[Parameters]) -> None:
        """Run one statement for each of some parameters."""
        for parameters in many:
            self.execute(statement, parameters)

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query of all there is, with texts as bytes; in a transaction."""
        with explained(self.url), self._db.cursor("cmfd_stream") as cursor:
            cursor.itersize = 10_000
            cursor.adapters.register_loader("text", _RawText)
            yield from cursor.execute(translated(statement).replace("%%", "%").encode())

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


def _defaults(url: str) -> dict[str, Any]:
    said = conninfo_to_dict(url)
    defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "cmfd"}
    return {name: value for name, value in defaults.items() if name not in said}


def shown(url: str) -> str:
    """
    Return the address of a server for people.

    Raises
    ------
    ConfigError
        It cannot be understood, or has a password in it.
    """
    try:
        said = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            f"{str(error).strip()}; nothing was changed. An index in PostgreSQL is named like this:"
            " postgresql://user@host:5432/database"
        ) from None
    if said.get("password"):
        raise ConfigError(
            "No password belongs into the address of an index, which others can read; nothing was"
            " changed. Put it into ~/.pgpass (mode 0600), or name a service of ~/.pg_service.conf:"
            " postgresql:///?service=cmfd"
        )
    return url


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Say what PostgreSQL's errors mean for a site."""
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise SiteBusyError(
            f"other programs kept the index {url} locked ({_first_line(error)}); packs stay in the"
            " inbox. Run cmfd merge again when they are done"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"the index {url} does not let you: {_first_line(error)}; nothing was changed. Whose it"
            " is can give you the right: see docs/howto/postgresql.md"
        ) from error
    except psycopg.OperationalError as error:
        raise StoreError(
            f"the index {url} cannot be reached: {_first_line(error)}. What was merged is kept, and"
            " packs stay in the inbox: run the command again when the server is back"
        ) from error
    except psycopg.Error as error:
        raise StoreError(
            f"the index {url} cannot do that: {_first_line(error)}; the packs are whole. If it is"
            " damaged, make it anew from them: cmfd site reindex"
        ) from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
