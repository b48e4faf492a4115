"""`cmfd report shift`: what runs would have emitted, had they begun at other times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cmfd.carbon.book import CarbonBook
from cmfd.carbon.shift import Window
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.cli.report.options import Choice, asked, narrowing
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.report.costs.asked import choose_visible
from cmfd.report.costs.policy import policy_of
from cmfd.report.shift import shift_table, shifts, summary

if TYPE_CHECKING:
    from pathlib import Path

_HOUR_NS = 3_600_000_000_000
_MOST_LINES = 20


@example(
    "cmfd report shift last --after 48",
    "cmfd report shift --user ada --days 30 --json",
)
@click.command("shift")
@options.optional_run
@click.option(
    "--after",
    default=24.0,
    show_default=True,
    metavar="HOURS",
    type=click.FloatRange(0, 720),
    help="It might have begun so much later.",
)
@click.option(
    "--before",
    default=0.0,
    show_default=True,
    metavar="HOURS",
    type=click.FloatRange(0, 720),
    help="It might have begun so much earlier.",
)
@click.option(
    "--every",
    default=15.0,
    show_default=True,
    metavar="MINUTES",
    type=click.FloatRange(1, 1440),
    help="Try a start so often.",
)
@click.option("--factors", metavar="ID", help="Reckon with this factor set.")
@narrowing
@click.option("-n", "--limit", type=options.LIMIT, help="At most so many runs, the latest.")
@options.site
@options.as_json
def command(
    *, site: Path, after: float, before: float, every: float, as_json: bool, **given: Any
) -> None:
    """
    Report what runs would have emitted, had they begun at other times.

    The same energy and length, each run by itself, against the intensity and PUE of the other time.
    Only series tell times apart: of a start for which none covers the whole run, nothing is said.
    Whether the nodes were free then, nobody asks. Of a time (--since, --until, --days), runs that
    began in it.
    """
    choice = Choice(site=site, as_json=as_json, format="text", **given)
    window = Window(round(before * _HOUR_NS), round(after * _HOUR_NS), round(every * _HOUR_NS / 60))
    book = CarbonBook.open(site)
    if choice.factors:
        book = book.with_factors(choice.factors)
    with open_index(site) as db:
        choose_visible(db, asked(db, "shift", "run", choice), policy_of(open_site(site)))
        found = shifts(db, book, window)
    if as_json:
        print_json(found)
        return
    print_tables([shift_table(found.runs[:_MOST_LINES])])
    if found.runs:
        click.echo(summary(found))
    else:
        click.echo("Nothing is known of the energy of such runs.", err=True)
