"""`cmfd export mlmd`: pipelines as a store of ML Metadata."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.errors import ConfigError
from cmfd.formats.mlmd.gather import gather
from cmfd.formats.mlmd.sqlite import write
from cmfd.query.index import open_index
from cmfd.store.shared import whole


@example(
    "cmfd export mlmd metadata.sqlite",
    "cmfd export mlmd --pipeline digits mlmd",
)
@click.command("mlmd")
@click.argument("out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--pipeline", "pipelines", multiple=True, metavar="P", help="Only this pipeline.")
@options.site
def command(*, site: Path, out: Path, pipelines: tuple[str, ...]) -> None:
    """
    Write pipelines into FILE, a new SQLite store that ml-metadata opens.

    What was taken in from such a store is given out as it was there. What the format has no place
    for is left out, as by `cmfd export cmf`; a NaN, a null and an integer beyond 64 bits become
    their text.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already; it was left as it is. Name another file")
    with open_index(site) as db:
        graph = gather(db, pipelines)
    with whole(out) as partial:
        write(graph, partial)
