"""A place like a fresh clone, and a user of whom nothing is there yet."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.programs import MPI_ENVIRONMENT

from cmfd.client.launch import daemon_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DAEMON_ENDS_S = 60


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a directory like a clone that was set up."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("examples", "docs"):
        shutil.copytree(ROOT / name, clone / name)
    for name in ("LICENSE", "README.md"):
        shutil.copy(ROOT / name, clone)
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give a new user's environment; the daemon that was started for him ends with the test."""
    node_dir = tmp_path / "node"
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    yield {
        **kept,
        **MPI_ENVIRONMENT,
        "HOME": str(tmp_path),
        "USER": "ada",
        "CMFD_NODE_DIR": str(node_dir),
        "CMFD_IDLE_S": "2",
    }
    patience_s = time.monotonic() + DAEMON_ENDS_S
    while daemon_runs(node_dir):
        assert time.monotonic() < patience_s, "the daemon did not end when it was idle"
        time.sleep(0.05)
