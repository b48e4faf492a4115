"""`cmfd artifacts pull`: the bytes of artifacts, brought back."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.errors import IncompleteError
from cmfd.report.text import printable, printable_lines


@example(
    "cmfd artifacts pull data/raw --to restored",
    "cmfd artifacts pull --execution 0192a3b4c5d6",
)
@click.command("pull")
@click.argument("names", nargs=-1, metavar="[ARTIFACT]...")
@click.option("--execution", metavar="E", help="All that this execution read.")
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where to put it; default: here.",
)
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="A DVC repository whose cache and remotes may have it; default: the one around here.",
)
@options.site
@options.as_json
@options.quiet
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    names: tuple[str, ...],
    execution: str | None,
    directory: Path,
    repo: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """
    Bring back the content of artifacts: the bytes that have the digest that was recorded.

    They are looked for where they were seen, in the caches of DVC repositories, and then, by `dvc`
    itself, in remotes of DVC. What is brought is read, and given its name only if it has that
    digest; what is there is not overwritten. ARTIFACT is as for `cmfd lineage up`, E an execution
    or a run that has but one.
    """
    from cmfd.dvc.fetch import fetch  # noqa: PLC0415 - only for this one of the group
    from cmfd.dvc.repository import Repository  # noqa: PLC0415 - as above
    from cmfd.query import subject  # noqa: PLC0415 - as above
    from cmfd.query.index import open_index  # noqa: PLC0415 - as above
    from cmfd.query.kept import inputs_kept, kept  # noqa: PLC0415 - as above

    if not names and execution is None:
        raise click.UsageError("Name artifacts, or an execution with --execution.")
    with open_index(site) as db:
        wanted = [kept(db, subject.artifact(db, name)) for name in names]
        if execution is not None:
            wanted += inputs_kept(db, subject.execution(db, execution))
    wanted = list({(one.digest, one.path): one for one in wanted}.values())
    done = fetch(wanted, directory.absolute(), Repository.around(repo or Path.cwd()))
    if as_json:
        print_json(done)
    elif not quiet:
        for one in done:
            if not one.problem:
                click.echo(printable(f"{one.target}: {one.source}"))
    if failed := [one for one in done if one.problem]:
        lines = [f"  {one.target} ({one.digest}): {one.problem}" for one in failed]
        told = "\n".join((f"{len(failed)} of {len(done)} could not be brought back:", *lines))
        raise IncompleteError(printable_lines(told))
