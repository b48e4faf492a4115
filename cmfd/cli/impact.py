"""`cmfd impact`: the sphere of influence of an artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_restriction, print_tables
from cmfd.merge.notes import say
from cmfd.model import NoteKind
from cmfd.query.impact import impact
from cmfd.query.index import open_index
from cmfd.query.notes import tainted
from cmfd.query.subject import subject
from cmfd.report.lineage import impact_lines, impact_tables

if TYPE_CHECKING:
    from pathlib import Path


@example(
    "cmfd impact data/raw.h5",
    "cmfd impact data/raw.h5 --mark --reason 'wrong calibration'",
)
@click.command("impact")
@click.argument("what", metavar="ARTIFACT|EXECUTION")
@click.option(
    "--until",
    type=options.Time(),
    metavar="TIME",
    help="Only along executions that began by then.",
)
@click.option(
    "-n",
    "--limit",
    type=options.LIMIT,
    default=20,
    show_default=True,
    help="List at most so many executions, artifacts and runs, the newest; -1: all.",
)
@click.option("--mark", is_flag=True, help="Mark it, and everything it reached, as tainted.")
@click.option("--clear", is_flag=True, help="Mark it, and everything it reached, as cleared.")
@click.option("--reason", metavar="TEXT", help="Why, with --mark or --clear.")
@options.site
@options.as_json
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    what: str,
    until: int | None,
    limit: int,
    mark: bool,
    clear: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """
    Show everything that an artifact reached: executions, models, users, jobs, nodes.

    Names are those of `cmfd lineage up`. Newest first, each with a shortest path to it; counts,
    users, pipelines and nodes are of everything that was reached, listed or not.

    With --mark, all of it is marked as by `cmfd artifacts mark --tainted`, listed or not; each
    mark says what it was reached from.
    """
    if mark and clear:
        raise click.UsageError("Say --mark or --clear, not both.")
    if (mark or clear) == (reason is None):
        raise click.UsageError("--mark and --clear need a --reason, and only they do.")
    if reason is not None:
        _mark(site, what, NoteKind.TAINTED if mark else NoteKind.CLEARED, reason, until)
    with open_index(site) as db:
        found = impact(db, subject(db, what), limit=limit, until_ns=until)
        print_restriction(db)
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(impact_lines(found)))
    print_tables(impact_tables(found))


def _mark(site: Path, what: str, kind: NoteKind, reason: str, until: int | None) -> None:
    """Say it of everything of which it is not said yet."""
    with open_index(site) as db:
        found = impact(db, subject(db, what), until_ns=until)
        reached = [one.digest for one in found.artifacts]
        reached += [one.execution for one in found.executions]
        texts = dict.fromkeys(reached, f"{reason} (reached from {found.start})")
        texts[found.start] = reason
        marked = tainted(db, texts)
    if kind is NoteKind.TAINTED:
        new = {name: text for name, text in texts.items() if marked.get(name) != text}
    else:
        new = {name: text for name, text in texts.items() if name in marked}
    if new:
        say(site, kind, new)
    words = "as tainted" if kind is NoteKind.TAINTED else "as cleared"
    click.echo(f"marked {len(new)} of {len(texts)} {words}", err=True)
