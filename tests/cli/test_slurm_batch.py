"""The end of a job's script: what it waits for, and for how long."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from cmfd.cli.slurm import batch
from cmfd.cli.wrapped import Order

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_merge_that_hangs_does_not_keep_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A dead file system, say: it is told what is kept, and how to merge it."""
    os.mkfifo(tmp_path / "site.toml")  # nobody ever writes to it
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "node"))
    monkeypatch.setattr(batch, "_MERGE_S", 1.0)
    batch.JobScript(Order(["true"]), None, None)._merge(tmp_path)
    (said,) = capfd.readouterr().err.splitlines()
    assert "merge --quiet" in said
    assert f"packs are kept; later: cmfd merge --site {tmp_path}" in said


def test_what_a_merge_complains_of_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All that is left out, with the reason."""
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "node"))
    job = batch.JobScript(Order(["true"]), None, None)
    job._merge(tmp_path / "site")
    assert capfd.readouterr().err == ""
    inbox = tmp_path / "site" / "inbox"
    inbox.mkdir(exist_ok=True)
    (inbox / f"{0:064}.db").write_text("no pack")
    job._merge(tmp_path / "site")
    assert "quarantine" in capfd.readouterr().err


def test_what_cannot_be_started_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    """And the job goes on to its end."""
    assert not batch._succeeds(["/nowhere/srun"], {}, 1.0, "see to it")
    assert capfd.readouterr().err.endswith("; see to it\n")
    assert batch._succeeds([sys.executable, "-c", ""], {}, 60.0, "see to it")
