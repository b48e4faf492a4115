"""`cmfd impact`: the sphere of influence of an artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.impact import impact
from cmfd.query.index import open_index
from cmfd.query.subject import subject
from cmfd.report.lineage import impact_lines, impact_tables

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd impact data/raw.h5")
@click.command("impact")
@click.argument("what", metavar="ARTIFACT|EXECUTION")
@click.option(
    "--until",
    type=options.Time(),
    metavar="TIME",
    help="Only along executions that began by then.",
)
@click.option(
    "-n",
    "--limit",
    type=options.LIMIT,
    default=20,
    show_default=True,
    help="List at most so many executions and artifacts, the newest; -1: all.",
)
@options.site
@options.as_json
def command(site: Path, what: str, *, until: int | None, limit: int, as_json: bool) -> None:
    """
    Show everything that an artifact reached: executions, models, users, jobs, nodes.

    Names are those of `cmfd lineage up`. Newest first, each with a shortest path to it; counts,
    users, pipelines, nodes and runs are of everything that was reached, listed or not.
    """
    with open_index(site) as db:
        found = impact(db, subject(db, what), limit=limit, until_ns=until)
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(impact_lines(found)))
    print_tables(impact_tables(found))
