"""What all reports can be asked for, and in which formats they are printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
import msgspec

from cmfd.cli import options
from cmfd.cli.output import print_tables
from cmfd.errors import ConfigError
from cmfd.merge.layout import open_site
from cmfd.query import runs, subject
from cmfd.query.index import open_index
from cmfd.query.selection import Selection
from cmfd.report.costs import text
from cmfd.report.costs.asked import Asked
from cmfd.report.costs.build import build
from cmfd.report.costs.formats import FORMATS, rendered
from cmfd.report.costs.policy import is_operator
from cmfd.report.costs.power_of_many import with_power
from cmfd.report.text import printable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cmfd.report.costs.model import Report

F = TypeVar("F", bound="Callable[..., Any]")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the options that all reports have."""

    site: Path
    run: str | None
    run_option: str | None
    job: str | None
    user: str | None
    account: str | None
    project: str | None
    pipeline: str | None
    stage: str | None
    node: str | None
    artifact: str | None
    since: int | None
    until: int | None
    days: float | None
    limit: int | None
    format: str
    as_json: bool
    factors: str | None = None


_NARROWING = (
    click.option("--run", "run_option", metavar="RUN", help="The same as the argument."),
    click.option("--job", metavar="J", help="Every start of a job, every task of an array."),
    click.option("--user", metavar="U", help="Only this user's runs."),
    click.option("--account", metavar="A", help="Only runs on this account."),
    click.option("--project", metavar="P", help="Only runs tagged with `project` = P."),
    click.option("--pipeline", metavar="P", help="Only executions of this pipeline."),
    click.option("--stage", metavar="S", help="Only executions of this stage."),
    click.option("--node", metavar="N", help="Only runs on this node, and its energy."),
    click.option("--artifact", metavar="A", help="Only executions that wrote this artifact."),
    click.option("--since", type=options.Time(), metavar="TIME", help="From then on: see above."),
    click.option("--until", type=options.Time(), metavar="TIME", help="Before then: see above."),
    click.option("--days", type=options.DAYS, metavar="N", help="The last N days."),
)


def narrowing(function: F) -> F:
    """Add what a report can be narrowed to, without the argument RUN."""
    for option in reversed(_NARROWING):
        function = option(function)
    return function


def printing(function: F) -> F:
    """Add ``--format`` and ``--json``."""
    function = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")(
        function
    )
    return click.option(
        "--format", type=click.Choice(("text", *FORMATS)), default="text", show_default=True,
        help="For people, for programs, for a browser, or for Prometheus.",
    )(function)  # fmt: skip


def asking(groups: Sequence[str], default: str) -> Callable[[F], F]:
    """
    Add the options of a report.

    Parameters
    ----------
    groups : sequence of str
        What runs can be put together by.
    default : str
        One of them.
    """

    def add(function: F) -> F:
        for option in (
            options.site,
            printing,
            click.option(
                "-n", "--limit", type=options.LIMIT,
                help="At most so many runs, the latest; default: 20 by run, else all.",
            ),
            narrowing,
            click.option(
                "--by", type=click.Choice(list(groups)), default=default, show_default=True,
                help="One line each.",
            ),
            options.optional_run,
        ):  # fmt: skip
            function = option(function)
        return function

    return add


def asked(db: sqlite3.Connection, about: str, by: str, choice: Choice) -> Asked:
    """
    Make of the options what is asked.

    Raises
    ------
    ConfigError
        They contradict each other.
    NotFoundError
        There is no such run or artifact.
    """
    if choice.run and choice.run_option:
        raise ConfigError("Name one run: as an argument, or with --run.")
    if choice.since is not None and choice.days is not None:
        raise ConfigError("Say --since or --days, not both.")
    name = choice.run or choice.run_option
    limit = choice.limit
    if limit is None:
        limit = 20 if by == "run" and about in _ONE_BY_ONE else runs.EVERY
    selection = Selection(
        run_id=runs.find(db, name) if name else None,
        artifact_id=subject.artifact(db, choice.artifact).start.id if choice.artifact else None,
        since_ns=options.since_ns(choice.days) if choice.since is None else choice.since,
        until_ns=choice.until,
        when=_WHEN.get(about, "began"),
        limit=limit,
        **{key: getattr(choice, key) for key in _AS_THEY_ARE},
    )
    said = {key: getattr(choice, key) for key in (*_AS_THEY_ARE, "artifact")}
    return Asked(
        about=about,
        by=by,
        selection=selection,
        chosen={key: value for key, value in {"run": name, **said}.items() if value},
        factors=choice.factors,
        now_ns=time.time_ns(),
        is_operator=is_operator(open_site(choice.site)),
    )


_WHEN: dict[str, Literal["ended", "during"]] = {
    "energy": "during", "carbon": "during", "runtime": "ended", "waste": "ended",
}  # fmt: skip
"""How runs are of a time; else, where they began."""

_ONE_BY_ONE = ("energy", "carbon", "runtime")
"""Reports whose lines are very many, where runs are told one by one."""

_AS_THEY_ARE = ("job", "user", "account", "project", "pipeline", "stage", "node")


def report(about: str, by: str, **given: Any) -> None:
    """Make a report of what the options ask for, and print it."""
    choice = Choice(**given)
    form = "json" if choice.as_json else choice.format
    with open_index(choice.site) as db:
        site, question = open_site(choice.site), asked(db, about, by, choice)
        made = build(db, site, question)
        if form == "html":
            made = with_power(db, site, question, made)
    show(made, form)


def show(made: Report, form: str) -> None:
    """Print a report in a format; what is not in one for people is told on standard error."""
    if form != "text":
        click.echo(rendered(made, form), nl=False)
        return
    for part in text.pages(made):
        if isinstance(part, str):
            click.echo(printable(part))
        else:
            print_tables([part])
    for line in text.problems(made):
        click.echo(line, err=True)
