"""`cmfd diff`: how two executions differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.index import open_index
from cmfd.query.repro import differences, recipe
from cmfd.query.subject import execution
from cmfd.report.repro import differences_table

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd diff @-2 last")
@click.command("diff")
@click.argument("left")
@click.argument("right")
@options.site
@options.as_json
def command(site: Path, left: str, right: str, *, as_json: bool) -> None:
    """
    Show in what two executions differ: code, command, parameters, data, metrics, environment.

    Each is named as for `cmfd repro`. What is equal is not shown.
    """
    with open_index(site) as db:
        one, other = (recipe(db, execution(db, name), check=False) for name in (left, right))
    found = differences(one, other)
    if as_json:
        print_json(found)
    elif found:
        print_tables([differences_table(found, one, other)])
    else:
        click.echo("Nothing that is known of them differs.", err=True)
