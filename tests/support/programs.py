"""Programs that a test needs and a machine may lack."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

MPI_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_ALLOW_RUN_AS_ROOT": "1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
"""Lets Open MPI 4 and 5 start more ranks than there are cores, in CI as root."""


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
    if found is None:
        unavailable(f"there is no {name} on this machine; Debian's package {package} brings it")
    return found


def unavailable(reason: str) -> NoReturn:
    """Skip the test for this reason; in CI, where all must be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
