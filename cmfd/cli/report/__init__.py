"""`cmfd report`: what runs cost, in time, energy and emissions."""

from __future__ import annotations

import click

from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup

COMMANDS: tuple[str, ...] = ("energy", "carbon", "runtime", "waste", "pareto", "shift")


@example(
    "cmfd report carbon last",
    "cmfd report energy --by account --since 2026-11-01 --format csv",
)
@click.group("report", cls=LazyGroup, package="cmfd.cli.report", names=COMMANDS)
def command() -> None:
    """Report on what runs cost, in time, energy and emissions."""
