"""A process of its own for each test: without this one's session, variables and directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cmfd.client import session as session_module
from cmfd.client import start as start_module
from cmfd.client import warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a node directory, and a process that has not logged yet."""
    for name in [*start_module._HANDED_DOWN, *os.environ]:
        if name.startswith(("CMFD_", "SLURM_", "OMPI_")):
            monkeypatch.setenv(name, "")  # so that what start() sets is undone
            monkeypatch.delenv(name)
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "node"))
    monkeypatch.setenv("CMFD_AUTOSTART", "false")
    monkeypatch.setenv("CMFD_RUN", "0" * 31 + "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session_module, "_session", None)
    monkeypatch.setattr(start_module, "_current", None)
    monkeypatch.setattr(start_module, "_ordinals", {})
    monkeypatch.setattr(start_module, "_surroundings", [])
    monkeypatch.setattr(warn, "_said", set())
    yield tmp_path / "node"
    if session_module._session is not None:
        session_module._session.close()
