"""`cmfd site`: the repository itself."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.export.written import output, write
from cmfd.cli.grants import COMMANDS as GRANTS
from cmfd.cli.help import Group, example
from cmfd.cli.output import print_json
from cmfd.cli.progress import progress_bar
from cmfd.errors import IncompleteError
from cmfd.report import units


@example(
    "cmfd site init",
    "cmfd site verify",
)
@click.group("site", cls=Group)
def command() -> None:
    """Make, check and look after a site repository."""


@example(
    "cmfd site init",
    "cmfd site init /project/shared/cmfd",
    "cmfd site init --index postgresql://db.example.org/cmfd /project/shared/cmfd",
)
@command.command("init")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--index",
    default="",
    metavar="URL",
    help="Where its index is to be: postgresql://host/database; default: a file of the site.",
)
@options.as_json
def init(directory: Path | None, index: str, *, as_json: bool) -> None:
    """Make DIRECTORY a site; default: .cmfd here, which is then found from here and below."""
    from cmfd.config import SITE_DIRECTORY  # noqa: PLC0415 - each subcommand its own imports
    from cmfd.merge.index import check_database, make_index  # noqa: PLC0415 - as above
    from cmfd.merge.layout import init_site  # noqa: PLC0415 - as above

    if index:
        check_database(index)
    made = init_site((directory or Path(SITE_DIRECTORY)).absolute(), index)
    if index:
        make_index(made, index)
    if as_json:
        print_json({"site": str(made.path), "id": made.id})
    else:
        click.echo(f"Site {made.id} is at {made.path}")


@example("cmfd site digest")
@command.command("digest")
@options.site
@options.as_json
def digest(site: Path, *, as_json: bool) -> None:
    """Print a digest of all content: equal content, equal digest, however it got there."""
    from cmfd.merge.index import digest_of  # noqa: PLC0415 - as above
    from cmfd.merge.layout import open_site  # noqa: PLC0415 - as above

    found = digest_of(open_site(site))
    if as_json:
        print_json({"site": str(site), "digest": found})
    else:
        click.echo(found)


@example("cmfd site verify --deep")
@command.command("verify")
@click.option("--deep", is_flag=True, help="Also make the index anew on the side, and compare.")
@options.site
@options.as_json
@options.quiet
def verify(site: Path, *, deep: bool, as_json: bool, quiet: bool) -> None:
    """
    Read every pack and look whether the index is whole and lists them all; nothing is changed.

    That finds packs that were damaged, lost or not taken in, and an index that is damaged. Whether
    all that the index says is what the packs say, only --deep finds out: run it where somebody may
    have changed the index by hand.
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
        packs = units.count(found.n_packs, "pack")
        problems = units.count(len(found.problems), "problem")
        click.echo(f"{packs} read, {problems} at {site}")
    if found.problems:
        raise IncompleteError("\n".join(("Not all is well:", *found.problems)))


@example("cmfd site reindex", "cmfd site reindex --to postgresql://db.example.org/cmfd")
@command.command("reindex")
@click.option("--force", is_flag=True, help="Even without packs that only the old index has.")
@click.option(
    "--to",
    metavar="URL",
    help="Have the index elsewhere from now on: postgresql://host/database, or sqlite.",
)
@options.site
@options.as_json
@options.quiet
def reindex(site: Path, *, force: bool, to: str | None, as_json: bool, quiet: bool) -> None:
    """Make the index anew from the packs, which are the truth."""
    from cmfd.merge.reindex import reindex as rebuild  # noqa: PLC0415 - as above

    database = "" if to == "sqlite" else to
    with progress_bar("indexing", quiet=quiet or as_json) as progress:
        refused = rebuild(site, force=force, to=database, progress=progress)
    if as_json:
        left_out = [{"path": str(path), "reason": reason} for path, reason in refused]
        print_json({"site": str(site), "refused": left_out})
    elif not quiet:
        click.echo(f"The index of {site} is made anew.")
    if refused:
        lines = [f"  {path}: {reason}" for path, reason in refused]
        raise IncompleteError("\n".join(("These packs are not in the index:", *lines)))


@example("cmfd site datasette -o site.json", "datasette .cmfd/index.db -m site.json")
@command.command("datasette")
@output
@options.site
def datasette(site: Path, *, out: Path | None) -> None:
    """
    Write what Datasette is to know of the index: what views and columns mean, units, questions.

    Datasette then shows the site in a browser: datasette SITE/index.db --metadata FILE.
    """
    from cmfd.formats.datasette import metadata  # noqa: PLC0415 - as above

    write(json.dumps(metadata(site), indent=1).encode() + b"\n", out)


@example("cmfd site gc --remove")
@command.command("gc")
@click.option("--remove", is_flag=True, help="Remove them; without this, only tell.")
@click.option("--packs", is_flag=True, help="Also merged packs that later ones repeat whole.")
@click.option("--keep-days", default=30.0, show_default=True, help="How long quarantine keeps.")
@options.site
@options.as_json
def gc(site: Path, *, remove: bool, packs: bool, keep_days: float, as_json: bool) -> None:
    """
    Find leftovers of crashes and old quarantine; never what is nowhere else.

    With --packs also checkpoints of long runs, where later ones have all that they have. That takes
    time: it is tried out, run by run. No content is lost by it, and other sites do not bring them
    back.
    """
    from cmfd.merge.gc import gc as collect  # noqa: PLC0415 - as above

    found = collect(site, keep_days=keep_days, remove=remove, packs=packs)
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
    n_files = units.count(len(found.leftovers), "file")
    click.echo(f"{n_files} {done}" if found.leftovers else "Nothing to remove.")


for one in GRANTS:
    command.add_command(one)
