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


@example(
    "cmfd pull",
    "cmfd pull hpc:/project/cmfd",
)
@click.command("pull")
@exchange.remote
@exchange.everything
@options.site
@options.as_json
@options.quiet
def command(site: Path, remote: str, *, everything: bool, as_json: bool, quiet: bool) -> None:
    """
    Bring what REMOTE has and a site lacks, and merge it.

    REMOTE is as for `cmfd push`. Whatever it sends is checked as any pack is, and kept apart if it
    is none.
    """
    with (
        exchange.reached(site, remote) as (own, other, peer),
        progress_bar("pulling", quiet=quiet or as_json) as progress,
    ):
        done = pull(own, other, peer, everything=everything, on_progress=progress)
    exchange.tell(done, "pulled from", as_json=as_json, quiet=quiet)
