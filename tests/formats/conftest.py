"""Commands in this process, and a process that has not logged yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cmfd.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cmfd = Callable[..., Any]


@pytest.fixture
def cmfd(tmp_path: Path) -> Cmfd:
    """Return what runs a command at a site of the test's own."""

    def run(*words: str, code: int = 0, site: str = "site") -> Any:
        asked = [*words, "--site", str(tmp_path / site)]
        done = CliRunner().invoke(cli, asked, catch_exceptions=False)
        assert done.exit_code == code, done.output
        if code or not done.stdout.startswith(("{", "[")):
            return done.stderr if code else done.stdout
        return json.loads(done.stdout)

    return run
