"""What the tutorial of lineage tells a user to type does what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 590


@pytest.mark.slow
def test_the_lineage_tutorial_does_what_it_says(place: Path, new_user: dict[str, str]) -> None:
    """Every command, in order, in one shell: the answers are what the pipeline really did."""
    shown = commands_of(place / "docs" / "lineage-tutorial.md")
    assert len(shown) > 20

    seen = run_in_one_shell(shown, place, new_user, TIMEOUT_S)

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong
