"""`cmfd site grant`, `revoke`, `grants`: who may read what of an index in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.errors import NotFoundError
from cmfd.merge import grants as readers
from cmfd.merge.layout import open_site
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _what(function: Callable[..., None]) -> Callable[..., None]:
    """Add what is granted, and to whom."""
    for add in (
        options.quiet,
        options.site,
        click.option("--all", "everything", is_flag=True, help="All there is."),
        click.option("--pipeline", "pipelines", multiple=True, help="Runs with executions of it."),
        click.option("--project", "projects", multiple=True, help="Runs of it."),
        click.option("--user", "users", multiple=True, help="Runs of that user of the clusters."),
        click.option("--own", is_flag=True, help="Runs of the user of the clusters of that name."),
        click.argument("role", metavar="USER"),
    ):
        function = add(function)
    return function


@example("cmfd site grant ada --own --project climate")
@click.command("grant")
@_what
def grant(site: Path, role: str, *, quiet: bool, **asked: Any) -> None:
    """
    Let USER of the database see runs, with all that is said of them, and nothing else.

    USER may be a group of users of the database. Whoever asks connects as himself, and the server
    sees to it. Content that several runs used is seen by who may see one of them.
    """
    wanted = _grants(role, **asked)
    if not wanted:
        raise click.UsageError("Say which runs: --own, --user, --project, --pipeline or --all.")
    readers.grant(open_site(site), wanted)
    if not quiet:
        click.echo(printable(f"{role} may see {readers.told(wanted)}."))


@example("cmfd site revoke ada --project climate", "cmfd site revoke ada")
@click.command("revoke")
@_what
def revoke(site: Path, role: str, *, quiet: bool, **asked: Any) -> None:
    """Take back what was granted to USER: what is named, or without that everything."""
    unwanted = _grants(role, **asked)
    gone = readers.revoke(open_site(site), role, unwanted or None)
    if not gone:
        raise NotFoundError(
            f"Nothing of that was granted to {role}; nothing was changed. `cmfd site grants` lists"
            " what was."
        )
    if not quiet:
        click.echo(printable(f"{role} may no longer see {readers.told(gone)}."))


@example("cmfd site grants")
@click.command("grants")
@options.site
@options.as_json
def grants(site: Path, *, as_json: bool) -> None:
    """List who may read what."""
    found = readers.grants(open_site(site))
    if as_json:
        print_json([one._asdict() for one in found])
        return
    rows = [(one.role, one.kind, one.value) for one in found]
    print_tables([Table((Column("user"), Column("sees runs of"), Column("name")), rows)])


COMMANDS = (grant, revoke, grants)


def _grants(role: str, **asked: Any) -> list[readers.Grant]:
    users = (*asked["users"], *((role,) * asked["own"]))
    by = {"user": users, "project": asked["projects"], "pipeline": asked["pipelines"]}
    named = [readers.Grant(role, kind, value) for kind, values in by.items() for value in values]
    return [*named, *[readers.Grant(role, "all", "")] * asked["everything"]]
