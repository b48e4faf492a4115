"""A module of cmfd's as a process of its own: for libraries that a program must not be given."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

_OF_THE_PROGRAM = ("LD_PRELOAD", "OMPI_", "PMIX_", "PMI_", "SLURM_")
"""The program's own preloads, and its MPI launch, are none of that process's business."""


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run a module to its end.

    Raises
    ------
    OSError
        It cannot be started.
    """
    import subprocess  # noqa: PLC0415 - off the caller's path

    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(_OF_THE_PROGRAM)
    }
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, env=environ, check=False,
    )  # fmt: skip
