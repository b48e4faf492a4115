"""What the how-to for servers tells an operator and a user to type does what it says."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "serve.md"
TIMEOUT_S = 300
DIGESTS = ("cmfd site digest", "cmfd site digest --site hub")


@pytest.mark.slow
def test_the_how_to_for_servers_does_what_it_says(tmp_path: Path, new_user: dict[str, str]) -> None:
    """Every command, in order, in one shell, on a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shown = [
        replace(
            one,
            command=one.command.replace("8765", port),
            output=[line.replace("8765", port) for line in one.output],
        )
        for one in commands_of(HOWTO)
    ]
    assert len(shown) > 15

    seen = run_in_one_shell(shown, tmp_path, new_user, TIMEOUT_S)

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong
    assert len({have.plain for have in seen if have.command in DIGESTS}) == 1
