"""`cmfd metrics`: the metrics of a run, or every value of one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.errors import IncompleteError, NotFoundError
from cmfd.query import metrics, runs
from cmfd.query.index import open_index
from cmfd.query.results import Metric, Point
from cmfd.report.encode import write_csv
from cmfd.report.points import WIDTH, point_lines
from cmfd.report.runs import metrics_table
from cmfd.report.sparkline import sparkline

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from cmfd.query.results import Result

    ParamOfSteps = click.ParamType[tuple[int | None, int | None]]
else:
    ParamOfSteps = click.ParamType  # no generic class before click 8.4

_SHOWN = 40
"""Values that are printed for people unless they ask for more."""


class _Steps(ParamOfSteps):
    """``A:B``: from A to before B, each of which may be left out; or one step."""

    name = "A:B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, int | None]:
        """Read a range of steps."""
        if isinstance(value, tuple):
            return value
        first, colon, end = value.partition(":")
        try:
            if not colon:
                return int(first), int(first) + 1
            return (int(first) if first else None), (int(end) if end else None)
        except ValueError:
            self.fail(f"{value!r} is no range of steps: 100:200, 100:, :200 or 7.", param, ctx)


@example(
    "cmfd metrics last",
    "cmfd metrics last loss --rank 0 --step 100:200 --csv",
)
@click.command("metrics")
@options.run
@click.argument("name", required=False)
@click.option("--rank", type=int, metavar="R", help="Only values of this rank.")
@click.option("--step", "steps", type=_Steps(), default=(None, None), help="Only these steps.")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last N values.")
@options.site
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, every value whole.")
def command(  # noqa: PLR0913 - options
    *,
    site: Path,
    run: str,
    name: str | None,
    rank: int | None,
    steps: tuple[int | None, int | None],
    tail: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """
    Show the metrics of a run, or with NAME the values of one, by step and rank.

    RUN is as for `cmfd show`. In JSON and CSV, times are UTC nanoseconds and NaN, Infinity and
    -Infinity are words.
    """
    with open_index(site) as db:
        run_id = runs.find(db, run)
        if name is None:
            _print_summaries(db, run_id, as_json=as_json, as_csv=as_csv)
            return
        found = metrics.points(db, run_id, name, rank=rank, steps=steps, tail=tail)
        if not len(found) and not found.unreadable:
            raise NotFoundError(_nothing(db, run_id, name))
    if as_json:
        print_json([dict(zip(Point.__struct_fields__, row, strict=True)) for row in found.rows()])
    elif as_csv:
        write_csv(sys.stdout, Point.__struct_fields__, found.rows())
    elif len(found):
        click.echo("\n".join(point_lines(found, most=None if tail else _SHOWN)))
    if found.unreadable:
        lines = [f"  {what}" for what in found.unreadable]
        raise IncompleteError("\n".join(("The rest is shown; these cannot be read:", *lines)))


def _print_summaries(db: sqlite3.Connection, run_id: int, *, as_json: bool, as_csv: bool) -> None:
    found = metrics.summaries(db, run_id)
    if as_json:
        print_json(found)
    elif as_csv:
        write_csv(sys.stdout, Metric.__struct_fields__, map(_fields, found))
    else:
        courses = [sparkline(metrics.outline(db, run_id, one, WIDTH), WIDTH) for one in found]
        print_tables([metrics_table(found, courses)])


def _fields(result: Result) -> Sequence[Any]:
    return [getattr(result, name) for name in result.__struct_fields__]


def _nothing(db: sqlite3.Connection, run_id: int, name: str) -> str:
    """Say why there are no values: no such metric, or none within what was asked for."""
    known = sorted({metric.name for metric in metrics.summaries(db, run_id)})
    if name in known:
        return f"No value of {name!r} is within those ranks and steps."
    return f"This run has no metric {name!r}. It has: {', '.join(known) or 'none'}."
