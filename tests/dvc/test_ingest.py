"""A pipeline of DVC's becomes executions, whose ids everybody derives alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cmfd.cli.main import cli
from cmfd.content.files import hash_path

if TYPE_CHECKING:
    from support.dvc import Repo

PIPELINE = """\
stages:
  prepare:
    cmd: mkdir -p out && cp hits.csv out/a && sort hits.csv > out/b
    deps: [hits.csv]
    outs: [out]
  train:
    cmd: >-
      echo '{"accuracy": 0.5, "of": {"barrel": 0.75}}' > m.json && cp out/b model.bin
    deps: [out]
    params: [lr, optimizer, layers.n, other.yaml: [seed]]
    outs: [model.bin]
    metrics: [m.json: {cache: false}]
artifacts:
  tracker: {path: model.bin, type: model}
"""


def pipeline(repo: Repo) -> None:
    """Run a pipeline of two stages with DVC."""
    Path("hits.csv").write_text("3\n1\n2\n")
    Path("params.yaml").write_text("lr: 1e-3\noptimizer: on\nlayers: {n: 4}\n")
    Path("other.yaml").write_text("seed: 7\n")
    Path("dvc.yaml").write_text(PIPELINE)
    repo.dvc("add", "hits.csv")
    repo.dvc("repro")


def cmfd(*words: str, code: int = 0) -> Any:
    """Run a command; returns what it prints with --json."""
    done = CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if not code else done.stderr


@pytest.mark.slow
def test_a_pipeline_becomes_executions(repo: Repo, tmp_path: Path) -> None:
    """Stages, commands, parameters with their types, metrics, inputs, outputs, code, lineage."""
    pipeline(repo)
    commit = repo.commit()
    site = ("--site", str(tmp_path / "site"))
    done = cmfd("dvc", "ingest", *site)
    assert [(one["pipeline"], one["stage"], one["new"]) for one in done] == [
        ("tracks", "prepare", True), ("tracks", "train", True)
    ]  # fmt: skip

    train = cmfd("show", "train", *site)
    (execution,) = train["executions"]
    assert (execution["execution"], execution["status"]) == (done[1]["execution"], "completed")
    assert {one["key"]: (one["type"], one["value"]) for one in train["params"]} == {
        "lr": ("float", 0.001), "optimizer": ("str", "on"), "layers.n": ("int", 4),
        "other.yaml:seed": ("int", 7),
    }  # fmt: skip
    assert {one["name"]: one["last"] for one in train["metrics"]} == {
        "accuracy": 0.5, "of.barrel": 0.75
    }  # fmt: skip
    said = ("direction", "kind", "path", "digest")
    assert {tuple(one[key] for key in said) for one in train["artifacts"]} == {
        ("input", "dataset", "out", hash_path("out").digest),
        ("output", "model", "model.bin", hash_path("model.bin").digest),
        ("output", "metrics", "m.json", hash_path("m.json").digest),
    }  # fmt: skip
    (environment,) = train["environments"]
    assert environment["document"]["code"]["commit"] == commit
    assert "cp out/b model.bin" in environment["document"]["command"]["argv"][2]

    above = json.dumps(cmfd("lineage", "up", "model.bin", *site))
    assert hash_path("hits.csv").digest in above
    uses = cmfd("artifacts", "show", "hits.csv", *site)["uses"]
    assert uses[0]["properties"]["dvc"]["file"] == "hits.csv.dvc"


@pytest.mark.slow
def test_taking_it_in_again_adds_only_what_is_new(repo: Repo, tmp_path: Path) -> None:
    """From a clone, too: the ids are the same. A stage that was run again is another execution."""
    pipeline(repo)
    repo.commit()
    site = ("--site", str(tmp_path / "site"))
    first = cmfd("dvc", "ingest", *site)
    digest = cmfd("site", "digest", *site)
    shutil.copytree(repo.path, tmp_path / "clone", symlinks=True)
    again = cmfd("dvc", "ingest", str(tmp_path / "clone"), *site)
    assert [one["execution"] for one in again] == [one["execution"] for one in first]
    assert not any(one["new"] for one in again)
    assert cmfd("site", "digest", *site) == digest

    Path("params.yaml").write_text("lr: 0.1\noptimizer: on\nlayers: {n: 4}\n")
    repo.dvc("repro")
    third = cmfd("dvc", "ingest", *site)
    assert [one["new"] for one in third] == [False, True]
    assert len(cmfd("runs", *site)) == 3


@pytest.mark.slow
def test_digests_of_dvc_2_are_said_to_be_none(repo: Repo, tmp_path: Path) -> None:
    """The artifact is known by its place only, and the command says so."""
    Path("dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  old:\n    cmd: [a, b]\n    outs:\n"
        "    - path: text\n      md5: 60b725f10c9c85c70d97880dfe8191b3\n      size: 3\n"
    )
    site = ("--site", str(tmp_path / "site"))
    (done,) = cmfd("dvc", "ingest", "--pipeline", "old", *site)
    assert done["without_digest"] == [str(repo.path / "text")]
    (artifact,) = cmfd("show", "last", *site)["artifacts"]
    assert artifact["digest"].startswith("stat:")
    assert "no digest" in artifact["problem"]


def test_a_directory_without_a_lock_file_is_said(tmp_path: Path) -> None:
    """And one whose lock file is broken; nothing is made."""
    site = ("--site", str(tmp_path / "site"))
    assert "has no dvc.lock" in cmfd("dvc", "ingest", str(tmp_path), *site, code=4)
    (tmp_path / "dvc.lock").write_text("stages: [")
    assert "cannot read" in cmfd("dvc", "ingest", str(tmp_path), *site, code=18)
    assert not (tmp_path / "site").exists()
