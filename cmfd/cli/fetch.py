"""`cmfd fetch`: what another site has and this one lacks, into the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import exchange, options
from cmfd.cli.help import example
from cmfd.cli.progress import progress_bar
from cmfd.sync.exchange import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.sync.view import Choice


@example(
    "cmfd fetch",
    "cmfd fetch hpc:/project/cmfd",
)
@click.command("fetch")
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
    Bring what REMOTE has and a site lacks into the site's inbox; `cmfd merge` takes it from there.

    REMOTE is as for `cmfd push`. `cmfd pull` does both.
    """
    with (
        exchange.reached(site, remote) as (own, other, peer),
        progress_bar("fetching", quiet=quiet or as_json) as progress,
    ):
        done = fetch(
            own, other, peer, everything=everything, wanted=chosen.wanted(), on_progress=progress
        )
    exchange.tell(done, "fetched from", as_json=as_json, quiet=quiet)
