"""`cmfd dvc`: what DVC knows."""

from __future__ import annotations

import click

from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup

COMMANDS: tuple[str, ...] = ("ingest",)


@example("cmfd dvc ingest")
@click.group("dvc", cls=LazyGroup, package="cmfd.cli.dvc", names=COMMANDS)
def command() -> None:
    """Take in what DVC knows."""
