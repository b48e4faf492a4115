"""`cmfd site`: the repository itself."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.output import print_json
from cmfd.cli.progress import progress_bar
from cmfd.errors import IncompleteError


@click.group("site")
def command() -> None:
    r"""
    Make, check and look after a site repository.

    \b
    Example:
      cmfd site init
      cmfd site verify
    """


@command.command("init")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@options.as_json
def init(directory: Path | None, *, as_json: bool) -> None:
    r"""
    Make DIRECTORY a site; default: .cmfd here, which is then found from here and below.

    \b
    Example:
      cmfd site init
      cmfd site init /project/shared/cmfd
    """
    from cmfd.config import SITE_DIRECTORY  # noqa: PLC0415 - each subcommand its own imports
    from cmfd.merge.layout import init_site  # noqa: PLC0415 - as above

    made = init_site((directory or Path(SITE_DIRECTORY)).absolute())
    if as_json:
        print_json({"site": str(made.path), "id": made.id})
    else:
        click.echo(f"Site {made.id} is at {made.path}")


@command.command("digest")
@options.site
@options.as_json
def digest(site: Path, *, as_json: bool) -> None:
    r"""
    Print a digest of all content: equal content, equal digest, however it got there.

    \b
    Example:
      cmfd site digest
    """
    from cmfd.query.index import open_index  # noqa: PLC0415 - as above
    from cmfd.store.digest import content_digest  # noqa: PLC0415 - as above

    with open_index(site) as db:
        found = content_digest(db)
    if as_json:
        print_json({"site": str(site), "digest": found})
    else:
        click.echo(found)


@command.command("verify")
@click.option("--deep", is_flag=True, help="Also rebuild the index on the side and compare.")
@options.site
@options.as_json
@options.quiet
def verify(site: Path, *, deep: bool, as_json: bool, quiet: bool) -> None:
    r"""
    Read every pack and compare packs, ledger and index; nothing is changed.

    \b
    Example:
      cmfd site verify --deep
    """
    from cmfd.merge.verify import verify as check  # noqa: PLC0415 - as above

    with progress_bar("reading", quiet=quiet or as_json) as progress:
        found = check(site, deep=deep, progress=progress)
    if as_json:
        print_json(
            {
                "site": str(site),
                "n_packs": found.n_packs,
                "digest": found.digest,
                "problems": found.problems,
            }
        )
    elif not quiet:
        click.echo(f"{found.n_packs} packs read, {len(found.problems)} problems at {site}")
    if found.problems:
        raise IncompleteError("\n".join(("Not all is well:", *found.problems)))


@command.command("reindex")
@options.site
@options.as_json
@options.quiet
def reindex(site: Path, *, as_json: bool, quiet: bool) -> None:
    r"""
    Make the index anew from the packs, which are the truth.

    \b
    Example:
      cmfd site reindex
    """
    from cmfd.merge.reindex import reindex as rebuild  # noqa: PLC0415 - as above

    with progress_bar("indexing", quiet=quiet or as_json) as progress:
        refused = rebuild(site, progress=progress)
    if as_json:
        left_out = [{"path": str(path), "reason": reason} for path, reason in refused]
        print_json({"site": str(site), "refused": left_out})
    elif not quiet:
        click.echo(f"The index of {site} is made anew.")
    if refused:
        lines = [f"  {path}: {reason}" for path, reason in refused]
        raise IncompleteError("\n".join(("These packs are not in the index:", *lines)))


@command.command("gc")
@click.option("--remove", is_flag=True, help="Remove them; without this, only tell.")
@click.option("--keep-days", default=30.0, show_default=True, help="How long quarantine keeps.")
@options.site
@options.as_json
def gc(site: Path, *, remove: bool, keep_days: float, as_json: bool) -> None:
    r"""
    Find leftovers of crashes and quarantine that had its time; never a merged or waiting pack.

    \b
    Example:
      cmfd site gc --remove
    """
    from cmfd.merge.gc import gc as collect  # noqa: PLC0415 - as above
    from cmfd.report import units  # noqa: PLC0415 - as above

    found = collect(site, keep_days=keep_days, remove=remove)
    if as_json:
        print_json(
            {
                "site": str(site),
                "removed": found.removed,
                "leftovers": [
                    {"path": str(one.path), "size_bytes": one.size_bytes, "reason": one.reason}
                    for one in found.leftovers
                ],
                "strangers": [str(path) for path in found.strangers],
            }
        )
        return
    for one in found.leftovers:
        click.echo(f"{one.path} ({units.size(one.size_bytes)}): {one.reason}")
    for path in found.strangers:
        click.echo(f"{path}: nothing that cmfd makes; it is left alone")
    done = "removed" if remove else "can be removed: cmfd site gc --remove"
    click.echo(f"{len(found.leftovers)} files {done}" if found.leftovers else "Nothing to remove.")
