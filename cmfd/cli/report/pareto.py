"""`cmfd report pareto`: which runs of an experiment reached as much with less energy."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from cmfd.carbon.book import CarbonBook
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.report.options import printing, show
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.query.search import best
from cmfd.report.costs.model import Factors, Privacy, Report
from cmfd.report.costs.pareto import pareto_of
from cmfd.report.costs.policy import is_operator, policy_of

if TYPE_CHECKING:
    from pathlib import Path


@example("cmfd report pareto --pipeline digits --metric test.accuracy")
@click.command("pareto")
@click.option("--pipeline", required=True, metavar="P", help="Of which pipeline.")
@click.option("--stage", metavar="S", help="Only executions of this stage.")
@click.option("--metric", required=True, metavar="NAME", help="What they were to reach.")
@options.goal
@click.option("--where", default="", metavar="FILTER", help="Only those that it lets pass.")
@click.option(
    "--factors", metavar="ID", help="Reckon with this factor set; default: the one in use."
)
@printing
@options.site
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    pipeline: str,
    stage: str | None,
    metric: str,
    goal: str | None,
    where: str,
    factors: str | None,
    format: str,  # noqa: A002 - the option's name
    as_json: bool,
) -> None:
    """
    Set the energy of executions against the best value of a metric that each reached.

    On the front are those than which no other reached as much with less energy. The rest could
    have been had cheaper: their parameters are told, as far as they differ. FILTER is that of
    `cmfd search`.
    """
    at = open_site(site)
    policy, all_shown = policy_of(at), is_operator(at)
    only_uid = None if all_shown or policy.others == "all" else os.geteuid()
    book = CarbonBook.open(site)
    if factors:
        book = book.with_factors(factors)
    with open_index(site) as db:
        board = best(db, pipeline, metric, stage=stage, goal=goal, where=where, limit=-1)
        found = pareto_of(db, board, policy, book, stage=stage, only_uid=only_uid)
    made = Report(
        about="pareto",
        site=at.id,
        made_ns=time.time_ns(),
        chosen={"pipeline": pipeline, "metric": metric, **({"stage": stage} if stage else {})},
        since_ns=None,
        until_ns=None,
        by="execution",
        privacy=Privacy(others=policy.others, is_operator=all_shown, n_hidden=0),
        factors=Factors(id=book.factor_set_id, name=book.factor_set_name),
        pareto=found,
    )
    show(made, "json" if as_json else format)
