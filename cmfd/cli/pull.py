"""`cmfd pull`: what another site has and this one lacks, merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import exchange, options
from cmfd.cli.help import example
from cmfd.cli.progress import progress_bar
from cmfd.sync.exchange import pull

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.sync.view import Choice


@example(
    "cmfd pull",
    "cmfd pull hpc:/project/cmfd",
    "cmfd pull --pipeline tracking --stage train --depth all",
    "cmfd pull cmf+http://server --pipeline digits",
)
@click.command("pull")
@exchange.remote
@exchange.choice
@exchange.everything
@options.site
@options.as_json
@options.quiet
def command(  # noqa: PLR0913 - options
    *, site: Path, remote: str, chosen: Choice, everything: bool, as_json: bool, quiet: bool
) -> None:
    """
    Bring what REMOTE has and a site lacks, and merge it.

    With options that choose, only a part: the runs in which something is chosen, whole, and with
    --depth the runs that made what they read. A later pull may widen it; what is left out is said.

    REMOTE is as for `cmfd push`. Whatever it sends is checked as any pack is, and kept apart if it
    is none. From a server of CMF's (cmf+http://HOST) pipelines come as by `cmfd import cmf`.
    """
    if server := exchange.cmf_server_of(site, remote):
        from cmfd.cli import cmf_server  # noqa: PLC0415 - only for such a server

        cmf_server.pull(site, server, chosen, as_json=as_json, quiet=quiet)
        return
    with (
        exchange.reached(site, remote) as (own, other, peer),
        progress_bar("pulling", quiet=quiet or as_json) as progress,
    ):
        done = pull(
            own, other, peer, everything=everything, wanted=chosen.wanted(), on_progress=progress
        )
    exchange.tell(done, "pulled from", as_json=as_json, quiet=quiet)
