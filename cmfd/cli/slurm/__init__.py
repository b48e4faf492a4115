"""`cmfd slurm`: jobs of the batch system SLURM."""

from __future__ import annotations

import click

from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup

COMMANDS: tuple[str, ...] = (
    "submit", "batch", "status", "deliver", "merge-after", "collect", "enrich", "install",
    "uninstall",
)  # fmt: skip
"""In the order of a job's life."""


@example(
    "cmfd slurm submit job.sh",
    "cmfd slurm status",
)
@click.group("slurm", cls=LazyGroup, package="cmfd.cli.slurm", names=COMMANDS)
def command() -> None:
    """Submit jobs of SLURM, and see to it that all they recorded arrives."""
