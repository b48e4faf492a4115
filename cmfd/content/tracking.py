"""
Which of DVC's files may say what a path holds, found by looking at names alone.

What they say is for another process to read (`cmfd.dvc.lookup`), since it takes a library and
questions to git. Looked at are ``NAME.dvc`` beside the path and beside each directory above it, and
the `dvc.lock` of each of these, up to the root of the repository.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from cmfd.content.files import Hash
from cmfd.content.process import run_module

_SURROUNDINGS = (".dvc/config", ".dvc/config.local", ".git", ".git/HEAD", ".git/index")
"""What else changes when the remote or the commit does."""


class Tracking(NamedTuple):
    """The files of a DVC repository that may cover a path, the nearest first."""

    root: str
    files: tuple[str, ...]

    @property
    def watched(self) -> list[str]:
        """All that an answer depends on besides the content."""
        return [*self.files, *(f"{self.root}/{name}" for name in _SURROUNDINGS)]


def tracking_of(path: str) -> Tracking | None:
    """Return the files of DVC's that may cover a path; none outside of its repositories."""
    child = os.path.abspath(path)  # noqa: PTH100 - as DVC knows it: links are not resolved
    files: list[str] = []
    while (parent := os.path.dirname(child)) != child:  # noqa: PTH120 - pathlib costs import time
        files += filter(os.path.isfile, (f"{child}.dvc", f"{parent}/dvc.lock"))
        if os.path.isdir(f"{parent}/.dvc"):  # noqa: PTH112 - as above
            return Tracking(parent, tuple(files)) if files else None
        child = parent
    return None


def ask(tracking: Tracking, path: str) -> tuple[Hash, bool]:
    """
    Have DVC's files read by another process.

    Returns
    -------
    (Hash, bool)
        What they say of the path, with where it is from as `properties`, and whether it is certain
        that this is what the path holds. A hash without digest: they say nothing that can be used.
    """
    import json  # noqa: PLC0415 - off the caller's path

    absolute = os.path.abspath(path)  # noqa: PTH100 - as above
    try:
        done = run_module("cmfd.dvc.lookup", tracking.root, absolute, *tracking.files)
        found = json.loads(done.stdout) if not done.returncode else None
        if not found:
            return Hash(), False
        return Hash(**found["hash"]), bool(found["unchanged"])
    except (OSError, ValueError, TypeError, KeyError):  # an answer that is none: as if not tracked
        return Hash(), False
