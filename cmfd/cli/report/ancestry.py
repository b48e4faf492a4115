"""`cmfd report carbon --artifact A --ancestry`: what led to an artifact, and what that cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cmfd.cli.output import print_json, print_tables
from cmfd.errors import ConfigError
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.query.subject import artifact as artifact_of
from cmfd.report.costs.lineage import lineage_cost
from cmfd.report.costs.lineage_text import lineage_csv, lineage_pages, lineage_problems
from cmfd.report.text import printable

if TYPE_CHECKING:
    from pathlib import Path

_GOES_WITH = ("artifact", "factors", "site", "format", "as_json", "by")


def report_ancestry(
    *, amortise: bool, site: Path, artifact: str | None, factors: str | None, **given: Any
) -> None:
    """
    Print what an artifact cost with everything that led to it.

    Raises
    ------
    ConfigError
        No artifact is named, or it is narrowed to some of what led to it.
    """
    form = "json" if given.pop("as_json") else given.pop("format", "text")
    others = [name for name, value in given.items() if value is not None and name not in _GOES_WITH]
    if not artifact or others:
        what = f"not with --{others[0].replace('_', '-')}" if others else "and none is named"
        raise ConfigError(f"--ancestry is of one --artifact, {what}; nothing was reported.")
    if form == "prometheus":
        raise ConfigError("--ancestry has no format prometheus: text, json, csv or html.")
    with open_index(site) as db:
        found = lineage_cost(
            db, open_site(site), artifact_of(db, artifact), amortise=amortise, factors=factors
        )
    if form == "json":
        print_json(found)
    elif form == "csv":
        click.echo(lineage_csv(found), nl=False)
    elif form == "html":
        from cmfd.report import html  # noqa: PLC0415 - imports a library of plots

        click.echo(html.render_lineage(found), nl=False)
    else:
        for part in lineage_pages(found):
            if isinstance(part, str):
                click.echo(printable(part))
            else:
                print_tables([part])
    for line in lineage_problems(found):
        click.echo(line, err=True)
