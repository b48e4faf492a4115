"""`cmfd import mlmd`: stores of ML Metadata, into a site."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.import_.told import tell
from cmfd.formats.mlmd.ingest import ingest
from cmfd.formats.mlmd.sqlite import read


@example(
    "cmfd import mlmd mlmd",
    "cmfd import mlmd --json metadata.sqlite",
)
@click.command("mlmd")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.site
@options.as_json
@options.quiet
def command(*, site: Path, file: Path, as_json: bool, quiet: bool) -> None:
    """
    Take in FILE, an SQLite store of ML Metadata: of CMF, of TFX, or of any other program.

    Each execution becomes a run, in the pipeline and stage that its contexts name. It can be
    repeated while the store grows: what is known already is not stored again.
    """
    tell(ingest(site, read(file)), as_json=as_json, quiet=quiet)
