"""What the how-to for DVC tells a user to type does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.dvc import Repo

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "dvc.md"
TIMEOUT_S = 500


@pytest.mark.slow
def test_the_how_to_for_dvc_does_what_it_says(tmp_path: Path, new_user: dict[str, str]) -> None:
    """Every command, in order, in one shell."""
    shown = commands_of(HOWTO)
    assert len(shown) > 12
    environ = {**new_user, **Repo(tmp_path / "tracks").environ}

    seen = run_in_one_shell(shown, tmp_path, environ, TIMEOUT_S)

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong
