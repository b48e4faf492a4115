"""`cmfd merge`: packs and journals into a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cmfd import config
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
    "cmfd merge --site /project/cmfd --watch",
)
@click.command("merge")
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), metavar="[PACK|DIR]...")
@click.option("--wait", is_flag=True, help="Wait for another merger instead of leaving it to it.")
@click.option("--watch", is_flag=True, help="Go on merging what comes in, until a signal ends it.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.01, 86400),
    default=5.0,
    show_default=True,
    metavar="S",
    help="With --watch: how often to look.",
)
@options.site_if_given
@options.as_json
@options.quiet
def command(  # noqa: PLR0913 - options
    site: Path | None,
    sources: tuple[Path, ...],
    *,
    wait: bool,
    watch: bool,
    interval_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """
    Merge what waits in a site's inbox, and the given packs, into the site.

    Journals of processes that no daemon took are merged as well: name them, their directory, or
    the node directory. Without --site, your runs there go to the sites that they named; with it,
    all of them go to that one. A merge can be repeated: what is there already stays as it is. When
    another merger is at work, it takes these packs too, and this one ends at once.

    With --watch it is a service. It merges whatever comes in; of jobs that SLURM's controller puts
    into the site's directory `queue`, it tells on standard error which nodes have not delivered,
    and joins what SLURM's accounting says. The site may then have {user}, {uid}, {account} and
    {cluster} in it, which stand for anything; the queue is beside what differs.
    """
    target = site or config.find_site(Path.cwd())
    if watch:
        from cmfd.cli.watch import watch as go_on  # noqa: PLC0415 - only for the service

        if sources:
            raise click.UsageError("--watch merges what comes into the site: name no packs.")
        go_on(target, interval_s)
        return
    with progress_bar("merging", quiet=quiet or as_json) as progress:
        done = merge_site(target, sources, progress=progress, wait=wait, own_sites=site is None)
    if as_json:
        print_json(_document(target, done))
    elif not quiet:
        told = [(target, done), *((Path(path), other) for path, other in done.others.items())]
        click.echo(printable_lines("\n".join(_text(path, one) for path, one in told)))
    left_out = [pair for one in (done, *done.others.values()) for pair in _problems(one)]
    if left_out:
        lines = [f"  {path}: {reason}" for path, reason in left_out]
        raise IncompleteError("\n".join(("The rest is merged; these could not be:", *lines)))


def _document(site: Path, done: MergeReport) -> dict[str, Any]:
    left_out = {
        field: [{"path": str(path), "reason": reason} for path, reason in getattr(done, field)]
        for field in ("quarantined", "skipped")
    }
    others = [_document(Path(path), other) for path, other in done.others.items()]
    return {"site": str(site), **msgspec.structs.asdict(done), **left_out, "others": others}


def _text(site: Path, done: MergeReport) -> str:
    repeated = f", {done.repeated} there before" if done.repeated else ""
    waiting = f", {done.left_in_inbox} left in the inbox" if done.left_in_inbox else ""
    busy = f"\nLeft to the merger at work: {done.busy_holder}" if done.busy_holder else ""
    return f"{units.count(done.absorbed, 'pack')} merged into {site}{repeated}{waiting}{busy}"


def _problems(done: MergeReport) -> list[tuple[Path, str]]:
    return done.quarantined + done.skipped
