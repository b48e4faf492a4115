"""`cmfd status`: how this node's daemon is, and what waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cmfd import config
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.errors import CmfdError, DaemonUnavailableError, NotFoundError, WireError
from cmfd.merge import inbox
from cmfd.merge.layout import open_site
from cmfd.report.status import status_lines
from cmfd.sync import remotes
from cmfd.wire.control import request
from cmfd.wire.journal import SUFFIX
from cmfd.wire.messages import StatusReply, StatusRequest

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.config import Settings
    from cmfd.merge.layout import Site

_ANSWER_S = 5.0


@example(
    "cmfd status --json",
    "cmfd status --remotes",
)
@click.command("status")
@click.option("--remotes", "ask", is_flag=True, help="Also ask each remote how far apart it is.")
@options.site
@options.as_json
def command(site: Path, *, ask: bool, as_json: bool) -> None:
    """
    Show how this node's daemon is, which journals it has, and what waits in the site's inbox.

    The exit code is 7 when no daemon runs; nothing is lost by that.
    """
    settings = config.load()
    problem: CmfdError | None = None
    daemon = None
    try:
        daemon = _daemon(settings)
    except DaemonUnavailableError as error:
        problem = error
    document: dict[str, Any] = {
        "node_dir": str(settings.node_dir),
        "daemon": daemon,
        "journals": len(list(settings.own_journal_dir.glob(f"*{SUFFIX}"))),
        "site": _site(site),
    }
    if ask:
        own = open_site(site)
        document["remotes"] = [_remote(own, one) for one in remotes.all_of(own)]
    if as_json:
        print_json(document)
    else:
        click.echo("\n".join(status_lines(document)))
    if problem is not None:
        raise problem


def _daemon(settings: Settings) -> dict[str, Any]:
    """Return what the daemon says of itself."""
    answer = request(settings.node_dir, StatusRequest(), _ANSWER_S, system=settings.system)
    if not isinstance(answer, StatusReply):
        raise WireError(f"the daemon does not say how it is: {answer}")
    document: dict[str, Any] = json.loads(answer.document)
    return document


def _remote(site: Site, remote: remotes.Remote) -> dict[str, Any]:
    """Return how many packs a remote lacks, and how many it has that are not here."""
    from cmfd.sync.connect import connect  # noqa: PLC0415 - only where remotes are asked
    from cmfd.sync.exchange import standing  # noqa: PLC0415 - as above

    told: dict[str, Any] = {"name": remote.name, "url": remote.url, "ahead": None, "behind": None}
    try:
        with connect(remotes.named(site, remote.name)) as peer:
            stands = standing(site, remote, peer)
    except CmfdError as error:
        return {**told, "problem": str(error)}
    return {**told, "ahead": stands.ahead, "behind": stands.behind, "problem": ""}


def _site(path: Path) -> dict[str, Any]:
    """Return what waits at a site; one that was not made yet has nothing."""
    try:
        site = open_site(path)
    except NotFoundError:
        return {"path": str(path), "exists": False, "waiting": 0, "quarantined": 0}
    return {
        "path": str(path),
        "exists": True,
        "waiting": len(inbox.waiting(site)),
        "quarantined": len(list(site.quarantine.glob("*.db"))),
    }
