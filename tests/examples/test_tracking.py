"""The tracking pipeline: what the site says of it is what it did."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.tracking import PIPELINE, REGIONS, expected, recorded

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def run(words: list[str], place: Path, environ: dict[str, str]) -> str:
    """Run a command to its end, and return what it printed."""
    done = subprocess.run(
        words, cwd=place, capture_output=True, text=True, check=False,
        env={**environ, "PATH": f"{sys.prefix}/bin:{environ['PATH']}", "CMFD_STRICT": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(words: list[str], place: Path, environ: dict[str, str]) -> Any:
    """Return the answer to a question."""
    return json.loads(run(["cmfd", *words, "--json"], place, environ))


def test_the_sites_lineage_is_the_pipeline(tmp_path: Path, new_user: dict[str, str]) -> None:
    """Nothing more and nothing less, and each file is the one that was written."""
    run(["cmfd", "site", "init"], tmp_path, new_user)
    run([str(PIPELINE), "here", "out", "base", "few"], tmp_path, new_user)

    found, digests = recorded(tmp_path / ".cmfd" / "index.db")

    assert found == expected({"base": "preprocess", "few": "embed"})
    several = {path: known for path, known in digests.items() if len(known) > 1}
    assert set(several) == REGIONS, several
    numbers = json.loads((tmp_path / "out/base/evaluation/metrics.json").read_text("utf-8"))
    assert numbers["efficiency"] > 0.7
    assert numbers["purity"] > 0.7

    event = "out/base/events/train-003.h5::/hits/features"
    reached = asked(["lineage", "down", event], tmp_path, new_user)
    paths = {one["path"] for one in reached["artifacts"]}
    assert "out/base/embedding/embedding.npz" in paths
    assert "out/few/embedding/embedding.npz" not in paths, "it learned from the first two events"
    assert {f"out/{name}/evaluation/efficiency.svg" for name in ("base", "few")} <= paths
    board = ["best", "--pipeline", "tracking", "--metric", "efficiency[barrel]", "--max"]
    (best, second) = asked(board, tmp_path, new_user)["leaders"]
    assert best["value"] >= second["value"] > 0.7


@pytest.mark.mpi
def test_ranks_make_the_same_files(tmp_path: Path, new_user: dict[str, str]) -> None:
    """Each event once, by one of the ranks; one execution for all of them."""
    run(["cmfd", "site", "init"], tmp_path, new_user)
    run([str(PIPELINE), "mpi", "ranks", "base"], tmp_path, new_user)
    alone = tmp_path / "alone"
    alone.mkdir()
    run(["cmfd", "site", "init"], alone, new_user)
    run([str(PIPELINE), "here", "ranks", "base"], alone, new_user)

    by_ranks, digests = recorded(tmp_path / ".cmfd" / "index.db")
    by_one, same = recorded(alone / ".cmfd" / "index.db")

    assert by_ranks == by_one == expected({"base": "preprocess"}, "ranks")
    assert digests == same
