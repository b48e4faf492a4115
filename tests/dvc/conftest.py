"""A process of its own for each test, and DVC's variables in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.dvc import Repo

from cmfd.client import session as session_module
from cmfd.client import start as start_module

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
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "node"))
    monkeypatch.setenv("CMFD_AUTOSTART", "false")
    monkeypatch.setenv("CMFD_STRICT", "true")
    for name in ("CMFD_RUN", "CMFD_EXECUTION", "CMFD_PIPELINE", "CMFD_STAGE", "CMFD_SITE"):
        monkeypatch.setenv(name, "")  # so that what start() sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(session_module, "_session", None)
    monkeypatch.setattr(start_module, "_current", None)
    monkeypatch.setattr(start_module, "_ordinals", {})
    yield tmp_path / "node"
    if session_module._session is not None:
        session_module._session.close()
