"""A site with known runs and energy, and reports of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.sites import ASite, Invoke, invoker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Return a site without runs."""
    return ASite(tmp_path / "site")


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site, in this process."""
    return invoker(site, tmp_path, monkeypatch)
