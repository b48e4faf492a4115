"""A process of its own for each test, and DVC's variables in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.dvc import Repo
from support.logging_here import as_new_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Return a new repository, in which this process is."""
    made = Repo.make(tmp_path / "tracks")
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.path)
    return made


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a node directory, and a process that has not logged yet."""
    with as_new_process(monkeypatch, tmp_path / "node", CMFD_STRICT="true"):
        yield tmp_path / "node"
