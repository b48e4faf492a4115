"""
Data sets inside of files, identified by another process.

The HDF5 library of this process, if it has one, is the program's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cmfd.content.process import run_module

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
    try:
        done = run_module("cmfd.content.hdf5", path, *names)
    except OSError as error:
        return f"data sets cannot be read: {error}"
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
