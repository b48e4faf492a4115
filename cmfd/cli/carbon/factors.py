"""`cmfd carbon factors`: the choices that turn energy into emissions."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.carbon import kept
from cmfd.carbon.book import CarbonBook
from cmfd.carbon.told import set_told
from cmfd.cli import options
from cmfd.cli.help import Group, example
from cmfd.cli.output import print_json, print_tables
from cmfd.merge.layout import open_site
from cmfd.report import units
from cmfd.report.factors import sets_table


@example("cmfd carbon factors list")
@click.group("factors", cls=Group)
def command() -> None:
    """Add and choose factor sets: PUE, zone, sources, contracts, hardware."""


@example(
    "cmfd carbon factors add --use factors.toml",
    "where the least that factors.toml may say is",
    '  name = "first"',
    "  [[places]]",
    '  nodes = ["*"]',
    '  order = ["constant"]',
    '  constant = { g_per_kwh = 350.0, source = "our supplier" }',
    '  pue = [{ value = 1.2, source = "an estimate" }]',
)
@command.command("add")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--use", "then_use", is_flag=True, help="Use it where no other is asked for.")
@options.site
@options.as_json
@options.quiet
def add(site: Path, file: Path, *, then_use: bool, as_json: bool, quiet: bool) -> None:
    """
    Take a factor set in from a TOML FILE; it is kept for good, under the SHA-256 of the file.

    A changed file is another factor set: figures say with which they were reckoned. Sources that
    it names and that have nothing are told; they may come later. All that it may say:
    docs/reference/factors.md.
    """
    found, is_new = kept.add_factors(site, file)
    if then_use:
        found = kept.use(site, found.id)
    problems = CarbonBook(site, found).problems()
    if as_json:
        added = set_told(found)
        print_json({"site": str(site), "is_new": is_new, "added": added, "problems": problems})
    elif not quiet:
        how = "added" if is_new else "was here already"
        used = "in use" if found.is_current else "not in use: cmfd carbon factors use"
        click.echo(f"Factor set {_named(found)}: {how}, {used}")
        for problem in problems:
            click.echo(problem, err=True)


@example("cmfd carbon factors list")
@command.command("list")
@options.site
@options.as_json
def list_(site: Path, *, as_json: bool) -> None:
    """List the factor sets of a site, in the order in which they were added."""
    open_site(site)
    found = [set_told(one) for one in kept.sets(site)]
    if as_json:
        print_json(found)
    elif found:
        print_tables([sets_table(found)])
    else:
        click.echo(f"{site} has no factor set (cmfd carbon factors add).", err=True)


@example("cmfd carbon factors show", "cmfd carbon factors show 2026-autumn > factors.toml")
@command.command("show")
@click.argument("name", metavar="[FACTORS]", default="current")
@options.site
@options.as_json
def show(site: Path, name: str, *, as_json: bool) -> None:
    """
    Print a factor set as it was added; default: the one in use.

    FACTORS is a name, an id or the beginning of one.
    """
    found = kept.set_of(site, name)
    if as_json:
        print_json(set_told(found))
    else:
        click.echo(found.text, nl=not found.text.endswith("\n"))


@example("cmfd carbon factors use 2026-autumn")
@command.command("use")
@click.argument("name", metavar="FACTORS")
@options.site
@options.quiet
def use(site: Path, name: str, *, quiet: bool) -> None:
    """Use a factor set where no other is asked for; FACTORS as for `show`."""
    found = kept.use(site, name)
    if not quiet:
        click.echo(f"Factor set {_named(found)}: in use")


def _named(found: kept.KeptSet) -> str:
    return f"{found.id[: units.MIN_ID_DIGITS]} ({found.factors.name})"
