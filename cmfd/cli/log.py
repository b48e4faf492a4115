"""`cmfd log`: what was merged into a site, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.packs import latest
from cmfd.report.packs import packs_table

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd log -n 5")
@click.command("log")
@click.option(
    "-n", "--limit", type=options.LIMIT, default=20, show_default=True, help="At most; -1: all."
)
@options.site
@options.as_json
def command(site: Path, *, limit: int, as_json: bool) -> None:
    """List the packs that were merged into a site, latest first: whose, of what, from where."""
    found = latest(site, limit=limit)
    if as_json:
        print_json(found)
    else:
        print_tables([packs_table(found)])
