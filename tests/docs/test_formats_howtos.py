"""What the how-tos for other programs' formats tell a user to type does what they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.sites import ASite, a_run

HOWTOS = Path(__file__).parents[2] / "docs" / "howto"
TIMEOUT_S = 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openlineage", "prov", "ro-crate", "croissant"])
def test_all_that_is_shown_is_so(tmp_path: Path, name: str) -> None:
    """From the site that is there, in a directory that is empty."""
    site = ASite(tmp_path / "site").take(a_run(1, loss=[1.0]))
    shown = commands_of(HOWTOS / f"{name}.md")
    environ = {
        **os.environ, "CMFD_SITE": str(site.path), "CMFD_NODE_DIR": str(tmp_path / "node"),
        "CMFD_AUTOSTART": "false",
    }  # fmt: skip
    assert not what_is_wrong(shown, run_in_one_shell(shown, tmp_path, environ, TIMEOUT_S))
