"""`cmfd search`: executions by what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.index import open_index
from cmfd.query.search import search
from cmfd.report.search import found_table

if TYPE_CHECKING:
    from pathlib import Path


@example(
    "cmfd search 'lr < 0.01 and stage = \"train\" and metric.accuracy > 0.9'",
    "cmfd search resnet and not tag.broken",
)
@click.command("search")
@click.argument("words", metavar="FILTER", nargs=-1, required=True)
@click.option(
    "-n", "--limit", type=options.LIMIT, default=20, show_default=True, help="At most; -1: all."
)
@options.site
@options.as_json
def command(site: Path, words: tuple[str, ...], *, limit: int, as_json: bool) -> None:
    """
    List executions that a filter lets pass, latest first.

    FILTER compares fields: pipeline, stage, status, user, cluster, job, node, began, wall_s, ...;
    metric.NAME, tag.NAME, param.NAME, or a parameter's name alone. `=`, `!=`, `<`, `<=`, `>`, `>=`,
    `~` (has the text in it), `in (...)`, `and`, `or`, `not`, parentheses. A word alone is looked
    for in names, parameters and tags. All of it: docs/reference/filters.md.
    """
    with open_index(site) as db:
        found = search(db, " ".join(words), limit=limit)
    if as_json:
        print_json(found)
    elif found:
        print_tables([found_table(found)])
    else:
        click.echo(f"No such executions at {site}.", err=True)
