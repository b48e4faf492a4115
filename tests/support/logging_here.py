"""Logging in the tests' own process, as in one that has not logged yet."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.postgres import VARIABLE

from cmfd.client import session as session_module
from cmfd.client import start as start_module
from cmfd.client import warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


@contextmanager
def as_new_process(patch: pytest.MonkeyPatch, node: Path, **variables: str) -> Iterator[None]:
    """
    Let this process log into a node directory, without a daemon.

    What `patch` undoes includes what logging changes: whatever is started afterwards would belong
    to the run that was logged here.
    """
    for name in [*start_module._HANDED_DOWN, *os.environ]:
        if name.startswith(("CMFD_", "SLURM_", "OMPI_")) and name != VARIABLE:
            patch.setenv(name, "")  # so that what start() sets is undone
            patch.delenv(name)
    ours = {"CMFD_NODE_DIR": str(node), "CMFD_AUTOSTART": "false"}
    for name, value in {**ours, **variables}.items():
        patch.setenv(name, value)
    patch.setattr(session_module, "_session", None)
    patch.setattr(start_module, "_current", None)
    patch.setattr(start_module, "_ordinals", {})
    patch.setattr(start_module, "_surroundings", [])
    patch.setattr(warn, "_said", set())
    yield
    if session_module._session is not None:
        session_module._session.close()
