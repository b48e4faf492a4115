"""`cmfd slurm submit`: a job of SLURM, recorded from its first line to its last."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmfd import config
from cmfd.cli.help import example
from cmfd.cli.slurm import batch
from cmfd.errors import SlurmError
from cmfd.slurm import script as job
from cmfd.slurm.commands import find

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_AN_OUTER_RUN = ("CMFD_RUN", "CMFD_EXECUTION", "CMFD_PIPELINE", "CMFD_STAGE", "CMFD_SITE")
"""What `cmfd run` and `cmfd.start` hand down: not to a job, which is a run of its own."""

_NOT_SUBMITTED = "Nothing was submitted."


@example(
    "cmfd slurm submit job.sh",
    "cmfd slurm submit -N 4 -t 1:00:00 job.sh input.csv",
)
@click.command(
    "submit",
    context_settings={
        "ignore_unknown_options": True, "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)  # fmt: skip
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[SBATCH OPTION]... JOB.SH ...")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """
    Submit a job script with sbatch, so that all of the job is recorded and brought to the site.

    Every option is one of sbatch's. What is printed is what `sbatch --parsable` prints, and the
    exit code is sbatch's. The script runs as it is, as one execution, within which its steps are
    recorded; when it ends, all nodes of the job publish what they have, and it is merged.

    Lines of the script that begin with #CMFD, before its first command, hold options of `cmfd run`:
    --pipeline, --stage, --name, --site, --param, --input, --output and the others; input=data.csv
    is as good as --input data.csv. CMFD_PIPELINE, CMFD_STAGE and CMFD_SITE say the same for what
    they do not mention. Without a site, it is the one that belongs to the working directory.
    """
    sbatch = find("sbatch")
    if sbatch is None:
        raise SlurmError("sbatch is not in PATH: submit on a machine of the cluster.")
    order = job.split_words(words)
    wrapped, options = job.wrap_option(order.options)
    options = ("--parsable", *options)
    if wrapped is not None and order.script is None:
        name, text = "wrap", job.script_of_command(wrapped)
    else:
        options = ("--parsable", *order.options)
        name, text = _read(order.script)
    environ = _environ()
    if not job.is_script(text):
        # sbatch says what is wrong, of the file that the user knows.
        given = [order.script] if order.script else []
        ctx.exit(_run([sbatch, *options, *given, *order.arguments], environ, text))
    words_of_batch = _words_of_batch(text, name)
    if order.script is not None:
        words_of_batch.append(f"--script-as={shlex.join([order.script])}")
    elif wrapped is not None:
        words_of_batch.append(f"--script-as={shlex.join(['-c', wrapped])}")
    text = job.wrap(text, name, sys.executable, words_of_batch)
    with tempfile.TemporaryDirectory(prefix=job.COPIES) as scratch:
        place = job.place_of_copy(scratch, order.script or name)
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_bytes(_bytes(text))
        ctx.exit(_run([sbatch, *options, place, *order.arguments], environ))


def _read(script: str | None) -> tuple[str, str]:
    """Return what a script is called, and its text; empty if sbatch must say what is wrong."""
    if script is None:
        return "sbatch", sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        data = Path(script).read_bytes()
    except OSError:
        data = b""
    return Path(script).name, data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _words_of_batch(text: str, name: str) -> list[str]:
    """Return what the job is told by directives, variables and its surroundings, checked."""
    words = job.directives(text)
    params = _checked(words)
    environ = {} if "CMFD_EXECUTION" in os.environ else os.environ
    defaults = {
        "pipeline": environ.get("CMFD_PIPELINE"),
        "stage": environ.get("CMFD_STAGE") or Path(name).stem,
    }
    words += [f"--{key}={value}" for key, value in defaults.items() if value and not params[key]]
    # The job may begin in another directory.
    return [*words, f"--site={params['site'] or config.find_site(Path.cwd())}"]


def _checked(words: list[str]) -> dict[str, Any]:
    """Return what `#CMFD` lines say; a word that is no option would be run as a command."""
    end = ("--", "true")
    try:
        with batch.command.make_context("#CMFD", [*words, *end]) as said:
            params = said.params
    except click.UsageError as error:
        raise click.UsageError(f"#CMFD: {error.format_message()} {_NOT_SUBMITTED}") from error
    if params["command"] != ("true",):
        word = params["command"][0]
        raise click.UsageError(f"#CMFD: {word!r} is no option; say --{word}. {_NOT_SUBMITTED}")
    for key in ("script", "script_as"):
        if params[key]:
            option = key.replace("_", "-")
            raise click.UsageError(f"#CMFD: no such option: --{option}. {_NOT_SUBMITTED}")
    return params


def _environ() -> dict[str, str]:
    if "CMFD_EXECUTION" not in os.environ:
        return dict(os.environ)
    return {key: value for key, value in os.environ.items() if key not in _OF_AN_OUTER_RUN}


def _run(words: Sequence[str], environ: dict[str, str], stdin: str = "") -> int:
    """Run sbatch with this process's streams, and return its exit code as a shell has it."""
    done = subprocess.run(words, env=environ, input=_bytes(stdin), check=False)  # noqa: S603 - sbatch
    return done.returncode if done.returncode >= 0 else 128 - done.returncode
