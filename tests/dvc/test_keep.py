"""Outputs that `cmfd run --dvc` has DVC store: none is lost, whoever else is at work."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.wrapper import Node, eventually

from cmfd.content.files import hash_path
from cmfd.dvc import keep as module
from cmfd.dvc.keep import keep
from cmfd.dvc.repository import Repository

if TYPE_CHECKING:
    from support.dvc import Repo

pytestmark = pytest.mark.slow  # real DVC stores

CMFD = (sys.executable, "-m", "cmfd")
N_RUNS = 32


@pytest.fixture
def here(repo: Repo, tmp_path: Path) -> Node:
    """Return a node whose commands run in a DVC repository with a remote."""
    repo.dvc("remote", "add", "-d", "store", str(tmp_path / "remote"))
    return Node(tmp_path, {**repo.environ, "CMFD_AUTOSTART": "false", "CMFD_AUTO_MERGE": "false"})


def start(here: Node, repo: Repo, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (*CMFD, "run", "-q", *words), cwd=repo.path, env=here.environment(),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def is_kept(repo: Repo, name: str) -> bool:
    """Tell whether DVC tracks what a file holds, and has it in its cache."""
    digest = hash_path(repo.path / name).digest.removeprefix("md5:")
    tracked = (repo.path / f"{name}.dvc").read_text()
    return digest in tracked and Repository(str(repo.path)).object(digest).exists()


def remote_has(remote: Path, path: Path) -> bool:
    digest = hash_path(path).digest.removeprefix("md5:")
    return (remote / "files" / "md5" / digest[:2] / digest[2:]).exists()


def test_outputs_are_added_committed_and_pushed(here: Node, repo: Repo, tmp_path: Path) -> None:
    """With the exit code of the command, and an event that says where DVC keeps it."""
    added = start(
        here, repo, "--dvc", "add", "-o", "out.bin", "--", "sh", "-c", "echo 1 > out.bin; exit 3"
    )
    assert (added.communicate()[1], added.returncode) == ("", 3)
    assert is_kept(repo, "out.bin")
    assert not (tmp_path / "remote").exists()

    words = ("--dvc", "commit", "--dvc-push", "-o", "out.bin", "--", "sh", "-c", "echo 2 > out.bin")
    committed = start(here, repo, *words)
    assert (committed.communicate()[1], committed.returncode) == ("", 0)
    assert is_kept(repo, "out.bin")
    assert remote_has(tmp_path / "remote", repo.path / "out.bin")

    here.cmfd("merge", "--site", str(here.site), str(here.node_dir))
    (use,) = here.json("artifacts", "show", hash_path(repo.path / "out.bin").digest)["uses"]
    assert use["properties"]["dvc"]["file"] == "out.bin.dvc"
    assert use["properties"]["dvc"]["url"] == str(tmp_path / "remote")


def test_what_dvc_refuses_is_said_and_the_rest_is_kept(here: Node, repo: Repo) -> None:
    """The command's exit code stays, and all outputs are recorded."""
    (repo.path / "dvc.yaml").write_text("stages: {s: {cmd: touch theirs, outs: [theirs]}}\n")
    words = ("-o", "theirs", "-o", "own", "-o", "/etc/hostname", "-o", "gone")
    done = start(here, repo, "--dvc", "add", *words, "--", "sh", "-c", "echo 1 | tee own > theirs")
    said = done.communicate()[1]
    assert done.returncode == 0
    assert "did not store theirs: ERROR: cannot update 'theirs': overlaps" in said
    assert "/etc/hostname lies in no DVC repository" in said
    assert is_kept(repo, "own")
    here.cmfd("merge", "--site", str(here.site), str(here.node_dir))
    assert len(here.last()["artifacts"]) == 4


def test_orders_of_the_dead_are_carried_out_by_the_next(here: Node, repo: Repo) -> None:
    """A process that was killed while it waited loses nothing."""
    box = repo.path / ".dvc" / "tmp" / "cmfd"
    box.mkdir(parents=True)
    with (box / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ("--dvc", "add", "-o", "first", "--", "sh", "-c", "echo first > first")
        killed = start(here, repo, *words)
        eventually(lambda: list(box.glob("*.todo")), "its order")
        killed.kill()
        killed.communicate()
    Path("second").write_text("second")
    assert keep(["second"], "add") == []
    assert is_kept(repo, "first")
    assert is_kept(repo, "second")
    assert not list(box.glob("*.todo"))


def test_another_process_of_dvc_is_waited_for(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC refuses to work beside another one."""
    said = ["ERROR: Unable to acquire lock. Most likely another DVC process is running", ""]
    monkeypatch.setattr(module, "_AGAIN_S", 0)
    monkeypatch.setattr(module, "dvc", lambda *_: said.pop(0))
    assert keep([str(repo.path / "file")], "add") == []
    assert said == []


def test_of_many_runs_at_once_none_loses_an_output(here: Node, repo: Repo, tmp_path: Path) -> None:
    """32 at the same time in one repository, with push: 32 of 32 in cache and remote."""
    names = [f"out{n}.bin" for n in range(N_RUNS)]
    runs = [
        start(here, repo, "--dvc", "add", "--dvc-push", "-o", name, "--",
              "sh", "-c", f"echo {name} > {name}")
        for name in names
    ]  # fmt: skip
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0] * N_RUNS, said
    assert [text for text in said if text] == []
    assert [name for name in names if is_kept(repo, name)] == names
    assert all(remote_has(tmp_path / "remote", repo.path / name) for name in names)
    ignored = (repo.path / ".gitignore").read_text().split()
    assert {f"/{name}" for name in names} <= set(ignored)
    here.cmfd("merge", "--site", str(here.site), str(here.node_dir))
    listed = here.json("artifacts", "list", "-n", "-1", "--direction", "output")
    assert {one["path"] for one in listed} == set(names)
    assert os.environ["DVC_NO_ANALYTICS"] == "1"
