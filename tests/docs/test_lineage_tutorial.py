"""What the tutorial of lineage tells a user to type does what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.console import what_is_wrong

if TYPE_CHECKING:
    from support.console import Tutorial


@pytest.mark.slow
def test_the_lineage_tutorial_does_what_it_says(tutorial: Tutorial) -> None:
    """Every command, in order, in one shell: the answers are what the pipeline really did."""
    assert len(tutorial.shown) > 20

    wrong = what_is_wrong(tutorial.shown, tutorial.seen)
    assert not wrong, wrong
