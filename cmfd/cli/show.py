"""`cmfd show`: everything about one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.report.runs import detail_tables, head_lines

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd show last")
@click.command("show")
@options.run
@options.site
@options.as_json
def command(site: Path, run: str, *, as_json: bool) -> None:
    """
    Show a run: executions, parameters, metrics, artifacts, facts, and what it took.

    RUN is the id of a run or its beginning, a job id, the run's name, `last`, or `@-2` for the last
    but one.
    """
    with open_index(site) as db:
        found = runs.detail(db, runs.find(db, run))
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(head_lines(found)))
    print_tables(detail_tables(found))
