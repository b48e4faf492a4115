"""`cmfd compare`: runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query import runs as runs_
from cmfd.query.compare import compare
from cmfd.query.index import open_index
from cmfd.report.compare import comparison_tables

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd compare @-2 last")
@click.command("compare")
@options.several_runs
@click.option("--all", "every", is_flag=True, help="Show equal parameters and artifacts, too.")
@options.site
@options.as_json
def command(site: Path, runs: tuple[str, ...], *, every: bool, as_json: bool) -> None:
    """
    Put runs side by side: what differs of parameters and data, and first, last, best of metrics.

    Each of RUNS is as for `cmfd show`. JSON has all parameters and artifacts and says of each
    whether it differs.
    """
    with open_index(site) as db:
        found = compare(db, [runs_.find(db, run) for run in runs])
    if as_json:
        print_json(found)
    else:
        print_tables(comparison_tables(found, every=every))
