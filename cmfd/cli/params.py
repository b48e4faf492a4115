"""`cmfd params`: the parameters of a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.report.encode import write_csv
from cmfd.report.runs import params_table

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd params last --json")
@click.command("params")
@options.run
@options.site
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def command(site: Path, run: str, *, as_json: bool, as_csv: bool) -> None:
    """
    Show the parameters of a run, with all values of those on which its ranks disagree.

    RUN is as for `cmfd show`.
    """
    with open_index(site) as db:
        found = runs.params(db, runs.find(db, run))
    if as_json:
        print_json(found)
    elif as_csv:
        fields = ("execution", "pipeline", "stage", "key", "type", "value", "rank")
        write_csv(sys.stdout, fields, ([getattr(one, name) for name in fields] for one in found))
    else:
        print_tables([params_table(found)])
