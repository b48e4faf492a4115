"""What DVC tracks is known from its files where that is certain, and where it is kept is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cmfd
from cmfd.content import cache
from cmfd.content.files import Hash, hash_path
from cmfd.content.tracking import ask, tracking_of
from cmfd.merge.batch import merge_site
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from support.dvc import Repo

pytestmark = pytest.mark.slow  # real DVC makes each repository

PIPELINE = """\
stages:
  double:
    cmd: cat data/one data/one > two
    deps: [data/one]
    outs: [two]
"""


def fill(repo: Repo) -> None:
    """Track a file, a directory, and what a stage of a pipeline makes."""
    (repo.path / "data" / "raw" / "deep").mkdir(parents=True)
    (repo.path / "data" / "one").write_bytes(os.urandom(3000))
    for name in ("a", "deep/b", "deep/c", "größe"):
        (repo.path / "data" / "raw" / name).write_text(name)
    repo.dvc("add", "data/one", "data/raw")
    (repo.path / "dvc.yaml").write_text(PIPELINE)
    repo.dvc("repro")


def refuse(path: str) -> Hash:
    raise AssertionError(f"{path} was read")


TRACKED = ("data/one", "data/raw", "data/raw/a", "data/raw/deep", "data/raw/deep/b", "two")


def test_what_dvc_tracks_is_not_read(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, directories, what is inside of them, outputs of pipelines: as reading would find."""
    fill(repo)
    expected = {name: hash_path(name) for name in TRACKED}
    monkeypatch.setattr(cache, "hash_path", refuse)
    for name, hashed in expected.items():
        found = cache.identify(name, tmp_path / "hashes")
        assert (found.digest, found.size_bytes, found.n_files) == (
            hashed.digest, hashed.size_bytes, hashed.n_files
        )  # fmt: skip
        assert json.loads(found.properties)["dvc"]["root"] == str(repo.path)


@pytest.mark.parametrize("change", ["content", "same size", "new member", "member gone", "linked"])
def test_in_doubt_it_is_read(repo: Repo, change: str) -> None:
    """Whatever DVC would hash again, is hashed here; then nothing of DVC's is said of it."""
    fill(repo)
    name = "data/raw" if "member" in change else "data/one"
    if change == "content":
        Path(name).write_bytes(b"another")
    elif change == "same size":
        Path(name).write_bytes(b"x" * 3000)
    elif change == "new member":
        Path(name, "d").touch()
    elif change == "member gone":
        Path(name, "deep", "b").unlink()
    else:  # another file takes its place, with the times of the first
        times = Path(name).stat()
        Path("other").write_bytes(b"x" * 3000)
        os.utime("other", ns=(times.st_atime_ns, times.st_mtime_ns))
        Path("other").replace(name)
    found = cache.identify(name, None)
    assert found == hash_path(name)
    assert found.properties == ""


def test_links_into_the_cache_need_no_note(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where DVC's notes are not to be had, what is the write-protected object itself is known."""
    repo.dvc("config", "cache.type", "hardlink")
    fill(repo)
    tracking = tracking_of("data/one")
    assert tracking is not None
    assert ask(tracking, "data/one")[1]
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert ask(tracking, "data/one")[1]
    Path("copy").write_bytes(Path("data/one").read_bytes())
    Path("copy").replace("data/one")
    found, unchanged = ask(tracking, "data/one")
    assert (found.digest, unchanged) == (hash_path("data/one").digest, False)


def test_digests_of_dvc_2_are_not_taken(repo: Repo) -> None:
    """They are of other bytes than the file's."""
    Path("text").write_bytes(b"a\r\n")
    Path("text.dvc").write_text("outs:\n- md5: 60b725f10c9c85c70d97880dfe8191b3\n  path: text\n")
    found = cache.identify("text", None)
    assert found == hash_path("text")
    assert repo.path == Path.cwd()


@pytest.mark.parametrize("text", ["", "[", "- 1", "outs: 1", "stages: {a: 1}", "outs: [{md5: 1}]"])
def test_files_that_say_nothing_are_passed_over(repo: Repo, text: str) -> None:
    """Broken by hand or by a merge: the content is read."""
    Path("file").write_text("x")
    (repo.path / "file.dvc").write_text(text)
    assert cache.identify("file", None) == hash_path("file")


def properties(site: Path) -> dict[str, Any]:
    with open_index(site) as db:
        rows = db.execute("SELECT path, properties FROM events").fetchall()
    return {path: json.loads(text) if text else {} for path, text in rows}


def test_an_event_says_where_dvc_has_it_from(repo: Repo, node: Path, tmp_path: Path) -> None:
    """Remote, repository and commit, no password; what the caller says stays."""
    repo.dvc("remote", "add", "-d", "store", "ssh://ada:geheim@example.org/data")
    fill(repo)
    commit = repo.commit()
    Path("dvc.lock").write_text(Path("dvc.lock").read_text() + "# edited\n")
    with cmfd.start("tracks", "train", site=tmp_path / "site") as ex:
        ex.input("data/one", run="2026A")
        ex.input("two")
        ex.input("dvc.yaml")
    ex.session.close()
    merge_site(tmp_path / "site", (node / "journals").glob("*.cmfj"))
    found = properties(tmp_path / "site")
    assert found["data/one"] == {
        "run": "2026A",
        "dvc": {
            "file": "data/one.dvc", "root": str(repo.path), "remote": "store",
            "url": "ssh://ada@example.org/data",
            "repository": "https://example.org/hep/tracks.git", "commit": commit,
        },
    }  # fmt: skip
    assert found["two"]["dvc"]["file"] == "dvc.lock"
    assert "commit" not in found["two"]["dvc"], "it has changes that are not committed"
    assert found["dvc.yaml"] == {}


PROGRAM = """
import sys, threading
started = []
def watch(name, args):
    if name in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"):
        started.append(threading.current_thread() is threading.main_thread())
sys.addaudithook(watch)
import cmfd
ex = cmfd.start("p", "s")
for path in sys.argv[1:]:
    ex.input(path)
ex.end()
print(*started)
print(*{"dvc", "ruamel", "ruamel.yaml", "sqlite3", "configparser"} & set(sys.modules))
"""


def test_the_caller_waits_for_no_process_and_imports_no_dvc(repo: Repo, node: Path) -> None:
    """What DVC's files say is read by another process, which a thread waits for."""
    fill(repo)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "data/one", "data/raw"], capture_output=True, text=True,
        check=True, env={**os.environ, "CMFD_NODE_DIR": str(node)},
    )  # fmt: skip
    started, imported = done.stdout.splitlines()
    assert "False" in started
    assert "True" not in started
    assert imported == ""


def test_many_ranks_ask_once(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is remembered on the node as long as nothing it depends on has changed."""
    fill(repo)
    monkeypatch.setattr(cache, "RACY_NS", 0)
    first = cache.identify("data/one", tmp_path / "hashes")
    assert "commit" not in json.loads(first.properties)["dvc"]
    real = ask
    monkeypatch.setattr(cache, "ask", refuse)
    assert cache.identify("data/one", tmp_path / "hashes") == first
    monkeypatch.setattr(cache, "ask", real)
    commit = repo.commit()
    found = cache.identify("data/one", tmp_path / "hashes")
    assert json.loads(found.properties)["dvc"]["commit"] == commit
