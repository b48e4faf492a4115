"""
Data sets inside of files, identified by another process.

The HDF5 library of this process, if it has one, is the program's. Starting another process takes
longer than most data sets: what a file holds is remembered as long as the file is the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.content.cache import remembered, state_inside
from cmfd.content.process import ask_module

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


class _Inside(msgspec.Struct, frozen=True):
    """What is known of a file's inside, by the names that were asked for."""

    datasets: dict[str, dict[str, Any]]
    problem: str = ""


def datasets_in(
    path: str, names: Sequence[str], directory: str | os.PathLike[str] | None = None
) -> list[dict[str, Any]] | str:
    """
    Have data sets of a file identified.

    Parameters
    ----------
    path : str
        An HDF5 file.
    names : sequence of str
        Data sets, or groups: all that is below them.
    directory : path-like, optional
        Where known content is remembered; see `cmfd.content.cache`.

    Returns
    -------
    list of dict, or str
        As `cmfd.content.hdf5` prints it, one for each name; or why they cannot be read.
    """

    def find(before: _Inside | None) -> _Inside:
        known = before.datasets if before else {}
        missing = [name for name in names if name not in known]
        if before and not missing:
            return before
        found = _read(path, missing)
        if isinstance(found, str):
            return _Inside({}, found)
        return _Inside({**known, **dict(zip(missing, found, strict=True))})

    inside = remembered(directory, lambda: state_inside(path), find, _Inside)
    return inside.problem or [inside.datasets[name] for name in names]


def _read(path: str, names: Sequence[str]) -> list[dict[str, Any]] | str:
    try:
        done = ask_module("cmfd.content.hdf5", path, *names)
    except OSError as error:
        return f"data sets cannot be read: {error}"
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
