"""`cmfd push`: what this site has and another lacks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmfd.cli import exchange, options
from cmfd.cli.help import example
from cmfd.cli.progress import progress_bar
from cmfd.merge.batch import merge_site
from cmfd.sync.exchange import push

if TYPE_CHECKING:
    from cmfd.sync.view import Choice


@example(
    "cmfd push",
    "cmfd push --site ~/.cmfd hub",
    "cmfd push --sign ~/.ssh/id_ed25519",
    "cmfd push cmf+http://server --pipeline digits",
)
@click.command("push")
@exchange.remote
@click.option(
    "--sign",
    "key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="KEY",
    help="Sign what is sent and has no signature yet with this ssh key.",
)
@exchange.choice
@exchange.everything
@options.site
@options.as_json
@options.quiet
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    remote: str,
    chosen: Choice,
    key: Path | None,
    everything: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """
    Send what a site has and REMOTE lacks, and have it merged there.

    REMOTE is a name from `cmfd remote`, by default origin, or an address: a directory, HOST:PATH,
    ssh://HOST/PATH or https://HOST. What waits in this site's inbox is merged first. Nothing is
    ever removed there; a push that was cut goes on where it ended.

    cmf+http://HOST is a server of CMF's: it gets pipelines in CMF's own format.
    """
    if server := exchange.cmf_server_of(site, remote):
        from cmfd.cli import cmf_server  # noqa: PLC0415 - only for such a server

        if key is not None:
            raise click.UsageError("A server of CMF's takes no signatures.")
        cmf_server.push(site, server, chosen, as_json=as_json, quiet=quiet)
        return
    with exchange.reached(site, remote) as (own, other, peer):
        if os.access(own.path, os.W_OK):  # else another's merge takes what waits
            merge_site(site)
        with progress_bar("pushing", quiet=quiet or as_json) as progress:
            done = push(
                own,
                other,
                peer,
                everything=everything,
                wanted=chosen.wanted(),
                key=key,
                on_progress=progress,
            )
    exchange.tell(done, "pushed to", as_json=as_json, quiet=quiet)
