"""What `cmfd export parquet`, `csv` and `arrow` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.query.index import open_index
from cmfd.query.tables import TABLES, chosen_by_filter

if TYPE_CHECKING:
    from cmfd.formats.tables import Format


def export_tables(kind: Format, called: str) -> click.Command:
    """Return the command that writes tables in a format."""

    @example(
        f"cmfd export {kind} tables/",
        f"cmfd export {kind} tables/ --table params --where 'pipeline = \"digits\"'",
    )
    @click.command(kind, short_help=f"Write tables as {called}.")
    @click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
    @click.option(
        "--table",
        "names",
        multiple=True,
        type=click.Choice(list(TABLES)),
        metavar="T",
        help="Only this table; several times for more.",
    )
    @click.option(
        "--where", default="", metavar="FILTER", help="Only what belongs to executions that fit."
    )
    @options.site
    @options.as_json
    def command(
        *, directory: Path, names: tuple[str, ...], where: str, site: Path, as_json: bool
    ) -> None:
        from cmfd.formats import tables  # noqa: PLC0415 - only where there is something to write

        if not names:
            names = tuple(name for name in TABLES if not where or chosen_by_filter(name))
        with open_index(site) as db:
            n_rows = tables.write(
                db,
                directory,
                names,
                kind,
                where=where,
                told=lambda said: click.echo(said, err=True),
            )
        if as_json:
            print_json(n_rows)

    command.help = (
        f"Write tables of a site as {called}, a file each.\n\n"
        f"Tables are {', '.join(TABLES)}. With --where, only what belongs to executions that the"
        " filter lets pass, or to their runs; packs and notes, which belong to none, only if"
        " asked for. Files that are there are replaced."
    )
    return command
