"""`cmfd export openlineage`: runs as events of OpenLineage."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.export.written import output, write
from cmfd.cli.help import example
from cmfd.errors import ConfigError, RemoteError
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from openlineage.client.event_v2 import RunEvent

    from cmfd.formats.openlineage.sending import Cursor

    Give = Callable[[Iterable[RunEvent]], None]

_MISSING = "OpenLineage's library is not installed here: pip install 'cmfd[openlineage]'."


@example(
    "cmfd export openlineage -o events.jsonl",
    "OPENLINEAGE_URL=http://marquez:5000 cmfd export openlineage --send --cursor sent --follow",
)
@click.command("openlineage")
@click.option("--where", default="", metavar="FILTER", help="Only runs of executions that fit.")
@click.option(
    "--cursor",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Only runs of which something was merged since the export that left FILE.",
)
@click.option("--send", is_flag=True, help="Send them where OpenLineage's own settings say.")
@click.option("--follow", is_flag=True, help="Go on with what is merged, until interrupted.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.1, 86400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --follow looks.",
)
@click.option("--schemas", is_flag=True, help="Print the schema of cmfd's own facets instead.")
@output
@options.site
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    where: str,
    cursor: Path | None,
    send: bool,
    follow: bool,
    every_s: float,
    schemas: bool,
    out: Path | None,
) -> None:
    """
    Give out runs and executions as events, a line of JSON each.

    Of each there is a START, and a COMPLETE, FAIL or ABORT, or RUNNING while it has not ended. Ids
    are those of cmfd, so that what is sent again says the same of the same. With --follow, a run is
    given out again whenever something of it was merged: also while it runs, at its checkpoints.
    """
    try:
        from cmfd.formats.openlineage import facets, sending  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError(_MISSING) from None
    if schemas:
        write(facets.SCHEMAS.read_bytes(), out)
        return
    if follow and out is not None:
        raise click.UsageError("--follow writes to standard output, or sends: leave --output away.")
    give = _sender() if send else _printer(out)
    last = sending.load(cursor) if cursor else None
    while True:
        try:
            last = _round(site, where, last, give)
        except RemoteError as error:
            if not follow:
                raise
            click.echo(f"cmfd: {error}", err=True)  # whoever is away comes back
        if cursor and last:
            sending.save(cursor, last)
        if not follow:
            return
        time.sleep(every_s)


def _round(site: Path, where: str, last: Cursor | None, give: Give) -> Cursor | None:
    """Give out what was merged since; return up to where that is."""
    from cmfd.formats.openlineage import events, sending  # noqa: PLC0415 - an extra

    with open_index(site) as db:
        reached = sending.newest(db)
        runs = sending.due(db, where, last) if reached != last else []
        give(event for run in runs for event in events.events(db, run))
    return reached


def _sender() -> Give:
    from cmfd.formats.openlineage import sending  # noqa: PLC0415 - an extra

    send = sending.sender()

    def give(made: Iterable[RunEvent]) -> None:
        for event in made:
            send(event)

    return give


def _printer(out: Path | None) -> Give:
    from cmfd.formats.openlineage.sending import line  # noqa: PLC0415 - an extra

    def give(made: Iterable[RunEvent]) -> None:
        if out is not None:
            write(map(line, made), out)
            return
        for event in made:
            sys.stdout.buffer.write(line(event))
        sys.stdout.buffer.flush()

    return give
