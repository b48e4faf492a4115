"""What the how-to for PROV tells a user to type does what it says."""

from __future__ import annotations

import os
from pathlib import Path

from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.sites import ASite, a_run

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "prov.md"
TIMEOUT_S = 100


def test_all_that_is_shown_is_so(tmp_path: Path) -> None:
    """As JSON, and for people."""
    site = ASite(tmp_path / "site").take(a_run(1, loss=[1.0]))
    shown = commands_of(HOWTO)
    environ = {**os.environ, "CMFD_SITE": str(site.path)}
    assert not what_is_wrong(shown, run_in_one_shell(shown, tmp_path, environ, TIMEOUT_S))
