"""What the documents tell a user to type does what they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.console import Shown, commands_of, run_in_one_shell, what_is_wrong

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 500


@pytest.mark.slow
@pytest.mark.mpi
def test_the_tutorial_does_what_it_says(place: Path, new_user: dict[str, str]) -> None:
    """Every command of the tutorial, in order, in one shell."""
    shown = commands_of(place / "docs" / "tutorial.md")
    assert len(shown) > 15

    seen = run_in_one_shell(shown, place, new_user, TIMEOUT_S)

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong


@pytest.mark.slow
def test_the_readmes_main_job_runs(place: Path, new_user: dict[str, str]) -> None:
    """The commands of the README as they stand, with the site where a user has it by default."""
    readme = (place / "README.md").read_text(encoding="utf-8")
    commands = [Shown(line) for line in re.findall(r"^\.venv/bin/cmfd .+$", readme, re.MULTILINE)]
    assert len(commands) == 2

    run, show = run_in_one_shell(commands, place, new_user, TIMEOUT_S)

    assert (run.exit_code, show.exit_code) == (0, 0), run.output + show.output
    assert f"stored in {new_user['HOME']}/.local/share/cmfd" in run.output
    assert "digits.train completed" in run.plain or "completed: digits.train" in run.plain
    for part in ("test.accuracy", "out/digits.npz", "out/model.joblib"):
        assert part in run.output
        assert part in show.output


@pytest.mark.slow
@pytest.mark.mpi
def test_the_heat_solver_gives_the_same_field_on_any_number_of_ranks(
    place: Path, new_user: dict[str, str]
) -> None:
    """A real program: its result does not depend on how it was divided, nor on cmfd."""
    run = ".venv/bin/python examples/mpi/heat.py --nx 96 --steps 60 --out out"
    commands = [
        Shown(f"CMFD_AUTOSTART=false mpirun -n {n} {run} && sha256sum out/field.npy && rm -r out")
        for n in (1, 3, 4)
    ]

    seen = run_in_one_shell(commands, place, new_user, TIMEOUT_S)

    assert [item.exit_code for item in seen] == [0, 0, 0], [item.output for item in seen]
    assert len({item.plain for item in seen}) == 1
    before, after = re.findall(r"temperature (\S+) -> (\S+),", seen[0].output)[0]
    assert before == after, "no heat leaves the plate"
