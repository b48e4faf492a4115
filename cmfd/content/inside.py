"""
Data sets inside of files, identified by another process.

The HDF5 library of this process, if it has one, is the program's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def datasets_in(path: str, names: Sequence[str]) -> list[dict[str, Any]] | str:
    """
    Have data sets of a file identified.

    Parameters
    ----------
    path : str
        An HDF5 file.
    names : sequence of str
        Data sets, or groups: all that is below them.

    Returns
    -------
    list of dict, or str
        As `cmfd.content.hdf5` prints it, one for each name; or why they cannot be read.
    """
    # The program's own preloads, and its MPI launch, are none of that process's business.
    environ = {
        key: value for key, value in os.environ.items()
        if not key.startswith(("LD_PRELOAD", "OMPI_", "PMIX_", "PMI_", "SLURM_"))
    }  # fmt: skip
    command = [sys.executable, "-m", "cmfd.content.hdf5", path, *names]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ,
            check=False,
        )  # fmt: skip
    except OSError as error:
        return f"data sets cannot be read: {error}"
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
