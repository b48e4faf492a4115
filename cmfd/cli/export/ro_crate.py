"""`cmfd export ro-crate`: runs with what they read and wrote, for an archive."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.errors import ConfigError
from cmfd.formats.chosen import runs
from cmfd.query.index import open_index
from cmfd.report.text import printable


@example(
    "cmfd export ro-crate study.zip --with-data --license CC-BY-4.0",
    "cmfd export ro-crate study/ --where 'pipeline = \"digits\"' --workflow dvc.yaml",
)
@click.command("ro-crate")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--where", default="", metavar="FILTER", help="Only runs of executions that fit.")
@click.option(
    "--with-data", is_flag=True, help="Put in what is still where it was read or written."
)
@click.option(
    "--workflow",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="What says how the steps of a run hang together: a script, dvc.yaml, Snakefile.",
)
@click.option("--name", default="Runs", show_default=True, help="What the crate is called.")
@click.option(
    "--description",
    default="Executions, what they read and wrote, and their parameters, as cmfd recorded them.",
    help="What it is.",
)
@click.option(
    "--license",
    "licence",
    default="not stated",
    show_default=True,
    help="Under which licence it is: a name, or better its URL.",
)
@options.site
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    out: Path,
    where: str,
    with_data: bool,
    workflow: Path | None,
    name: str,
    description: str,
    licence: str,
) -> None:
    """
    Write runs as an RO-Crate: OUT is a new directory, or a file that ends with .zip.

    The crate is of the profile Process Run Crate; with --workflow, also of Workflow Run Crate. What
    is not put into it is named where it was, with its digest.
    """
    try:
        from cmfd.formats import crate  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("RO-Crates need their library: pip install 'cmfd[ro-crate]'.") from None
    if out.exists():
        raise ConfigError(f"{out} is there; it was left as it is. Name a place that is new.")
    said = crate.Said(name, description, licence)
    with open_index(site) as db:
        left_out = crate.write(
            db, runs(db, where), out, said, workflow=workflow, with_data=with_data
        )
    for sentence in left_out:
        click.echo(printable(f"Not in the crate: {sentence}"), err=True)
