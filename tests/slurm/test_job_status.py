"""`cmfd slurm status`, where SLURM's queue answers and where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.packs import small_run
from support.sites import ASite, Invoke, from_json, invoker

from cmfd.errors import IncompleteError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Answer = Callable[[str], None]

AWAY = "echo 'squeue: error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Give a site without runs."""
    return ASite(tmp_path / "site")


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Give a function that runs a command on the site, in this process, as the user of its runs."""
    monkeypatch.setattr("os.getuid", lambda: 1000)
    return invoker(site, tmp_path, monkeypatch)


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Give what makes `squeue` do something else."""
    path = tmp_path / "bin" / "squeue"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")

    def answer(script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)

    return answer


def test_a_controller_that_does_not_answer_is_told(
    site: ASite, invoke: Invoke, squeue: Answer
) -> None:
    """What is recorded is shown all the same; that there were no jobs is not said."""
    squeue(AWAY)
    for words in ((), ("7",)):
        said = invoke("slurm", "status", *words, code=IncompleteError.exit_code).output
        assert "connect failure" in said
        assert "No jobs" not in said
    site.take(small_run(7))
    for words in ((), ("7",)):
        said = invoke("slurm", "status", *words, code=IncompleteError.exit_code).output
        assert "connect failure" in said
        assert "completed" in said
    document = from_json(invoke("slurm", "status", "--json", code=IncompleteError.exit_code))
    assert "connect failure" in document["slurm"]
    assert [job["job"] for job in document["jobs"]] == ["7"]


def test_a_job_that_nobody_knows_is_an_error(invoke: Invoke, squeue: Answer) -> None:
    """An empty queue is none."""
    squeue("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    said = invoke("slurm", "status", "7", code=NotFoundError.exit_code).output
    assert "neither SLURM's queue nor" in said
    squeue("exit 0")
    assert "No jobs." in invoke("slurm", "status").output


def test_jobs_of_the_queue_stand_before_those_that_are_recorded(
    site: ASite, invoke: Invoke, squeue: Answer
) -> None:
    """One that is both is told once."""
    site.take(small_run(7))
    squeue("echo '7|7|RUNNING|n[1-2]'; echo '8_1|9|PENDING|'")
    found = from_json(invoke("slurm", "status", "--json"))["jobs"]
    states = [(job["job"], job["queue_state"], job["status"]) for job in found]
    assert states == [("8_1", "PENDING", ""), ("7", "RUNNING", "completed")]
