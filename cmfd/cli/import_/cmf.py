"""`cmfd import cmf`: exports of CMF's, into a site."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.import_.told import tell
from cmfd.formats.cmf.document import read
from cmfd.formats.mlmd.ingest import ingest


@example(
    "cmfd import cmf pipeline.json",
    "cmfd import cmf --json pipeline.json",
)
@click.command("cmf")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.site
@options.as_json
@options.quiet
def command(*, site: Path, file: Path, as_json: bool, quiet: bool) -> None:
    """
    Take in FILE, which `cmf metadata export` wrote.

    Each execution becomes a run, with parameters, metrics, inputs and outputs. It can be repeated
    with later exports: what is known already is not stored again, and what changed replaces what
    was.
    """
    tell(ingest(site, read(file.read_bytes(), str(file))), as_json=as_json, quiet=quiet)
