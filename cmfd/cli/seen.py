"""`cmfd seen`: whether exactly this was done before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.cli.wrapped import param_of, stage_of
from cmfd.client.deadline import Deadline
from cmfd.client.environment import code_of
from cmfd.client.git import GitError
from cmfd.client.redact import scrub_argv
from cmfd.client.start import default_pipeline
from cmfd.errors import ConfigError, NotSeenError
from cmfd.query.index import open_index
from cmfd.query.seen import Intent, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

_GIT_S = 60


@example("cmfd seen -i data.csv -- python train.py || cmfd run -i data.csv -- python train.py")
@click.command("seen", context_settings={"allow_interspersed_args": False})
@click.option("--pipeline", metavar="P", help="Default: the name of the working directory.")
@click.option("--stage", metavar="S", help="Default: the name of the script or program.")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter it has.")
@click.option("-i", "--input", "inputs", multiple=True, metavar="PATH", help="What it reads.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="PATH",
    help="What it writes, as for `cmfd run`; what was done is the same with and without.",
)
@click.option("--any-code", is_flag=True, help="Whatever the code version was.")
@options.site
@options.as_json
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(*, site: Path, as_json: bool, any_code: bool, **order: Any) -> None:
    """
    Tell whether COMMAND was done before: same code, inputs (by content) and parameters.

    Ends with 0 and the ids of the executions, if some completed; else with 17, so that a script
    does the work then. Options are those of `cmfd run`. Code is the state of the git repository
    that the program or the working directory is in; untracked files in it go by their names, so
    have git ignore what runs write.
    """
    words = order["command"]
    intent = Intent(
        pipeline=order["pipeline"] or default_pipeline(str(Path.cwd())),
        stage=order["stage"] or stage_of(words),
        argv=scrub_argv(words),
        code=None if any_code else _code(words),
        inputs=order["inputs"],
        params=[_param(text) for text in order["params"]],
    )
    with open_index(site) as db:
        found = seen(db, intent)
    if as_json:
        print_json({"executions": found})
    else:
        click.echo("".join(f"{one}\n" for one in found), nl=False)
    if not found:
        raise NotSeenError(f"No execution of {intent.pipeline}.{intent.stage} did exactly this.")


def _param(text: str) -> tuple[str, Any]:
    try:
        return param_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _code(words: Sequence[str]) -> dict[str, Any]:
    """Describe the code that would run."""
    try:
        code = code_of(str(Path.cwd()), words, Deadline(_GIT_S))
    except (GitError, OSError) as error:
        raise ConfigError(f"git does not say which code this is: {error}.") from error
    if not code.get("commit"):
        raise ConfigError(
            "Which code this is cannot be told: it is in no git repository, or not committed. If "
            "that does not matter, or -i names the program as well: --any-code."
        )
    return code
