"""`cmfd artifacts rehash`: what is known by a quick digest, by all of its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.errors import IncompleteError
from cmfd.merge.rehash import Rehashed, rehash
from cmfd.query import artifacts
from cmfd.query.index import open_index
from cmfd.query.kept import kept
from cmfd.query.subject import artifact
from cmfd.report.text import printable, printable_lines

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd artifacts rehash", "cmfd artifacts rehash data/huge.h5")
@click.command("rehash")
@click.argument("names", nargs=-1, metavar="[ARTIFACT]...")
@options.site
@options.as_json
@options.quiet
def command(site: Path, names: tuple[str, ...], *, as_json: bool, quiet: bool) -> None:
    """
    Read artifacts whole that are known by a quick digest only.

    They are looked for where they were seen. What still has its quick digest is read, and the site
    is told that its quick digest and that of all its bytes are of the same content. Without
    ARTIFACT: all that are not known by their bytes yet; those that are not on this machine are
    passed over.
    """
    with open_index(site) as db:
        quick = [artifact(db, name) for name in names] if names else artifacts.quick_only(db)
        known = artifacts.with_bytes_known(db, quick)
        wanted = {one.name: kept(db, one).places for one in quick if one.name not in known}
    done = rehash(site, wanted)
    read = [one for one in done if not one.problem]
    if as_json:
        print_json([one._asdict() for one in done])
    elif not quiet:
        for one in read:
            click.echo(printable(f"{one.place}: {one.quick} is {one.digest}"))
        _say_rest(done, len(known))
    if names and len(read) < len(done):
        lines = [f"  {one.quick}: {one.problem}" for one in done if one.problem]
        told = "\n".join((f"{len(lines)} of {len(done)} could not be read:", *lines))
        raise IncompleteError(printable_lines(told))


def _say_rest(done: list[Rehashed], n_known: int) -> None:
    """Say how many were left out."""
    n_left = sum(bool(one.problem) for one in done)
    said = [f"{n_known} known by all bytes already"] if n_known else []
    said += [f"{n_left} changed or not on this machine"] if n_left else []
    if said or not done:
        click.echo(", ".join(said) or "no artifact is known by a quick digest only", err=True)
