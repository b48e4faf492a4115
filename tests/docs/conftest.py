"""A place like a fresh clone."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
