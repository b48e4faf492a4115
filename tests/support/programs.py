"""Programs that a test needs and a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """
    Return the path of a program, or skip the test; in CI, where all must be there, fail it.

    Parameters
    ----------
    name : str
        The program.
    package : str
        What brings it on Debian.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"there is no {name} on this machine; Debian's package {package} brings it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
