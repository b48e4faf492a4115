"""A site with known runs and energy, and reports of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from support.sites import ASite, Invoke

from cmfd.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Return a site without runs."""
    return ASite(tmp_path / "site")


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site, in this process."""
    monkeypatch.setenv("CMFD_SITE", str(site.path))
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "node"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run
