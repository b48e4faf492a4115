"""What the how-to for PostgreSQL tells an operator to type does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.postgres import VARIABLE, Server

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "postgresql.md"
TIMEOUT_S = 300


@pytest.mark.slow
def test_the_how_to_for_postgresql_does_what_it_says(
    tmp_path: Path, new_user: dict[str, str]
) -> None:
    """Every command, in order, in one shell; an index has its digest wherever it is."""
    shown = commands_of(HOWTO)
    assert len(shown) > 15
    server = Server()
    new_user.pop(VARIABLE, None)
    try:
        there = new_user | {"PGHOST": server.directory, "PGUSER": "cmfd"}
        seen = run_in_one_shell(shown, tmp_path, there, TIMEOUT_S)
    finally:
        server.remove()

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong
    digests = [have.plain for have in seen if have.command == "cmfd site digest --site local"]
    assert len(digests) == 2
    assert len(set(digests)) == 1
