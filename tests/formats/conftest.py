"""Commands in this process; a receiver of events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.receiver import Received, receiving

from cmfd.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """Receive events, as OpenLineage's client is told by the environment."""
    with receiving() as events:
        for name, value in {
            "TYPE": "http", "URL": events.url, "RETRY": '{"total": 0}', "TIMEOUT": "60",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)
        yield events
