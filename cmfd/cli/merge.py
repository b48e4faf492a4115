"""`cmfd merge`: packs and journals into a site."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.cli.progress import progress_bar
from cmfd.errors import IncompleteError
from cmfd.merge.batch import merge_site
from cmfd.report import units
from cmfd.report.text import printable_lines

if TYPE_CHECKING:
    from cmfd.merge.report import MergeReport


@example(
    "cmfd merge",
    "cmfd merge --site /project/cmfd /var/tmp/cmfd-1000/journals",
)
@click.command("merge")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), metavar="[PACK|DIR]...")
@click.option("--wait", is_flag=True, help="Wait for another merger instead of leaving it to it.")
@options.site
@options.as_json
@options.quiet
def command(
    site: Path, sources: tuple[Path, ...], *, wait: bool, as_json: bool, quiet: bool
) -> None:
    """
    Merge what waits in a site's inbox, and the given packs, into the site.

    Journals of processes that no daemon took are merged as well: name them, their directory, or
    the node directory. A merge can be repeated: what is there already stays as it is. When another
    merger is at work, it takes these packs too, and this one ends at once.
    """
    with progress_bar("merging", quiet=quiet or as_json) as progress:
        done = merge_site(site, sources, progress=progress, wait=wait)
    if as_json:
        print_json(_document(site, done))
    elif not quiet:
        click.echo(printable_lines(_text(site, done)))
    if done.quarantined or done.skipped:
        raise IncompleteError(_left_out(done))


def _document(site: Path, done: MergeReport) -> dict[str, Any]:
    left_out = {
        field: [{"path": str(path), "reason": reason} for path, reason in getattr(done, field)]
        for field in ("quarantined", "skipped")
    }
    return {"site": str(site), **asdict(done), **left_out}


def _text(site: Path, done: MergeReport) -> str:
    repeated = f", {done.repeated} there before" if done.repeated else ""
    waiting = f", {done.left_in_inbox} left in the inbox" if done.left_in_inbox else ""
    busy = f"\nLeft to the merger at work: {done.busy_holder}" if done.busy_holder else ""
    return f"{units.count(done.absorbed, 'pack')} merged into {site}{repeated}{waiting}{busy}"


def _left_out(done: MergeReport) -> str:
    lines = [f"  {path}: {reason}" for path, reason in done.quarantined + done.skipped]
    return "\n".join(("The rest is merged; these could not be:", *lines))
