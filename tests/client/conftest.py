"""A process of its own for each test: without this one's session, variables and directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.logging_here import as_new_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a node directory, and a process that has not logged yet."""
    monkeypatch.chdir(tmp_path)
    with as_new_process(monkeypatch, tmp_path / "node", CMFD_RUN="0" * 31 + "1"):
        yield tmp_path / "node"
