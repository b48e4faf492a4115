"""`cmfd show`: everything about one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.errors import CmfdError, NotFoundError
from cmfd.merge import inbox
from cmfd.merge.layout import open_site
from cmfd.query import energy, runs
from cmfd.query.index import open_index
from cmfd.report import units
from cmfd.report.energy_line import energy_lines
from cmfd.report.runs import detail_tables, head_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_PACKS = 200
"""How many that wait are opened to see whose they are."""

_TOLD = "         by the figures of another daemon, which counts this node; reports leave it out"


@example("cmfd show last")
@click.command("show")
@options.run
@options.site
@options.as_json
def command(site: Path, run: str, *, as_json: bool) -> None:
    """
    Show a run: executions, parameters, metrics, artifacts, facts, and what it took.

    RUN is the id of a run or of one of its executions, or its beginning, a job id, the run's name,
    `last`, or `@-2` for the last but one.
    """
    try:
        with open_index(site) as db:
            number = runs.find(db, run)
            found = runs.detail(db, number)
            taken = energy.sums(db, energy.Which(run_ids=(number,)))
            probes = energy.probes(db, {one.node for one in taken})
            told = [] if taken else energy.sums(db, energy.Which(run_ids=(number,), role="check"))
    except NotFoundError as error:
        if n_packs := _waiting(site, lambda said: run in _names(said)):
            raise NotFoundError(f"{error} {_hint(n_packs)}") from error
        raise
    if n_packs := _waiting(site, lambda said: said.run.hex() == found.run.run):
        click.echo(f"cmfd: {_hint(n_packs)}", err=True)
    if as_json:
        print_json(found)
        return
    lines = [*head_lines(found), *energy_lines(taken or told, probes)]
    click.echo("\n".join([*lines, *([_TOLD] if told else [])]))
    print_tables(detail_tables(found))


def _waiting(site: Path, is_meant: Callable[[inbox.Named], bool]) -> int:
    """Count the packs of a run that nobody has merged yet; of very many, only of some."""
    try:
        return inbox.n_of(open_site(site), is_meant, limit=_MOST_PACKS)
    except CmfdError:
        return 0


def _names(said: inbox.Named) -> tuple[str, ...]:
    return said.job, said.job.partition("_")[0], said.run.hex()


def _hint(n_packs: int) -> str:
    return f"{units.count(n_packs, 'pack')} of it at the site to be merged: cmfd merge"
