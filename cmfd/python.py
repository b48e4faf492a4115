"""The same Python once more, for modules of cmfd's, in a working directory that is a program's."""

from __future__ import annotations

import sys

SAFELY = ("-P",) if sys.version_info >= (3, 11) else ()
"""Modules of the standard library's names may lie there, and the directory be anybody's."""


def module(name: str, *words: str) -> list[str]:
    """Return the command that runs a module; older Pythons look for it in the directory, too."""
    return [sys.executable, *SAFELY, "-m", name, *words]
