"""The `dvc` program, as a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import DvcError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAST_LINES = 3


def program() -> str:
    """
    Return the path of `dvc`: the one installed with cmfd, else that of PATH.

    Raises
    ------
    DvcError
        There is none.
    """
    own = Path(sys.executable).with_name("dvc")
    found = str(own) if os.access(own, os.X_OK) else shutil.which("dvc")
    if found is None:
        raise DvcError(
            "there is no dvc on this machine: pip install 'cmfd[dvc]'. What was recorded is kept."
        )
    return found


def dvc(
    words: Sequence[str],
    directory: str | os.PathLike[str],
    environ: Mapping[str, str] | None = None,
) -> str:
    """
    Run a command of DVC.

    Parameters
    ----------
    words : sequence of str
        The command and its arguments.
    directory : path-like
        Where.
    environ : mapping, optional
        Variables beside those of this process.

    Returns
    -------
    str
        What went wrong, or nothing.

    Raises
    ------
    DvcError
        It cannot be started.
    """
    command = [program(), *words]
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            env={**os.environ, "DVC_NO_ANALYTICS": "1", **(environ or {})},
        )  # fmt: skip
    except OSError as error:
        raise DvcError(f"cannot run {command[0]}: {error}. What was recorded is kept.") from error
    if not done.returncode:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    errors = [line for line in said if line.startswith("ERROR")] or said[-_LAST_LINES:]
    return "; ".join(errors).rstrip(" -:") or f"exit code {done.returncode}"
