"""A place like a fresh clone, and a site that a tutorial has made."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support.console import Tutorial, commands_of, run_in_one_shell
from support.user import user_at

ROOT = Path(__file__).parents[2]
TUTORIAL_S = 500


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a directory like a clone that was set up."""
    return _clone_in(tmp_path)


def _clone_in(directory: Path) -> Path:
    clone = directory / "clone"
    clone.mkdir()
    for name in ("examples", "docs"):
        shutil.copytree(ROOT / name, clone / name)
    for name in ("LICENSE", "README.md"):
        shutil.copy(ROOT / name, clone)
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Tutorial:
    """Do all of the tutorial of lineage, once: the site that it leaves is one to be asked."""
    home = tmp_path_factory.mktemp("tutorial")
    place = _clone_in(home)
    shown = commands_of(place / "docs" / "lineage-tutorial.md")
    with user_at(home) as environ:
        seen = run_in_one_shell(shown, place, environ, TUTORIAL_S)
    return Tutorial(place / ".cmfd", shown, seen)
