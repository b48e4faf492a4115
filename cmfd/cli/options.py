"""Options and arguments that several commands share."""

from __future__ import annotations

import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from cmfd import config
from cmfd.errors import ConfigError
from cmfd.query.times import time_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    ParamOfTime = click.ParamType[int]
else:
    ParamOfTime = click.ParamType  # no generic class before click 8.4

F = TypeVar("F", bound="Callable[..., Any]")

_SITE_HELP = "Site repository; default: .cmfd here or above, else $CMFD_SITE, else your own."


def _site(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path:
    del ctx, param
    return value.absolute() if value else config.find_site(Path.cwd())


def site(function: F) -> F:
    """Add ``--site``; the command gets the absolute path of a site that may not exist yet."""
    return click.option(
        "--site",
        type=click.Path(path_type=Path, file_okay=False),
        callback=_site,
        metavar="DIR",
        help=_SITE_HELP,
    )(function)


def site_if_given(function: F) -> F:
    """Add ``--site``; the command gets None if nobody said so, and looks for it itself."""
    return click.option(
        "--site",
        type=click.Path(path_type=Path, file_okay=False),
        callback=lambda _ctx, _param, value: value and value.absolute(),
        metavar="DIR",
        help=_SITE_HELP,
    )(function)


def as_json(function: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def quiet(function: F) -> F:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="Print only what went wrong.")(function)


def _complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the latest runs; a shell that completes gets an answer or nothing, never an error."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

    from cmfd.errors import CmfdError  # noqa: PLC0415 - as above
    from cmfd.query import index, runs  # noqa: PLC0415 - as above
    from cmfd.report.text import printable  # noqa: PLC0415 - as above

    del param
    try:
        with index.open_index(ctx.params.get("site") or config.find_site(Path.cwd())) as db:
            found = runs.recent(db, limit=50)
    except CmfdError:
        return []
    return [
        CompletionItem(run.run, help=printable(f"{run.status} {', '.join(run.stages)}"))
        for run in found
        if run.run.startswith(incomplete)
    ]


def run(function: F) -> F:
    """Add the argument RUN."""
    return click.argument("run", shell_complete=_complete_run)(function)


def optional_run(function: F) -> F:
    """Add the argument [RUN]."""
    return click.argument("run", required=False, shell_complete=_complete_run)(function)


def several_runs(function: F) -> F:
    """Add the arguments RUN RUN..."""
    return click.argument("runs", nargs=-1, required=True, shell_complete=_complete_run)(function)


class Time(ParamOfTime):
    """A point in time, in ISO 8601; local where it names no zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a time; nanoseconds since 1970."""
        if isinstance(value, int):
            return value
        try:
            return time_ns(value)
        except ValueError:
            self.fail(f"{value!r} is no time: 2026-11-22, 2026-11-22T14:30, ...Z", param, ctx)


def goal(function: F) -> F:
    """Add ``--max`` and ``--min``, as `goal`: which values are good; none says it: None."""

    @wraps(function)
    def command(*, is_max: bool, is_min: bool, **given: Any) -> Any:
        if is_max and is_min:
            raise ConfigError("Say --max or --min, not both.")
        return function(goal="max" if is_max else "min" if is_min else None, **given)

    for option in (
        click.option("--min", "is_min", is_flag=True, help="The least value is the best."),
        click.option("--max", "is_max", is_flag=True, help="The greatest value is the best."),
    ):
        command = option(command)
    return cast("F", command)


def since_ns(days: float | None) -> int | None:
    """Return when the last `days` began; None for any time."""
    return None if days is None else time.time_ns() - round(days * 86400e9)


DAYS = click.FloatRange(0, 36500)
LIMIT = click.IntRange(-1, 1 << 31)
"""Beyond these, a database has no numbers."""
