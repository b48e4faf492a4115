"""What the how-to for servers tells an operator and a user to type does what it says."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.programs import program

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


def test_systemd_understands_the_service(tmp_path: Path) -> None:
    """The unit that the page shows is checked by the program that would read it."""
    shown = re.search(r"```ini\n(.*?)```", HOWTO.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    unit = tmp_path / "cmfd-serve.service"
    unit.write_text(shown[1].replace("/opt/cmfd/bin/cmfd", "/bin/true"))
    verify = [program("systemd-analyze", "systemd"), "verify", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "cmfd" in line]
    assert (done.returncode, complaints) == (0, [])
