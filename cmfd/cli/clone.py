"""`cmfd clone`: a new site with what another has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmfd.cli import exchange, options
from cmfd.cli.help import example
from cmfd.cli.progress import progress_bar
from cmfd.errors import ConfigError
from cmfd.merge.layout import init_site
from cmfd.sync import remotes
from cmfd.sync.connect import connect
from cmfd.sync.exchange import pull

if TYPE_CHECKING:
    from cmfd.sync.view import Choice


@example(
    "cmfd clone hpc:/project/cmfd metadata",
    "cmfd clone hpc:/project/cmfd metadata --pipeline tracking",
)
@click.command("clone")
@click.argument("url")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--command", "there", default="", metavar="CMFD", help="What runs cmfd there.")
@exchange.token_file
@exchange.choice
@options.as_json
@options.quiet
def command(  # noqa: PLR0913 - options
    url: str,
    directory: Path | None,
    there: str,
    token_file: Path | None,
    *,
    chosen: Choice,
    as_json: bool,
    quiet: bool,
) -> None:
    """
    Make a site in DIRECTORY (default: .cmfd here) with all that the site at URL has, or a part.

    URL is a directory, HOST:PATH, ssh://HOST/PATH or https://HOST. It becomes the remote origin.
    """
    from cmfd.config import SITE_DIRECTORY  # noqa: PLC0415 - only here

    target = (directory or Path(SITE_DIRECTORY)).absolute()
    if (target / "site.toml").exists():
        raise ConfigError(
            f"{target} is a site already; it was left as it is. To have more in it, or to go on"
            f" with a clone that was cut: cmfd pull --site {target} {url}"
        )
    if target.is_dir() and any(target.iterdir()):
        raise ConfigError(
            f"{target} is there and not empty; it was left as it is. Name a new directory"
        )
    remote = exchange.remote_of(remotes.DEFAULT, url, there, token_file)
    with connect(remote) as peer:
        site = init_site(target)
        remotes.add(site, remote)
        with progress_bar("cloning", quiet=quiet or as_json) as progress:
            done = pull(site, remote, peer, wanted=chosen.wanted(), on_progress=progress)
    exchange.tell(done, f"cloned into {target} from", as_json=as_json, quiet=quiet)
