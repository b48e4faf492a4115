"""
Who may read what of an index in PostgreSQL: users of the database, each as himself.

The server sees to it, by a policy of each table, whatever program asks: see
`sql/postgres/readers.sql`. A reader sees the runs that were granted to him or to a group that he is
in, whole, with what they read and made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier

from cmfd.errors import NotFoundError
from cmfd.store.connection import sql, statements
from cmfd.store.grants import Grant
from cmfd.store.postgres.connection import explained

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.store.postgres.connection import PostgresIndex


def policies() -> list[str]:
    """Return the statements that make views and policies."""
    return list(statements(sql("postgres/readers")))


def make_policies(db: PostgresIndex) -> None:
    """Make the policies of this release, where there are none, and let who reads read by them."""
    for statement in policies():
        db.raw.execute(statement.encode())
    _restrict(db)
    for table in _tables(db):
        db.raw.execute(
            SQL("CREATE POLICY readers_of_all ON {} FOR SELECT USING ((SELECT sees_all()))").format(
                Identifier(db.schema, table)
            )
        )
    for role in _known(db, {grant.role for grant in grants(db)}):
        _let(db, role)


def drop_policies(db: PostgresIndex) -> None:
    """Remove all policies: until there are new ones, who reads sees nothing."""
    query = "SELECT policyname, tablename FROM pg_catalog.pg_policies WHERE schemaname = ?"
    for policy, table in db.execute(query, (db.schema,)).fetchall():
        named = (Identifier(policy), Identifier(db.schema, table))
        db.raw.execute(SQL("DROP POLICY {} ON {}").format(*named))


def grants(db: PostgresIndex) -> list[Grant]:
    """Return all that was granted, in order."""
    found = db.execute("SELECT role, kind, value FROM cmfd_reader ORDER BY role, kind, value")
    return [Grant(*row) for row in found]


def grant(db: PostgresIndex, wanted: Iterable[Grant]) -> None:
    """
    Let users of the database see runs.

    Raises
    ------
    NotFoundError
        The server knows no such user; nothing was granted.
    StoreError
        The index is somebody else's.
    """
    every = list(wanted)
    with explained(db.url), db.raw.transaction():
        for role in {one.role for one in every}:
            if not _known(db, {role}):
                raise NotFoundError(
                    f"The server of {db.url} knows no user {role}; nothing was granted."
                    f" Make one there: createuser {role}"
                )
            _let(db, role)
        for one in every:
            db.execute(
                "INSERT OR IGNORE INTO cmfd_reader (role, kind, value) VALUES (?, ?, ?)", one
            )


def revoke(db: PostgresIndex, role: str, unwanted: Iterable[Grant] | None = None) -> list[Grant]:
    """
    Take back what was granted to a user, or of this what is named; return what it was.

    Raises
    ------
    StoreError
        The index is somebody else's.
    """
    with explained(db.url), db.raw.transaction():
        there = [one for one in grants(db) if one.role == role]
        gone = there if unwanted is None else [one for one in unwanted if one in there]
        for one in gone:
            db.execute("DELETE FROM cmfd_reader WHERE role = ? AND kind = ? AND value = ?", one)
        if len(gone) == len(there) and _known(db, {role}):
            _let_not(db, role)
    return gone


def take_over(db: PostgresIndex, old: str) -> None:
    """Grant in an index that is made anew what was granted in the schema that it replaces."""
    there = db.one("SELECT to_regclass(?) IS NOT NULL", (f'"{old}".cmfd_reader',))[0]
    if there:
        db.raw.execute(
            SQL("INSERT INTO cmfd_reader SELECT * FROM {} ON CONFLICT DO NOTHING").format(
                Identifier(old, "cmfd_reader")
            )
        )
        for role in _known(db, {one.role for one in grants(db)}):
            _let(db, role)


def _tables(db: PostgresIndex) -> list[str]:
    query = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = ? ORDER BY tablename"
    return [table for (table,) in db.execute(query, (db.schema,))]


def _known(db: PostgresIndex, roles: Iterable[str]) -> list[str]:
    """Return those of some users whom the server knows still."""
    query = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = ?"
    return [role for role in sorted(roles) if db.execute(query, (role,)).fetchone()]


def _let(db: PostgresIndex, role: str) -> None:
    _restrict(db)
    for right in (
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
        "REVOKE SELECT ON {schema}.cmfd_reader FROM {role}",
    ):
        named = {"schema": Identifier(db.schema), "role": Identifier(role)}
        db.raw.execute(SQL(right).format(**named))


def _restrict(db: PostgresIndex) -> None:
    """Show no row of a table but by policies: one that somebody has made beside ours has none."""
    query = (
        "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = ? AND NOT rowsecurity"
        " ORDER BY tablename"
    )
    for (table,) in db.execute(query, (db.schema,)).fetchall():
        name = Identifier(db.schema, table)
        db.raw.execute(SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(name))


def _let_not(db: PostgresIndex, role: str) -> None:
    for right in (
        "REVOKE SELECT ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        "REVOKE USAGE ON SCHEMA {schema} FROM {role}",
    ):
        named = {"schema": Identifier(db.schema), "role": Identifier(role)}
        db.raw.execute(SQL(right).format(**named))
