"""`cmfd import openlineage`: events of OpenLineage, into a site."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.import_.told import tell
from cmfd.errors import IncompleteError
from cmfd.formats.openlineage.ingest import ingest
from cmfd.formats.openlineage.received import read
from cmfd.report.text import printable

_MOST_TOLD = 10


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

    What in it is no event, or no facet of its form, is left out and told, with exit code 12.
    """
    found = read(file.read_bytes(), str(file))
    tell(ingest(site, found.events), as_json=as_json, quiet=quiet)
    if found.problems:
        raise IncompleteError(_not_taken(file, found.problems))


def _not_taken(file: Path, problems: list[str]) -> str:
    """Return what of a file is not sound."""
    shown = [printable(f"  {problem}") for problem in problems[:_MOST_TOLD]]
    if len(problems) > _MOST_TOLD:
        shown.append(f"  and {len(problems) - _MOST_TOLD} more")
    first = f"{file}: all was taken in but this. Put it right, and import the file again:"
    return "\n".join((first, *shown))
