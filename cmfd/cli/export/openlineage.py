"""`cmfd export openlineage`: runs as events of OpenLineage."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmfd.carbon.book import CarbonBook
from cmfd.cli import options
from cmfd.cli.export.written import output, write
from cmfd.cli.help import example
from cmfd.errors import ConfigError, IncompleteError, RemoteError
from cmfd.formats.columns import Columns
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.report.costs.of_run import costs_of
from cmfd.report.costs.policy import policy_of
from cmfd.report.text import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from openlineage.client.event_v2 import RunEvent

    from cmfd.formats.openlineage.events import Cost
    from cmfd.formats.openlineage.sending import Cursor
    from cmfd.report.costs.of_run import Cost as Reckoned

    Give = Callable[[Iterable[RunEvent]], list[str]]

_MOST_TOLD = 10
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
@click.option(
    "--columns", is_flag=True, help="Read which columns tables have that are still where they were."
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
    columns: bool,
    schemas: bool,
    out: Path | None,
) -> None:
    """
    Give out runs and executions as events, a line of JSON each.

    Of each there is a START, and a COMPLETE, FAIL or ABORT, or RUNNING while it has not ended. Ids
    are those of cmfd, so that what is sent again says the same of the same. With --follow, a run is
    given out again whenever something of it was merged: also while it runs, at its checkpoints.

    An event that the receiver refuses as wrong is told, and left out, with exit code 12.
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
            last, refused = _round(site, where, last, give, columns=columns)
            if cursor and last:
                sending.save(cursor, last)
            _check(refused)
        except (RemoteError, IncompleteError) as error:
            if not follow:
                raise
            click.echo(f"cmfd: {error}", err=True)  # whoever is away comes back
        if not follow:
            return
        time.sleep(every_s)


def _round(
    site: Path, where: str, last: Cursor | None, give: Give, *, columns: bool
) -> tuple[Cursor | None, list[str]]:
    """Give out what was merged since; return up to where that is, and what nobody will take."""
    from cmfd.formats.openlineage import events, sending  # noqa: PLC0415 - an extra

    with open_index(site) as db:
        reached = sending.newest(db)
        runs = sending.due(db, where, last) if reached != last else []
        further = events.Further(_costs(db, site))
        if columns:
            further = further._replace(columns=Columns(db, _untold))
        refused = give(event for run in runs for event in events.events(db, run, further))
    return reached, refused


def _check(refused: list[str]) -> None:
    """Say which events a receiver will not take, however often they come."""
    if not refused:
        return
    shown = [printable(f"  {one}") for one in refused[:_MOST_TOLD]]
    if len(refused) > _MOST_TOLD:
        shown.append(f"  and {len(refused) - _MOST_TOLD} more")
    first = "the receiver refuses these events, and has all others; they are not sent again:"
    raise IncompleteError("\n".join((first, *shown)))


def _untold(sentence: str) -> None:
    click.echo(printable(f"Columns are not known: {sentence}"), err=True)


def _costs(db: sqlite3.Connection, site: Path) -> Callable[[int], dict[str, Cost]]:
    """Return what tells the costs of a run, as reports of the site do."""
    policy, book = policy_of(open_site(site)), CarbonBook.open(site)

    def costs(run_id: int) -> dict[str, Cost]:
        found = costs_of(db, run_id, policy, book)
        return {name: _cost(one) for name, one in found.items()}

    return costs


def _cost(one: Reckoned) -> Cost:
    from cmfd.formats.openlineage.events import Cost  # noqa: PLC0415 - an extra

    energy, carbon = one
    bounds = {
        "lowJoules": energy.low_j, "highJoules": energy.high_j, "grade": energy.grade,
    }  # fmt: skip
    if carbon is None:
        return Cost(bounds, None)
    return Cost(bounds, {
        "factorSet": carbon.factor_set_id,
        "factorSetName": carbon.factor_set_name,
        "coveredShare": carbon.covered_share,
        "missing": carbon.missing,
        "operationalGco2e": carbon.operational_gco2e,
        "lowGco2e": carbon.low_gco2e,
        "highGco2e": carbon.high_gco2e,
        "marketGco2e": carbon.market_gco2e,
        "intensityGco2ePerKwh": carbon.intensity_gco2e_per_kwh,
        "pue": carbon.pue,
    })  # fmt: skip


def _sender() -> Give:
    from cmfd.formats.openlineage import sending  # noqa: PLC0415 - an extra

    send = sending.sender()

    def give(made: Iterable[RunEvent]) -> list[str]:
        answers = map(send, made)
        return [answer for answer in answers if answer is not None]

    return give


def _printer(out: Path | None) -> Give:
    from cmfd.formats.openlineage.sending import line  # noqa: PLC0415 - an extra

    def give(made: Iterable[RunEvent]) -> list[str]:
        if out is not None:
            write(map(line, made), out)
            return []
        for event in made:
            sys.stdout.buffer.write(line(event))
        sys.stdout.buffer.flush()
        return []

    return give
