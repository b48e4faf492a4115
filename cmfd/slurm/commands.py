"""
Running SLURM's commands: found, bounded in time, and their failures told.

They are looked for in `PATH`, then where SLURM is commonly installed: hooks and services have no
`PATH` that a user has. They write times as seconds since 1970.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from cmfd.errors import SlurmError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/opt/slurm/bin",
    "/usr/local/slurm/bin",
    "/cm/shared/apps/slurm/current/bin",
)
TIMEOUT_S = 60.0
"""A controller that restarts keeps commands waiting; one that is gone, for ever."""

_VERSION = re.compile(r"(\d+)\.(\d+)")
_MOST_MESSAGE = 500


class Done(NamedTuple):
    """What a command that ended said."""

    exit_code: int
    output: str
    complaint: str
    """Its standard error, on one line."""


def find(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of a command of SLURM, None where there is none."""
    places = os.pathsep.join((environ.get("PATH", os.defpath), *PLACES))
    return shutil.which(name, path=places)


def run(name: str, *words: str, timeout_s: float = TIMEOUT_S, stdin: str = "") -> Done:
    """
    Run a command of SLURM.

    Parameters
    ----------
    name : str
        ``sacct``, ``scontrol``, ``squeue``, ``sbatch``, ...
    *words : str
        Its arguments.
    timeout_s : float
        After which it is killed.
    stdin : str
        What it reads.

    Returns
    -------
    Done
        Whatever its exit code is.

    Raises
    ------
    SlurmError
        There is no such command, it cannot be started, or it took too long.
    """
    path = find(name)
    if path is None:
        raise SlurmError(f"{name} is not in PATH: this machine has no SLURM, or it is elsewhere.")
    environ = {**os.environ, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C.UTF-8"}
    if "--json" in words:
        del environ["SLURM_TIME_FORMAT"]  # some releases then fail to write any
    try:
        done = subprocess.run(  # noqa: S603 - a list, and no shell
            [path, *words], input=stdin, capture_output=True, env=environ, timeout=timeout_s,
            check=False, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SlurmError(
            f"{name} had no answer after {timeout_s:g} s. Is SLURM's controller up? (scontrol ping)"
        ) from error
    except (OSError, ValueError) as error:
        raise SlurmError(f"{path} cannot be run: {error}.") from error
    return Done(done.returncode, done.stdout, " ".join(done.stderr.split())[:_MOST_MESSAGE])


def ask(name: str, *words: str, timeout_s: float = TIMEOUT_S) -> str:
    """
    Run a command of SLURM that must succeed, and return what it printed.

    Raises
    ------
    SlurmError
        As `run`, or it failed.
    """
    done = run(name, *words, timeout_s=timeout_s)
    if done.exit_code:
        said = done.complaint or f"exit code {done.exit_code}, without a word"
        raise SlurmError(f"{name} failed: {said}")
    return done.output


def version(name: str) -> tuple[int, int]:
    """
    Return the version of an installed command, as (23, 11).

    Raises
    ------
    SlurmError
        It cannot be told.
    """
    output = ask(name, "--version")
    found = _VERSION.search(output)
    if found is None:
        raise SlurmError(f"{name} --version says {output[:80]!r}, which is no version of SLURM.")
    return int(found[1]), int(found[2])
