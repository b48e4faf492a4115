"""Printing results: as JSON or for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
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
