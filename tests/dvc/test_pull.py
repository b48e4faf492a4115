"""Bytes of artifacts, brought back by their digest: from places, caches and real remotes."""

from __future__ import annotations

import getpass
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.sshd import ssh_server

import cmfd
from cmfd.cli.main import cli
from cmfd.content.files import hash_path
from cmfd.merge.batch import merge_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.dvc import Repo

    Used = Callable[[], dict[str, str]]

pytestmark = pytest.mark.slow  # real DVC fetches

NAMES = ("hits.csv", "raw")


@pytest.fixture
def used(repo: Repo, node: Path, tmp_path: Path) -> Used:
    """Return a function that tracks a file and a directory, and has an execution read them."""

    def use() -> dict[str, str]:
        Path("raw/deep").mkdir(parents=True)
        for name in ("hits.csv", "raw/a", "raw/deep/b", "raw/größe"):
            Path(name).write_text(name)
        repo.dvc("add", *NAMES)
        with cmfd.start("tracks", "train", site=tmp_path / "site") as ex:
            for name in NAMES:
                ex.input(name)
        ex.session.close()
        merge_site(tmp_path / "site", (node / "journals").glob("*.cmfj"))
        return {name: hash_path(name).digest for name in NAMES}

    return use


def pull(tmp_path: Path, *words: str, code: int = 0) -> Any:
    """Pull into a directory; returns what became of each by its name there, or what was said."""
    to = tmp_path / "to"
    words = ("artifacts", "pull", *words, "--to", str(to), "--site", str(tmp_path / "site"))
    done = CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    assert not list(to.glob("**/.cmfd-pull-*")), "nothing half done is left"
    if code:
        return done.stderr
    return {str(Path(one["target"]).relative_to(to)): one for one in json.loads(done.stdout)}


def check(tmp_path: Path, digests: dict[str, str]) -> None:
    for name, digest in digests.items():
        assert hash_path(tmp_path / "to" / name).digest == digest


def forget(repo: Repo, *, cache: bool) -> None:
    """Lose the data, and perhaps the cache."""
    Path("hits.csv").write_text("something else")
    shutil.rmtree("raw")
    if cache:
        shutil.rmtree(repo.path / ".dvc" / "cache")


def test_places_come_first_then_the_cache(repo: Repo, used: Used, tmp_path: Path) -> None:
    """Nothing is asked that need not be; what is there already stays."""
    digests = used()
    found = pull(tmp_path, *digests.values())
    assert {name: one["source"] for name, one in found.items()} == {
        name: str(repo.path / name) for name in NAMES
    }
    check(tmp_path, digests)
    assert {one["source"] for one in pull(tmp_path, "--execution", "last").values()} == {
        "there already"
    }
    shutil.rmtree(tmp_path / "to")
    forget(repo, cache=False)
    found = pull(tmp_path, "--execution", "last")
    assert {one["source"] for one in found.values()} == {"cache"}
    check(tmp_path, digests)


def test_a_local_remote_brings_back_all_inputs_of_an_execution(
    repo: Repo, used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the settings of the repository; and once that is gone, by the URL that was recorded."""
    repo.dvc("remote", "add", "-d", "store", str(tmp_path / "remote"))
    digests = used()
    repo.dvc("push")
    forget(repo, cache=True)
    found = pull(tmp_path, "--execution", "last")
    assert {one["source"] for one in found.values()} == {"remote store"}
    check(tmp_path, digests)

    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "to")
    shutil.rmtree(repo.path)
    pull(tmp_path, "--execution", "last")
    check(tmp_path, digests)


def test_a_remote_behind_ssh(repo: Repo, used: Used, tmp_path: Path) -> None:
    """A real server with a key that the repository's own settings name."""
    with ssh_server(tmp_path / "sshd") as server:
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}{tmp_path}/remote"
        repo.dvc("remote", "add", "-d", "far", url)
        repo.dvc("remote", "modify", "--local", "far", "keyfile", str(server.key))
        repo.dvc("remote", "modify", "--local", "far", "allow_agent", "false")
        digests = used()
        repo.dvc("push")
        forget(repo, cache=True)
        found = pull(tmp_path, "--execution", "last")
    assert {one["source"] for one in found.values()} == {"remote far"}
    check(tmp_path, digests)


def test_what_is_not_what_was_recorded_gets_no_name(repo: Repo, used: Used, tmp_path: Path) -> None:
    """A damaged cache and a damaged remote, a target that holds something else."""
    repo.dvc("remote", "add", "-d", "store", str(tmp_path / "remote"))
    digests = used()
    repo.dvc("push")
    forget(repo, cache=False)
    md5 = digests["hits.csv"].removeprefix("md5:")
    for root in (repo.path / ".dvc" / "cache", tmp_path / "remote"):
        kept = root / "files" / "md5" / md5[:2] / md5[2:]
        kept.chmod(0o644)
        kept.write_text("damaged")
    (tmp_path / "to" / "raw").mkdir(parents=True)
    said = pull(tmp_path, "--execution", "last", code=12)
    assert "cache has something else" in said
    assert "raw is there and holds something else" in said
    assert not (tmp_path / "to" / "hits.csv").exists()
    assert list((tmp_path / "to" / "raw").iterdir()) == []


def test_names_from_elsewhere_lead_nowhere_else(
    repo: Repo, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorded path that is absolute or leads upward gives its last part only."""
    (repo.path / "sub").mkdir()
    Path("a").write_text("a")
    Path("b").write_text("b")
    monkeypatch.chdir("sub")
    with cmfd.start("tracks", "train", site=tmp_path / "site") as ex:
        ex.input("../a")
        ex.input(repo.path / "b")
        ex.input("missing")
    ex.session.close()
    merge_site(tmp_path / "site", (node / "journals").glob("*.cmfj"))
    said = pull(tmp_path, "--execution", "last", code=12)
    assert "1 of 3 could not be brought back" in said
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["a", "b"]
