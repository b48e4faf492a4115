"""What the documents tell a user to type does what they say."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.console import commands_of, run_in_one_shell
from support.programs import MPI_ENVIRONMENT, program

from cmfd.client.launch import daemon_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 400


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a directory like a fresh clone that was set up."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("examples", "docs"):
        shutil.copytree(ROOT / name, clone / name)
    shutil.copy(ROOT / "LICENSE", clone)
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Be a user of whom nothing is there yet; the daemon started for him ends with the test."""
    node_dir = tmp_path / "node"
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    yield {
        **kept,
        **MPI_ENVIRONMENT,
        "HOME": str(tmp_path),
        "USER": "ada",
        "CMFD_NODE_DIR": str(node_dir),
        "CMFD_IDLE_S": "2",
    }
    patience_s = time.monotonic() + 30
    while daemon_runs(node_dir):
        assert time.monotonic() < patience_s, "the daemon did not end when it was idle"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.mpi
def test_the_tutorial_does_what_it_says(place: Path, environ: dict[str, str]) -> None:
    """Every command of the tutorial, in order, in one shell."""
    program("mpirun", "openmpi-bin")
    shown = commands_of(place / "docs" / "tutorial.md")
    assert len(shown) > 15

    seen = run_in_one_shell(shown, place, environ, TIMEOUT_S)

    wrong = [
        f"$ {have.command}\n{have.output}\n(exit code {have.exit_code})"
        for want, have in zip(shown, seen, strict=True)
        if have.exit_code != 0 or not want.pattern.fullmatch(have.plain)
    ]
    assert not wrong, "\n\n".join(wrong)
