"""What the how-to for exchange tells a user to type does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "exchange.md"
TIMEOUT_S = 300
DIGESTS = ("cmfd site digest", "cmfd site digest --site shared")


@pytest.mark.slow
def test_the_how_to_for_exchange_does_what_it_says(
    tmp_path: Path, new_user: dict[str, str]
) -> None:
    """Every command, in order, in one shell; and the digests that it calls equal are."""
    shown = commands_of(HOWTO)
    assert len(shown) > 15

    seen = run_in_one_shell(shown, tmp_path, new_user, TIMEOUT_S)

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong
    digests = {have.plain for have in seen if have.command in DIGESTS}
    assert len(digests) == 1
