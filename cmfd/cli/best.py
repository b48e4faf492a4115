"""`cmfd best`: which executions of a pipeline did best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.index import open_index
from cmfd.query.search import best
from cmfd.query.subject import artifact
from cmfd.report.search import leaders_table

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd best --pipeline digits --metric test.accuracy --where 'lr < 0.01'")
@click.command("best")
@click.option("--pipeline", required=True, metavar="P", help="Of which pipeline.")
@click.option("--stage", metavar="S", help="Only executions of this stage.")
@click.option("--metric", required=True, metavar="NAME", help="By which metric.")
@options.goal
@click.option(
    "--slice", "part", metavar="S", help="By the metric as logged for this slice of the data."
)
@click.option("--where", default="", metavar="FILTER", help="Only those that it lets pass.")
@click.option(
    "--using", metavar="ARTIFACT", help="Only those that used this artifact, at any distance."
)
@click.option(
    "-n", "--limit", type=options.LIMIT, default=10, show_default=True, help="At most; -1: all."
)
@options.site
@options.as_json
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    pipeline: str,
    stage: str | None,
    metric: str,
    goal: str | None,
    part: str | None,
    where: str,
    using: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """
    Rank executions by the best value of a metric, with their parameters.

    Without --max or --min, the metric's name says which values are good (loss, accuracy, ...).
    FILTER is that of `cmfd search`. Parameters that are the same for all are left out of the table.
    What is marked as tainted, or used something that is, is ranked all the same, and says so.
    """
    with open_index(site) as db:
        found = best(
            db,
            pipeline,
            metric,
            stage=stage,
            goal=goal,
            slice=part,
            where=where,
            using=artifact(db, using) if using else None,
            limit=limit,
        )
    if as_json:
        print_json(found)
    elif found.leaders:
        print_tables([leaders_table(found)])
    else:
        click.echo(f"No such executions at {site}.", err=True)
