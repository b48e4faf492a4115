"""The tracking pipeline: what the site says of it is what it did."""

from __future__ import annotations

import json
import os
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


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Run the pipeline, one program after the other, of a user whom no daemon serves."""
    place = tmp_path_factory.mktemp("here")
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    node = {"CMFD_NODE_DIR": str(place / "node"), "CMFD_AUTOSTART": "false"}
    environ = {**kept, **node, "HOME": str(place), "USER": "ada"}
    run(["cmfd", "site", "init"], place, environ)
    run([str(PIPELINE), "here", "out", "base", "few"], place, environ)
    return place, environ


def test_the_sites_lineage_is_the_pipeline(here: tuple[Path, dict[str, str]]) -> None:
    """Nothing more and nothing less, and each file is the one that was written."""
    place, environ = here

    found, digests = recorded(place / ".cmfd" / "index.db")

    assert found == expected({"base": "preprocess", "few": "embed"})
    several = {path: known for path, known in digests.items() if len(known) > 1}
    assert set(several) == REGIONS, several
    numbers = json.loads((place / "out/base/evaluation/metrics.json").read_text("utf-8"))
    assert numbers["efficiency"] > 0.7
    assert numbers["purity"] > 0.7

    event = "out/base/events/train-003.h5::/hits/features"
    reached = asked(["lineage", "down", event], place, environ)
    paths = {one["path"] for one in reached["artifacts"]}
    assert "out/base/embedding/embedding.npz" in paths
    assert "out/few/embedding/embedding.npz" not in paths, "it learned from the first two events"
    assert {f"out/{name}/evaluation/efficiency.svg" for name in ("base", "few")} <= paths
    board = ["best", "--pipeline", "tracking", "--metric", "efficiency[barrel]", "--max"]
    (best, second) = asked(board, place, environ)["leaders"]
    assert best["value"] >= second["value"] > 0.7


@pytest.mark.mpi
def test_ranks_make_the_same_files(
    tmp_path: Path, new_user: dict[str, str], here: tuple[Path, dict[str, str]]
) -> None:
    """Each event once, by one of the ranks; one execution for all of them."""
    run(["cmfd", "site", "init"], tmp_path, new_user)
    run([str(PIPELINE), "mpi", "out", "base"], tmp_path, new_user)

    by_ranks, digests = recorded(tmp_path / ".cmfd" / "index.db")
    by_one, same = recorded(here[0] / ".cmfd" / "index.db")

    assert by_ranks == expected({"base": "preprocess"})
    assert by_ranks <= by_one
    for path, known in digests.items():
        assert known <= same[path]
