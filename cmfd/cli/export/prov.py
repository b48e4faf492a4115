"""`cmfd export prov`: executions as W3C PROV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from cmfd.cli import options
from cmfd.cli.export.written import output, write
from cmfd.cli.help import example
from cmfd.errors import ConfigError
from cmfd.formats.chosen import runs
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from pathlib import Path


@example(
    "cmfd export prov -o study.json",
    "cmfd export prov --format provn --where 'pipeline = \"digits\"'",
)
@click.command("prov")
@click.option("--where", default="", metavar="FILTER", help="Only runs of executions that fit.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["json", "provn"]),
    default="json",
    show_default=True,
    help="PROV-JSON, or PROV-N for people.",
)
@output
@options.site
def command(*, site: Path, where: str, kind: Literal["json", "provn"], out: Path | None) -> None:
    """
    Write executions, what they read and wrote, who ran them and which code, as PROV.

    Executions are activities, artifacts entities, users agents, commits plans.
    """
    try:
        from cmfd.formats.provenance import written  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("PROV needs its library: pip install 'cmfd[prov]'.") from None
    with open_index(site) as db:
        write(written(db, runs(db, where), kind), out)
