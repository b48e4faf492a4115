"""Printing results: as JSON or for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cmfd.report.text import Table


def print_json(document: object) -> None:
    """Print a result as JSON."""
    from cmfd.report.encode import to_json  # noqa: PLC0415 - only with --json

    click.echo(to_json(document))


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables one below the other."""
    from cmfd.report.text import draw  # noqa: PLC0415 - imports rich

    for table in tables:
        draw(table)


def print_restriction(db: sqlite3.Connection) -> None:
    """Say where a walk ends that only sees a part of an index, if it does."""
    from cmfd.query.index import restriction  # noqa: PLC0415 - as above
    from cmfd.report.text import printable  # noqa: PLC0415 - as above

    if said := restriction(db):
        click.echo(printable(said), err=True)
