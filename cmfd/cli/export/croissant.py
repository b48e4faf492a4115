"""`cmfd export croissant`: a dataset with its files and columns."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.export.written import output, write
from cmfd.cli.help import example
from cmfd.formats import croissant
from cmfd.query import subject
from cmfd.query.index import open_index
from cmfd.report.text import printable


@example(
    "cmfd export croissant hits.csv -o croissant.json",
    "cmfd export croissant data/ --name Hits --license https://spdx.org/licenses/CC-BY-4.0",
)
@click.command("croissant")
@click.argument("dataset")
@click.option("--name", default="", help="What it is called; default: as its file.")
@click.option("--description", default="", help="What it is; default: its label, else its stages.")
@click.option(
    "--license", "licence", default="", help="Under which licence it is: best a URL of SPDX's."
)
@click.option("--url", default="", help="Where it is published.")
@output
@options.site
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    dataset: str,
    name: str,
    description: str,
    licence: str,
    url: str,
    out: Path | None,
) -> None:
    """
    Describe DATASET, a file or directory, in Croissant 1.0: its files, digests and columns.

    DATASET is a path as it was recorded, a file that is here, or a digest. Files that are here are
    named as seen from the description's own place, and columns are read from them; what is not
    here any more is named where it was.
    """
    said = croissant.Said(name, description, licence, url)
    directory = (out.resolve() if out else Path.cwd() / "-").parent
    with open_index(site) as db:
        made = croissant.describe(db, subject.artifact(db, dataset), said, directory)
    write(json.dumps(made.document, indent=1, ensure_ascii=False).encode() + b"\n", out)
    for problem in made.problems:
        click.echo(printable(f"Not in it: {problem}"), err=True)
