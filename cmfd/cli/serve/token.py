"""`cmfd serve token`: who may use a site over https."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import Group, example
from cmfd.cli.output import print_json, print_tables
from cmfd.merge.layout import open_site
from cmfd.serve import tokens

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.serve.tokens import Scope


@example(
    "cmfd serve token add ana",
    "cmfd serve token list",
)
@click.group("token", cls=Group)
def token() -> None:
    """Say who may use a site over https, and for what."""


@example("cmfd serve token add ana --scope read --scope push --pipeline tracking")
@token.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(tokens.SCOPES),
    multiple=True,
    default=("read",),
    show_default=True,
    help="What it may do; repeatable.",
)
@click.option(
    "--pipeline",
    "pipelines",
    multiple=True,
    metavar="P",
    help="Only with runs of this pipeline; repeatable.",
)
@options.site
@options.as_json
def add(
    name: str, site: Path, scopes: tuple[Scope, ...], pipelines: tuple[str, ...], *, as_json: bool
) -> None:
    """
    Make a token for NAME and print it: it is shown this once, and kept nowhere.

    Who has it puts it into CMFD_TOKEN, or into a file for `cmfd remote add --token-file`.
    """
    made = tokens.add(open_site(site), name, sorted(set(scopes)), sorted(set(pipelines)))
    if as_json:
        print_json({"name": name, "token": made})
    else:
        click.echo(made)


@example("cmfd serve token list --json")
@token.command("list")
@options.site
@options.as_json
def list_(site: Path, *, as_json: bool) -> None:
    """List who has a token, and for what."""
    known = tokens.all_of(open_site(site))
    documents = [
        {"name": name, "scopes": one.scopes, "pipelines": one.pipelines, "created": one.created}
        for name, one in sorted(known.items())
    ]
    if as_json:
        print_json(documents)
    elif documents:
        from cmfd.report.text import Column, Table  # noqa: PLC0415 - only for people

        rows = [
            (name, ", ".join(one.scopes), ", ".join(one.pipelines) or "all", one.created)
            for name, one in sorted(known.items())
        ]
        print_tables(
            [Table([Column(one) for one in ("name", "scopes", "pipelines", "created")], rows)]
        )


@example("cmfd serve token remove ana")
@token.command("remove")
@click.argument("name")
@options.site
def remove(name: str, site: Path) -> None:
    """Take a token back; a server that runs knows it from the next request on."""
    tokens.remove(open_site(site), name)
