"""`cmfd lineage`: where something comes from, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cmfd.cli import options
from cmfd.cli.help import Group, example
from cmfd.cli.output import print_json, print_restriction, print_tables
from cmfd.query.index import open_index
from cmfd.query.lineage import lineage
from cmfd.query.subject import subject
from cmfd.query.walk import Way
from cmfd.report.lineage import dot, lineage_tables, mermaid, tree_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.query.lineage import Lineage

_LINES = {"tree": tree_lines, "dot": dot, "mermaid": mermaid}


@example("cmfd lineage up model.bin")
@click.group("lineage", cls=Group)
def command() -> None:
    """Show where artifacts and executions come from, and what came of them, over all runs."""


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what both directions take."""
    for add in (
        options.as_json,
        options.site,
        click.option(
            "--format",
            "form",
            type=click.Choice(["tree", "table", "dot", "mermaid"]),
            default="tree",
            show_default=True,
            help="How to show it.",
        ),
        click.option(
            "--until", type=options.Time(), metavar="TIME",
            help="Only along executions that began by then.",
        ),
        click.option(
            "--stage", metavar="S",
            help="Only ways to executions of this stage (or pipeline.stage), and what is next.",
        ),
        click.option(
            "--depth", type=click.IntRange(min=0), metavar="N",
            help="At most so many executions away; default: any distance.",
        ),
        click.argument("what", metavar="ARTIFACT|EXECUTION"),
    ):  # fmt: skip
        function = add(function)
    return function


@example("cmfd lineage up model.bin --format mermaid")
@command.command("up")
@_options
def up(**asked: Any) -> None:
    """
    Show what an artifact or execution was made from.

    An artifact goes by its digest or the beginning of it, by a file (which is read: it is what it
    holds now), or by a path as an execution recorded it; an execution by its id or the beginning of
    it, or by what names a run that has only one. In the tree, each thing stands below what it was
    first reached from, once.
    """
    _show(Way.UP, **asked)


@example("cmfd lineage down data/raw.h5 --stage train")
@command.command("down")
@_options
def down(**asked: Any) -> None:
    """
    Show what was made with an artifact, or came of an execution.

    Names are those of `cmfd lineage up`. An artifact is its content: whoever used the same content
    under another name, or from elsewhere, is shown as well.
    """
    _show(Way.DOWN, **asked)


def _show(  # noqa: PLR0913 - options
    way: Way,
    *,
    site: Path,
    what: str,
    depth: int | None,
    stage: str | None,
    until: int | None,
    form: str,
    as_json: bool,
) -> None:
    with open_index(site) as db:
        found = lineage(db, subject(db, what), way, depth=depth, stage=stage, until_ns=until)
        print_restriction(db)
    if as_json:
        print_json(found)
    else:
        _print(found, form)


def _print(found: Lineage, form: str) -> None:
    if form == "table":
        print_tables(lineage_tables(found))
    else:
        click.echo("\n".join(_LINES[form](found)))
