"""`cmfd serve-stdio`: what another site's `cmfd push` and `cmfd pull` start here through ssh."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cmfd.cli.help import example
from cmfd.merge.layout import open_site
from cmfd.sync.local import SitePeer
from cmfd.sync.stdio import Pipe, serve


@example("ssh hpc cmfd serve-stdio /project/cmfd")
@click.command("serve-stdio")
@click.argument("site", type=click.Path(path_type=Path, file_okay=False))
def command(site: Path) -> None:
    """
    Answer on standard output what another site asks on standard input, until it ends.

    Push, pull and clone of HOST:PATH run it there. Who may run it may read and add to the site as
    its file permissions say, and nothing else.
    """
    peer = SitePeer(open_site(site.expanduser().absolute()))
    # What anything prints here must not come among the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        serve(peer, Pipe(sys.stdin.buffer, answers, "the other site"))
