"""What the commands that take something in say of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from cmfd.cli.output import print_json
from cmfd.report.text import printable
from cmfd.report.units import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.formats.ingested import Ingested


def tell(done: Sequence[Ingested], *, as_json: bool, quiet: bool) -> None:
    """Print what became of executions."""
    if as_json:
        print_json(done)
    elif not quiet:
        for (pipeline, stage, state), n_executions in Counter(
            (one.pipeline, one.stage, one.state) for one in done
        ).items():
            click.echo(printable(f"{pipeline}.{stage}: {count(n_executions, 'execution')} {state}"))
        if not done:
            click.echo("No execution in it")
