"""
The `cmfd` command: its subcommands, and the one place where an error becomes an exit code.

A subcommand's module is imported when it is used, so that `cmfd run` starts its command without
waiting for what the others need.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from typing import IO, Any, TextIO

import click

from cmfd import __version__
from cmfd.cli.help import example
from cmfd.cli.lazy import LazyGroup
from cmfd.errors import CmfdError

COMMANDS = (
    "run", "merge", "runs", "show", "metrics", "params", "compare", "search", "best",
    "lineage", "impact", "artifacts", "tag", "untag", "repro", "diff", "seen", "report",
    "carbon", "status", "doctor",
    "init", "clone", "remote", "fetch", "pull", "push", "log", "bundle", "verify",
    "import", "export",
    "daemon", "serve", "site", "slurm", "dvc", "completion", "serve-stdio",
)  # fmt: skip
"""In the order of a run's life."""

INTERRUPTED = 128 + 2
"""What a shell says of a command that SIGINT ended."""

BROKEN_PIPE = 128 + 13
"""What a shell says of a command that SIGPIPE ended."""


COLLECT_AFTER = 50_000
"""So many objects before Python first looks for cycles among them; its own number is 700."""


class Failure(click.ClickException):
    """An error of cmfd, or of the operating system, on its way out."""

    def __init__(self, error: CmfdError | OSError) -> None:
        super().__init__(str(error))
        code = error.exit_code if isinstance(error, CmfdError) else CmfdError.exit_code
        # click declares it a class's, though its own code sets it on instances, too
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print what happened on standard error."""
        from cmfd.report.text import printable_lines  # noqa: PLC0415 - only for what failed

        # It may quote a pack from elsewhere, or what a job logged.
        click.echo(f"cmfd: {printable_lines(self.format_message())}", file=file or sys.stderr)


class Commands(LazyGroup):
    """The subcommands; what ends one becomes an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand, and translate what ended it."""
        try:
            result = super().invoke(ctx)
            # Here, not at exit, where a closed pipe could no longer be handled.
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _discard_stdout()
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        except (CmfdError, OSError) as error:
            _flush_or_discard()
            raise Failure(error) from error
        return result


def _flush_or_discard() -> None:
    """Let a full disk be told of once, and not by Python again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    """Let what is still buffered go nowhere: its reader (`| head`) has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@example(
    "cmfd run --pipeline digits --stage train -- python train.py",
    "cmfd show last",
)
@click.group(
    cls=Commands,
    package="cmfd.cli",
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="cmfd")
def cli() -> None:
    """Keep and read the metadata of batch jobs: lineage, parameters, metrics, cost."""


def main() -> None:
    """Run the command line of this process."""
    sys.stdout, sys.stderr = (_open_stream(stream) for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A locale that lacks a character is no reason to print nothing.
            stream.reconfigure(errors="backslashreplace")
    _collect_seldom()
    cli(prog_name="cmfd")


def _open_stream(stream: TextIO | None) -> TextIO:
    """Return a stream that takes what is printed, though it was closed before the start."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w") if stream is None else stream


def _collect_seldom() -> None:
    """Spare a short command a tenth of its time: what modules are made of is no garbage."""
    usual = gc.get_threshold()

    def collect_as_usual(phase: str, info: dict[str, int]) -> None:
        """Leave those alone that go on for long: daemons and servers."""
        del phase, info
        gc.callbacks.remove(collect_as_usual)
        gc.set_threshold(*usual)

    gc.set_threshold(COLLECT_AFTER)
    gc.callbacks.append(collect_as_usual)
    atexit.register(gc.freeze)  # nor is it to be looked through once more at the end
