"""`cmfd import`: other programs' formats, one command each."""

from __future__ import annotations

import click

from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup

COMMANDS: tuple[str, ...] = ("cmf", "mlmd", "openlineage")


@example("cmfd import cmf mlmd.json")
@click.group("import", cls=LazyGroup, package="cmfd.cli.import_", names=COMMANDS)
def command() -> None:
    """Take in what other programs' formats hold."""
