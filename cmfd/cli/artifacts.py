"""`cmfd artifacts`: content that went in and out of executions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import Group, example
from cmfd.cli.notes import COMMANDS as NOTES
from cmfd.cli.output import print_json, print_tables
from cmfd.cli.pull_content import command as pull
from cmfd.cli.rehash import command as rehash
from cmfd.content.alike import hash_like
from cmfd.errors import IncompleteError, NotFoundError
from cmfd.model import INSIDE, ArtifactKind, Direction
from cmfd.query import artifacts
from cmfd.query.index import open_index
from cmfd.query.subject import artifact
from cmfd.report.artifacts import artifact_lines, artifacts_table, uses_table
from cmfd.report.notes import notes_table

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT = click.option(
    "-n", "--limit", type=options.LIMIT, default=20, show_default=True, help="At most; -1: all."
)
_KIND = click.option(
    "--kind", type=click.Choice([kind.value for kind in ArtifactKind]), help="Only of this kind."
)
_PIPELINE = click.option("--pipeline", metavar="P", help="Only of this pipeline.")


@example("cmfd artifacts list --kind model")
@click.group("artifacts", cls=Group)
def command() -> None:
    """Show content that went in and out of executions."""


@example("cmfd artifacts list --kind model --pipeline digits")
@command.command("list")
@_KIND
@_PIPELINE
@click.option(
    "--direction",
    type=click.Choice([direction.value for direction in Direction]),
    help="Only what was read, or what was written.",
)
@_LIMIT
@options.site
@options.as_json
def list_(  # noqa: PLR0913 - options
    *,
    site: Path,
    kind: str | None,
    pipeline: str | None,
    direction: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List artifacts, those of the latest executions first."""
    with open_index(site) as db:
        found = artifacts.newest(db, limit=limit, kind=kind, pipeline=pipeline, direction=direction)
    _print(found, site, as_json=as_json)


@example("cmfd artifacts search hits --kind dataset")
@command.command("search")
@click.argument("name")
@_KIND
@_PIPELINE
@_LIMIT
@options.site
@options.as_json
def search(  # noqa: PLR0913 - options
    *,
    site: Path,
    name: str,
    kind: str | None,
    pipeline: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List artifacts with NAME in one of their paths, those of the latest executions first."""
    with open_index(site) as db:
        found = artifacts.newest(db, limit=limit, kind=kind, name=name, pipeline=pipeline)
    _print(found, site, as_json=as_json)


def _print(found: list[artifacts.KnownArtifact], site: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        print_tables([artifacts_table(found)])
    else:
        click.echo(f"No such artifacts at {site}.", err=True)


@example("cmfd artifacts show model.bin")
@command.command("show")
@click.argument("what", metavar="ARTIFACT")
@options.site
@options.as_json
def show(site: Path, what: str, *, as_json: bool) -> None:
    """
    Show an artifact: digests, size, names, who wrote and read it, what people said of it.

    It goes by its digest or the beginning of it, by a file, or by a recorded path: as for
    `cmfd lineage up`.
    """
    with open_index(site) as db:
        found = artifacts.detail(db, artifact(db, what))
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(artifact_lines(found)))
    print_tables([uses_table(found), notes_table(found.notes)])


@example("cmfd artifacts hash data/raw.h5")
@command.command("hash")
@click.argument("path")
@click.option("--like", default="", metavar="DIGEST", help="The kind of digest that this one is.")
def hash_(path: str, like: str) -> None:
    """
    Print the digest by which a file or directory is known.

    FILE::DATASET is a data set inside of an HDF5 file.
    """
    hashed = hash_like(path, like)
    if hashed.problem and not os.path.lexists(path.partition(INSIDE)[0]):
        raise NotFoundError(f"{path} is not there, and so has no digest.")
    if hashed.problem:
        raise IncompleteError(f"{path} has no digest: {hashed.problem}.")
    click.echo(hashed.digest)


for _one in (pull, rehash, *NOTES):
    command.add_command(_one)
