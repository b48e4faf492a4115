"""`cmfd export cmf`: pipelines as CMF's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.export.written import output, write
from cmfd.cli.help import example
from cmfd.formats.cmf import document
from cmfd.formats.mlmd.gather import gather
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from pathlib import Path


@example(
    "cmfd export cmf --pipeline digits",
    "cmfd export cmf -o all.json",
)
@click.command("cmf")
@click.option("--pipeline", "pipelines", multiple=True, metavar="P", help="Only this pipeline.")
@output
@options.site
def command(*, site: Path, pipelines: tuple[str, ...], out: Path | None) -> None:
    """
    Write pipelines as JSON, as `cmf metadata export` does.

    What was taken in from CMF is given out as it was there. What the format has no place for is
    left out: several values of a parameter, all values of a metric but the last, times of events.
    """
    with open_index(site) as db:
        found = gather(db, pipelines)
    write(document.parts(found, pipelines), out)
