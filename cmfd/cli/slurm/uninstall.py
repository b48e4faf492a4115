"""`cmfd slurm uninstall`: take back what `cmfd slurm install` wrote."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli.help import example
from cmfd.cli.slurm.installation import remove


@example("cmfd slurm uninstall --dry-run")
@click.command("uninstall")
@click.option(
    "--prefix", type=click.Path(path_type=Path, file_okay=False), default=Path("/"), metavar="DIR",
    help="As it was installed; default: /.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def command(*, prefix: Path, dry_run: bool) -> None:
    """
    Remove the files that `cmfd slurm install` wrote, except for those that were changed since.

    Take the Include out of slurm.conf first, and stop the services. What the daemon keeps on the
    nodes, and sites, are not touched.
    """
    for path, removed in remove(prefix.absolute(), dry_run=dry_run):
        kept = "keep    " if not removed else "remove  "
        click.echo(f"{kept} {path}{'' if removed else ' (it was changed)'}")
