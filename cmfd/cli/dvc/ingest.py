"""`cmfd dvc ingest`: pipelines of DVC's, into a site."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd import identity
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.dvc.ingest import ingest
from cmfd.merge.batch import merge_site
from cmfd.report.text import printable


@example(
    "cmfd dvc ingest",
    "cmfd dvc ingest analysis --pipeline tracks",
)
@click.command("ingest")
@click.argument(
    "directory",
    metavar="[DIR]",
    default=Path(),
    type=click.Path(path_type=Path, file_okay=False, exists=True),
)
@click.option(
    "--pipeline", metavar="P", help="Default: the name of the git repository, else of DIR."
)
@options.site
@options.as_json
@options.quiet
def command(
    *, site: Path, directory: Path, pipeline: str | None, as_json: bool, quiet: bool
) -> None:
    """
    Take in what a pipeline of DVC's did, from the dvc.yaml and dvc.lock of DIR (default: here).

    Each stage becomes a run with one execution: command, parameters, values of its metrics files,
    and what it read and wrote, with digests and where DVC keeps it. The time is that of the commit
    of dvc.lock, since DVC notes none. It can be repeated after each `dvc repro`: what is known
    already is not stored again.
    """
    done = ingest(site, directory, pipeline)
    merge_site(site, wait=True)
    if as_json:
        print_json(done)
    elif not quiet:
        for one in done:
            state = "new" if one.new else "known"
            short = one.execution[: identity.SHORT_DIGITS]
            click.echo(printable(f"{short}  {one.pipeline}.{one.stage}  {state}"))
    for one in done:
        for path in one.without_digest:
            told = f"cmfd: {one.stage}: DVC has no digest of the bytes of {path}"
            click.echo(printable(told), err=True)
