"""`cmfd carbon`: what energy means in emissions."""

from __future__ import annotations

import click

from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup

COMMANDS = ("intensity", "factors")


@example(
    "cmfd carbon intensity import neso-2026-11.csv",
    "cmfd carbon factors add --use factors.toml",
)
@click.group("carbon", cls=LazyGroup, package="cmfd.cli.carbon", names=COMMANDS)
def command() -> None:
    """
    Say what energy means in emissions: the grid's intensity, and factors.

    Both belong to a site. Nothing is stored with the energy: any period can be reckoned again, with
    any factor set that the site ever had.
    """
