"""`cmfd bundle`: a site's packs in one file, for where no wire goes."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import exchange, options
from cmfd.cli.help import Group, example
from cmfd.cli.progress import progress_bar
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site, open_site


@example(
    "cmfd bundle create metadata.tar",
    "cmfd bundle unbundle metadata.tar",
)
@click.group("bundle", cls=Group)
def command() -> None:
    """Carry packs in one file: over an air gap, by mail, into an archive."""


@example("cmfd bundle create metadata.tar --new-for hub")
@command.command("create")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--new-for",
    "remote",
    metavar="REMOTE",
    help="Only what was merged since the last push to this remote.",
)
@options.site
@options.as_json
@options.quiet
def create(file: Path, site: Path, remote: str | None, *, as_json: bool, quiet: bool) -> None:
    """Write all merged packs of a site into FILE, a tar archive."""
    from cmfd.sync import bundle, remotes  # noqa: PLC0415 - each subcommand its own imports

    own = open_site(site)
    since = remotes.progress(own, remotes.named(own, remote)).pushed if remote else None
    with progress_bar("bundling", quiet=quiet or as_json) as progress:
        done = bundle.create(own, file, since=since, on_progress=progress)
    exchange.tell(done, "written to", as_json=as_json, quiet=quiet)


@example("cmfd bundle unbundle metadata.tar --site /project/cmfd")
@command.command("unbundle")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@options.site
@options.as_json
@options.quiet
def unbundle(file: Path, site: Path, *, as_json: bool, quiet: bool) -> None:
    """Take the packs of FILE that a site lacks, and merge them."""
    from cmfd.sync import bundle  # noqa: PLC0415 - each subcommand its own imports

    own = init_site(site)
    with progress_bar("unbundling", quiet=quiet or as_json) as progress:
        done = bundle.unbundle(own, file, on_progress=progress)
    report = merge_site(site)
    done.left_out += [(path.name, reason) for path, reason in report.quarantined]
    exchange.tell(done, "taken from", as_json=as_json, quiet=quiet)
