"""`cmfd carbon intensity`: the grid's intensity over time."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.carbon import kept, series
from cmfd.carbon.told import series_told
from cmfd.cli import options
from cmfd.cli.help import Group, example
from cmfd.cli.output import print_json, print_tables
from cmfd.errors import FactorsError
from cmfd.merge.layout import open_site
from cmfd.report import units
from cmfd.report.factors import gap_lines, series_table


@example("cmfd carbon intensity list")
@click.group("intensity", cls=Group)
def command() -> None:
    """Import and look at intensity series of the grid."""


@example(
    "cmfd carbon intensity import neso-2026-11.csv",
    "cmfd carbon intensity import --complete neso-2026-11.csv",
)
@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--complete", is_flag=True, help="Refuse a file with gaps.")
@options.site
@options.as_json
@options.quiet
def import_(site: Path, file: Path, *, complete: bool, as_json: bool, quiet: bool) -> None:
    """
    Take a series in from a CSV FILE; of one with an error, nothing is taken.

    Its columns are zone, start_utc, end_utc, g_per_kwh, basis (average or marginal), scope
    (lifecycle or direct), estimated (true or false) and source. Each row is true from its start
    until just before its end; times are in UTC and say so, as 2026-03-29T00:30:00Z. Rows of the
    same zone, basis and scope must not overlap. Gaps are told, and never filled.

    Where several series have the same time, the last that was imported counts; the others stay, and
    a factor set can name them. To import one again changes nothing.
    """
    if complete:
        _refuse_gaps(file)
    found, is_new = kept.add_series(site, file)
    told = series_told(found)
    if as_json:
        print_json({"site": str(site), "is_new": is_new, "imported": told})
    elif not quiet:
        how = "imported" if is_new else f"here since {units.when(told.added_ns)}; nothing changed"
        n_rows = units.count(len(found.series.rows), "row")
        click.echo(f"Series {found.id[: units.MIN_ID_DIGITS]}, {n_rows}: {how}")
        for line in gap_lines(told.parts):
            click.echo(line)


def _refuse_gaps(file: Path) -> None:
    found = series.read(kept.text_of(file), str(file))
    if n_gaps := len(found.gaps()):
        raise FactorsError(
            f"{file} has {units.count(n_gaps, 'gap')}; nothing of it was imported. Without"
            " --complete it is imported as it is, and its gaps are told"
        )


@example("cmfd carbon intensity list --json")
@command.command("list")
@options.site
@options.as_json
def list_(site: Path, *, as_json: bool) -> None:
    """List the series of a site, in the order in which they were imported."""
    open_site(site)
    found = [series_told(one) for one in kept.all_series(site)]
    if as_json:
        print_json(found)
    elif found:
        print_tables([series_table(found)])
    else:
        click.echo(f"{site} has no intensity series (cmfd carbon intensity import).", err=True)


@example(
    "cmfd carbon intensity show last",
    "cmfd carbon intensity show 3f2a9c --csv",
)
@command.command("show")
@click.argument("name", metavar="SERIES")
@click.option("--csv", "as_csv", is_flag=True, help="Print its rows, as they could be imported.")
@options.site
@options.as_json
def show(site: Path, name: str, *, as_csv: bool, as_json: bool) -> None:
    """Show a series: SERIES is its id or the beginning of it, or `last`."""
    found = kept.series_of(site, name)
    told = series_told(found)
    if as_csv:
        click.echo(series.written(found.series.rows), nl=False)
    elif as_json:
        print_json(told)
    else:
        click.echo(f"Series {found.id}, imported from {told.name}")
        for source in sorted({source for part in told.parts for source in part.sources}):
            click.echo(f"source: {source}")
        for line in gap_lines(told.parts):
            click.echo(line)
        print_tables([series_table([told])])
