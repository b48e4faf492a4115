"""`cmfd serve-stdio`: what another site's `cmfd push` and `cmfd pull` start here through ssh."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cmfd.cli.help import example
from cmfd.merge.layout import open_site
from cmfd.merge.rules import Pusher, user_of
from cmfd.sync.local import SitePeer
from cmfd.sync.stdio import Pipe, serve


@example("ssh hpc cmfd serve-stdio /project/cmfd")
@click.command("serve-stdio")
@click.argument("site", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--as",
    "name",
    default="",
    metavar="NAME",
    help="Who pushes, for the site's rules: as:NAME, in place of this user.",
)
def command(site: Path, name: str) -> None:
    """
    Answer on standard output what another site asks on standard input, until it ends.

    Push, pull and clone of HOST:PATH run it there. Who may run it may read and add to the site as
    its file permissions and its rules say, and nothing else. Where many come as one user, each by a
    key of his own, sshd can be told who comes with which:
    command="cmfd serve-stdio --as NAME SITE" in authorized_keys.
    """
    who = Pusher("as", name) if name else user_of(os.geteuid())
    peer = SitePeer(open_site(site.expanduser().absolute()), who=who)
    # What anything prints here must not come among the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        serve(peer, Pipe(sys.stdin.buffer, answers, "the other site"))
