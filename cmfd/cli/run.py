"""`cmfd run`: a command, recorded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmfd.cli import child, options
from cmfd.cli.help import example
from cmfd.cli.wrapped import Order, Wrapped, param_of

F = TypeVar("F", bound="Callable[..., Any]")

if TYPE_CHECKING:
    from collections.abc import Callable

    ParamOfPair = click.ParamType[tuple[str, Any]]
else:
    ParamOfPair = click.ParamType  # no generic class before click 8.4


class _Assignment(ParamOfPair):
    """``key=value``."""

    name = "k=v"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Read a parameter."""
        if isinstance(value, tuple):
            return value
        try:
            return param_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_ORDER = (
    click.option("--pipeline", metavar="P", help="Default: the name of the working directory."),
    click.option("--stage", metavar="S", help="Default: the name of the script or program."),
    click.option("--name", default="", metavar="N", help="A name for the run, for people."),
    click.option("--param", "params", multiple=True, type=_Assignment(), help="A parameter."),
    click.option("-i", "--input", "inputs", multiple=True, metavar="PATH", help="What it reads."),
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="PATH",
        help="What it writes; both: [KIND:]PATH[::DATA SET].",
    ),
    click.option("--group", default="", metavar="G", help="What it is one of several variants of."),
    click.option("--variant", default="", metavar="V", help="Which variant it is."),
    click.option(
        "--dvc",
        type=click.Choice(["add", "commit"]),
        help="Have DVC store the outputs when the command has ended: `dvc add`, or `dvc commit` of "
        "what it tracks already. With --cmf-compat, also all that it logs, at once.",
    ),
    click.option("--dvc-push", is_flag=True, help="With --dvc: and send them to its remote."),
    click.option(
        "--cmf-compat", is_flag=True, help="Record what it logs with CMF's library, cmflib."
    ),
    click.option(
        "--auto-io", is_flag=True, help="Record the files that it is seen to read and write, too."
    ),
    click.option(
        "--io-include", multiple=True, metavar="PATTERN", help="With --auto-io: these in any case."
    ),
    click.option(
        "--io-exclude", multiple=True, metavar="PATTERN", help="With --auto-io: these never."
    ),
    options.site_if_given,
)


def order_options(function: F) -> F:
    """Add the options that say what is run, and as what: the fields of `Order`."""
    for option in reversed(_ORDER):
        function = option(function)
    return function


# Options end where the command begins, with or without "--".
@example("cmfd run --pipeline digits --stage train --param C=10 -i data.csv -- python train.py")
@click.command("run", context_settings={"allow_interspersed_args": False})
@order_options
@options.as_json
@options.quiet
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(*, as_json: bool, quiet: bool, **order: Any) -> None:
    """
    Run COMMAND and record it: parameters, metrics, artifacts, environment, time and memory.

    The command has this terminal, its standard streams and its signals to itself, and cmfd ends as
    it ended. A summary follows on standard error (with --json: as one line). What the command logs
    with `import cmfd` becomes part of the same execution. Values of --param are JSON if they can
    be, else text.
    """
    taken = child.take_signals()
    wrapped = Wrapped(Order(**order))
    wrapped.begin()
    ended = run_and_wait(wrapped, taken)
    try:
        child.let_signals_interrupt()
        wrapped.end(ended)
        wrapped.store(as_json=as_json, quiet=quiet)
    except KeyboardInterrupt:
        click.echo("cmfd: interrupted; what was recorded is kept. See: cmfd status", err=True)
    finally:
        # Even if it is interrupted twice, or nobody reads what it says: as the command ended.
        child.leave_as(ended)


def run_and_wait(wrapped: Wrapped, taken: child.Taken) -> child.Ended:
    """Run the command to its end; `taken` is what `child.take_signals` returned."""
    try:
        return _run_and_wait(wrapped, taken)
    finally:
        if taken.bystander is not None:
            taken.bystander.dismiss()


def _run_and_wait(wrapped: Wrapped, taken: child.Taken) -> child.Ended:
    words = wrapped.order.command
    try:
        pid = child.spawn(words, wrapped.environ(), taken.blocked)
    except OSError as error:
        with suppress(OSError):  # nobody reads it
            click.echo(f"cmfd: {words[0]}: {error.strerror}", err=True)
        return child.not_started(error, words[0])
    wrapped.watch()
    return child.supervise(pid, taken.bystander)
