"""`cmfd import openlineage`: events of OpenLineage, into a site."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.import_.told import tell
from cmfd.formats.openlineage.ingest import ingest, read


@example(
    "cmfd import openlineage events.jsonl",
    "cmfd import openlineage --json events.jsonl",
)
@click.command("openlineage")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.site
@options.as_json
@options.quiet
def command(*, site: Path, file: Path, as_json: bool, quiet: bool) -> None:
    """
    Take in FILE: events of any program, a line of JSON each, or an array of them.

    Each run becomes an execution with its inputs, outputs, parameters and code; what has no parent
    becomes the run that others are in. Datasets are known by digest if cmfd gave them out, else by
    name and version. It can be repeated with more events, in any order: they add to what is there.
    """
    tell(ingest(site, read(file.read_bytes(), str(file))), as_json=as_json, quiet=quiet)
