"""`cmfd remote`: the sites that a site exchanges packs with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cmfd.cli import exchange, options
from cmfd.cli.help import Group, example
from cmfd.cli.output import print_json
from cmfd.merge.layout import open_site
from cmfd.report.text import printable
from cmfd.sync import remotes

if TYPE_CHECKING:
    from pathlib import Path


@example(
    "cmfd remote add hub hpc:/project/cmfd",
    "cmfd remote list",
)
@click.group("remote", cls=Group)
def command() -> None:
    """Name the sites that a site exchanges packs with."""


@example("cmfd remote add hub ssh://hpc.example.org/project/cmfd")
@command.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--command", "there", default="", metavar="CMFD", help="What runs cmfd there.")
@exchange.token_file
@options.site
def add(name: str, url: str, site: Path, there: str, token_file: Path | None) -> None:
    """
    Call the site at URL by NAME: a directory, HOST:PATH, ssh://HOST[:PORT]/PATH or https://HOST.

    cmf+http://HOST is a server of CMF's, to push pipelines to and pull them from.

    The token for a server is taken from CMFD_TOKEN, else from --token-file, else from
    ~/.config/cmfd/credentials.toml. It is never part of a URL.
    """
    remotes.add(open_site(site), exchange.remote_of(name, url, there, token_file))


@example("cmfd remote list --json")
@command.command("list")
@options.site
@options.as_json
def list_(site: Path, *, as_json: bool) -> None:
    """List remotes."""
    found = remotes.all_of(open_site(site))
    if as_json:
        print_json([_document(one) for one in found])
        return
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        click.echo(printable(f"{one.name:<{width}}  {one.url}"))


@example("cmfd remote remove hub")
@command.command("remove")
@click.argument("name")
@options.site
def remove(name: str, site: Path) -> None:
    """Forget a remote; what came from it stays."""
    remotes.remove(open_site(site), name)


@example("cmfd remote set-url hub hpc:/project/cmfd --command /opt/cmfd/bin/cmfd")
@command.command("set-url")
@click.argument("name")
@click.argument("url")
@click.option("--command", "there", default=None, metavar="CMFD", help="What runs cmfd there.")
@exchange.token_file
@options.site
def set_url(name: str, url: str, site: Path, there: str | None, token_file: Path | None) -> None:
    """Say where a remote is now; without options, what runs cmfd there and its token stay."""
    file = None if token_file is None else str(token_file.absolute())
    remotes.set_url(open_site(site), name, remotes.absolute(url), there, file)


@example("cmfd remote accept hub")
@command.command("accept")
@click.argument("name")
@options.site
def accept(name: str, site: Path) -> None:
    """
    Trust a remote that somebody else wrote into a site, as it is now.

    A remote says where data go and what is run there. In a site that others may write to, only
    yours count, and what you accept; when it changes, it is to be accepted again.
    """
    accepted = remotes.accept(open_site(site), name)
    runs = f", where it runs {accepted.command}" if accepted.command else ""
    click.echo(printable(f"Accepted: {accepted.name} at {accepted.url}{runs}"))


def _document(remote: remotes.Remote) -> dict[str, Any]:
    return {"name": remote.name, "url": remote.url, "command": remote.command}
