"""`cmfd runs`: which runs a site has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.errors import ConfigError
from cmfd.model import Status
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.report.runs import runs_table

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd runs --pipeline digits --days 7", "cmfd runs --since 2026-11-22T14:30")
@click.command("runs")
@click.option("--pipeline", metavar="P", help="Only runs of this pipeline.")
@click.option("--stage", metavar="S", help="Only runs of this stage.")
@click.option("--user", metavar="U", help="Only this user's runs.")
@click.option("--group", metavar="G", help="Only variants of this: see `cmfd run --group`.")
@click.option(
    "--status", type=click.Choice([one.value for one in Status]), help="Only runs that stand so."
)
@click.option("--days", type=options.DAYS, metavar="N", help="Only runs of the last N days.")
@click.option(
    "--since", type=options.Time(), metavar="TIME", help="Only runs that began then or later."
)
@click.option(
    "-n", "--limit", type=options.LIMIT, default=20, show_default=True, help="At most; -1: all."
)
@options.site
@options.as_json
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    pipeline: str | None,
    stage: str | None,
    user: str | None,
    group: str | None,
    status: str | None,
    days: float | None,
    since: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """
    List runs, latest first.

    TIME is in ISO 8601: 2026-11-22 or 2026-11-22T14:30, local where it names no zone.
    """
    if since is not None and days is not None:
        raise ConfigError("Say --since or --days, not both.")
    with open_index(site) as db:
        found = runs.recent(
            db,
            limit=limit,
            pipeline=pipeline,
            stage=stage,
            user=user,
            group=group,
            status=status,
            since_ns=options.since_ns(days) if since is None else since,
        )
    if as_json:
        print_json(found)
    elif found:
        print_tables([runs_table(found)])
    else:
        click.echo(f"No such runs at {site}.", err=True)
