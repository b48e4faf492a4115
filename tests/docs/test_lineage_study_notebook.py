"""
The notebook of a study runs on the site of the tutorial, and its answers are true.

The name puts it beside the tutorial's own test, so that one worker does the tutorial for both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cmfd.cli.main import cli

if TYPE_CHECKING:
    from support.console import Tutorial

NOTEBOOK = Path(__file__).parents[2] / "docs" / "study.ipynb"
TOUCHED = {
    "model": {
        "base/embedding/embedding.npz", "base/filter/filter.joblib", "few/filter/filter.joblib",
        "narrow/filter/filter.joblib", "trees/filter/filter.joblib",
    },
    "figure": {
        f"{name}/evaluation/efficiency.svg"
        for name in ("base", "components", "few", "narrow", "trees")
    },
}  # fmt: skip
CLEAN = {
    "model": {
        "few/embedding/embedding.npz", "cylindrical/embedding/embedding.npz",
        "cylindrical/filter/filter.joblib",
    },
    "figure": {"cylindrical/evaluation/efficiency.svg"},
}  # fmt: skip
EXECUTE = """
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
kernel = AsyncKernelManager(  # over sockets that are files: ports may be taken
    kernel_name="python3", transport="ipc", connection_file=sys.argv[3]
)
NotebookClient(notebook, km=kernel, timeout=120).execute()
nbformat.write(notebook, sys.argv[2])
"""
CHANGED = """
cylindrical: preprocess.features: conformal -> cylindrical
few: embed.use: 1000 -> 2
narrow: graph.radius: 0.6 -> 0.4
trees: filter.classifier: network -> trees, filter.lr: 0.005 -> 0.1
components: tracks.builder: walk -> components
"""


def test_the_notebook_is_kept_without_outputs() -> None:
    """What it shows is somebody's site, and every run would change the file."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_the_notebook_answers_what_is_true(tutorial: Tutorial, tmp_path: Path) -> None:
    """No cell fails; what changed, and what the bad event touched, is what the pipeline did."""
    printed = "".join(
        "".join(output.get("text") or [*output.get("data", {}).get("text/plain", ()), "\n"])
        for cell in executed(tutorial.site, tmp_path)
        for output in cell.get("outputs", ())
    )

    assert CHANGED.strip() in printed
    assert printed.count("events add up: True") == 2
    assert "grades: E" in printed
    said = CliRunner().invoke(cli, ["report", "energy", "--json", "--site", str(tutorial.site)])
    energy_j = json.loads(said.stdout)["total"]["energy"]["energy_j"]
    assert f"all runs: {energy_j:.6f} J" in printed
    for what in ("model", "figure"):
        for how, expected in (("touched", TOUCHED[what]), ("clean", CLEAN[what])):
            begin = f"{what} {how} out/"
            lines = printed.splitlines()
            assert {line[len(begin) :] for line in lines if line.startswith(begin)} == expected


def executed(site: Path, scratch: Path) -> list[dict[str, Any]]:
    """Execute the notebook on a site, in a process of its own, and return its cells."""
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK, "done.ipynb", "kernel.json"], cwd=scratch,
        env={**os.environ, "HOME": str(scratch), "CMFD_SITE": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    cells: list[dict[str, Any]] = json.loads((scratch / "done.ipynb").read_text("utf-8"))["cells"]
    return cells
