"""`cmfd repro`: what it takes to do an execution again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.index import open_index
from cmfd.query.repro import recipe
from cmfd.query.subject import execution as execution_
from cmfd.report.repro import recipe_lines, recipe_tables, script

if TYPE_CHECKING:
    from pathlib import Path


@example(
    "cmfd repro last",
    "cmfd repro last --script > again.sh",
)
@click.command("repro")
@click.argument("execution")
@click.option("--script", "as_script", is_flag=True, help="Print commands that do it again.")
@click.option("--no-check", is_flag=True, help="Do not look whether code and data are still here.")
@options.site
@options.as_json
def command(site: Path, execution: str, *, as_script: bool, no_check: bool, as_json: bool) -> None:
    """
    Show what it takes to do an execution again, and what of that is missing.

    EXECUTION is an id or the beginning of one, or what names a run that has one execution only.
    Inputs are looked for where their content was ever seen, and read: they must hold the same
    still. A data set of an HDF5 file is looked for in files that had it; of a slice, what it is a
    part of. The script checks out the code, puts data in place (by `cmfd artifacts pull` what is no
    longer where it was), verifies it, and runs the command.
    """
    with open_index(site) as db:
        found = recipe(db, execution_(db, execution), check=not no_check)
    if as_json:
        print_json(found)
    elif as_script:
        click.echo("\n".join(script(found, str(site.absolute()))))
    else:
        click.echo("\n".join(recipe_lines(found)))
        print_tables(recipe_tables(found))
