"""`cmfd export`: other programs' formats, one command each."""

from __future__ import annotations

import click

from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup

COMMANDS: tuple[str, ...] = (
    "cmf",
    "mlmd",
    "openlineage",
    "prov",
    "ro-crate",
    "croissant",
    "parquet",
    "csv",
    "arrow",
)


@example("cmfd export cmf --pipeline digits")
@click.group("export", cls=LazyGroup, package="cmfd.cli.export", names=COMMANDS)
def command() -> None:
    """Give out a site's content in other programs' formats."""
