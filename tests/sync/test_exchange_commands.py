"""Push, pull, clone and their kin, as a user types them; also through a real SSH server."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.exchange import MakeSite, add, digest
from support.sshd import ssh_server

from cmfd.cli import push

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Cmfd = Callable[..., Any]


@pytest.fixture
def cmfd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cmfd:
    """Return what runs a command and gives its JSON, or its text."""
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "node"))

    def run(*words: object, code: int = 0) -> Any:
        command = [sys.executable, "-m", "cmfd", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr

    return run


@pytest.mark.slow
def test_a_clone_works_on_and_pushes(make_site: MakeSite, cmfd: Cmfd) -> None:
    """As with git: clone, record, push; pull elsewhere."""
    hub = make_site("hub", 1, 2)
    assert "2 packs" in cmfd("clone", hub.path, "mine")
    mine = make_site("mine")
    assert digest(mine) == digest(hub)
    add(mine, 3)
    assert cmfd("status", "--remotes", "--site", mine.path, "--json", code=7)["remotes"] == [
        {"name": "origin", "url": str(hub.path), "ahead": 1, "behind": 0, "problem": ""}
    ]
    pushed = cmfd("push", "--site", mine.path, "--json")
    assert (pushed["packs"], pushed["merge"]["absorbed"]) == (1, 1)
    assert "Nothing new" in cmfd("push", "--site", mine.path)
    assert cmfd("push", "-q", "--site", mine.path) == ""
    other = make_site("other")
    assert cmfd("pull", hub.path, "--site", other.path, "--json")["packs"] == 3
    assert digest(other) == digest(hub) == digest(mine)
    assert [one["node"] for one in cmfd("log", "--site", hub.path, "--json")] == ["n1"] * 3
    assert cmfd("log", "--site", hub.path).count("\n") == 4
    assert cmfd("verify", "--site", other.path) == f"3 packs read, 0 problems at {other.path}\n"


@pytest.mark.slow
def test_remotes_by_command(make_site: MakeSite, cmfd: Cmfd) -> None:
    """Add, list, move, forget."""
    a, hub = make_site("a", 1), make_site("hub", 2)
    cmfd("remote", "add", "hub", "hub", "--site", a.path)
    (found,) = cmfd("remote", "list", "--site", a.path, "--json")
    assert found == {"name": "hub", "url": str(hub.path), "command": ""}
    assert cmfd("fetch", "hub", "--site", a.path, "--json")["packs"] == 1
    cmfd("remote", "set-url", "hub", "elsewhere:cmfd", "--site", a.path)
    assert cmfd("remote", "list", "--site", a.path) == "hub  elsewhere:cmfd\n"
    cmfd("remote", "remove", "hub", "--site", a.path)
    assert "no remote" in cmfd("remote", "remove", "hub", "--site", a.path, code=4)
    assert "no remote" in cmfd("push", "nowhere", "--site", a.path, code=4)
    assert "no remote" in cmfd("push", "--site", a.path, code=4)


@pytest.mark.slow
def test_a_clone_into_a_site_is_refused(make_site: MakeSite, cmfd: Cmfd) -> None:
    """It is left as it is."""
    hub, mine = make_site("hub", 1), make_site("mine", 2)
    before = digest(mine)
    assert "site already" in cmfd("clone", hub.path, mine.path, code=3)
    (full := hub.path.parent / "full").mkdir()
    (full / "thesis.txt").touch()
    assert "not empty" in cmfd("clone", hub.path, full, code=3)
    assert [path.name for path in full.iterdir()] == ["thesis.txt"]
    assert digest(mine) == before


@pytest.mark.slow
def test_a_part_is_cloned(make_site: MakeSite, cmfd: Cmfd) -> None:
    """And widened by a pull; a clone that was cut goes on in the same way."""
    hub = make_site("hub", 1, 2, 3)
    assert "Part: 1 run" in cmfd("clone", hub.path, "mine", "--where", 'job = "2"')
    assert "cmfd pull --site" in cmfd("clone", hub.path, "mine", code=3)
    cmfd("pull", "--site", make_site("mine").path)
    assert digest(make_site("mine")) == digest(hub)


def test_a_push_from_a_site_that_one_may_only_read(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is merged there is sent; nothing is changed there."""
    a, hub = make_site("a", 1), make_site("hub")
    (a.path / "merge.lock").unlink()
    monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (a.path, os.W_OK))
    done = CliRunner().invoke(push.command, [str(hub.path), "--site", str(a.path)])
    assert done.exit_code == 0, done.output
    assert digest(a) == digest(hub)
    assert not (a.path / "merge.lock").exists()


@pytest.mark.slow
def test_a_part_by_command(make_site: MakeSite, cmfd: Cmfd) -> None:
    """What was chosen is said, and a depth without a choice is refused."""
    hub, mine = make_site("hub", 1, 2, 3), make_site("mine")
    told = cmfd("pull", hub.path, "--where", 'job = "2"', "--site", mine.path)
    assert "1 pack " in told
    assert "Part: 1 run" in told
    pulled = cmfd(
        "pull", hub.path, "--user", "ann", "--depth", "all", "--site", mine.path, "--json"
    )
    assert pulled["part"] == {"runs": 3, "ancestors": 0, "left_out": 0}
    assert "say of what" in cmfd("pull", hub.path, "--depth", "1", "--site", mine.path, code=2)
    assert "--depth" in cmfd("pull", hub.path, "--depth", "few", "--site", mine.path, code=2)


@pytest.mark.slow
def test_who_signed_is_shown(make_site: MakeSite, cmfd: Cmfd, tmp_path: Path) -> None:
    """By the log, for people and as JSON."""
    key = tmp_path / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)
    a, hub = make_site("a", 1), make_site("hub", 2)
    cmfd("push", hub.path, "--sign", key, "--site", a.path)
    (hub.path / "allowed_signers").write_text(f"ann@lab {(tmp_path / 'key.pub').read_text()}")
    told = cmfd("log", "--show-signature", "--site", hub.path)
    assert "ann@lab" in told
    assert "nobody" in told
    signers = [
        one["signer"] for one in cmfd("log", "--show-signature", "--site", hub.path, "--json")
    ]
    assert signers[0]["name"] == "ann@lab"
    assert signers[0]["key"].startswith("ED25519 SHA256:")
    assert signers[1] is None


@pytest.mark.slow
def test_a_bundle_by_command(make_site: MakeSite, cmfd: Cmfd, tmp_path: Path) -> None:
    """Over an air gap, into a new site."""
    a = make_site("a", 1, 2)
    cmfd("bundle", "create", "all.tar", "--site", a.path)
    assert "2 packs" in cmfd("bundle", "unbundle", "all.tar", "--site", tmp_path / "b")
    assert digest(a) == digest(make_site("b"))


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give a host that a real SSH server on this machine is."""
    with ssh_server(tmp_path / "sshd") as server:
        options = (
            "-i", str(server.key), "-p", str(server.port), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
        )  # fmt: skip
        monkeypatch.setenv("CMFD_SSH", shlex.join(("ssh", *options)))
        yield "127.0.0.1"


@pytest.mark.slow
def test_both_ways_through_ssh(make_site: MakeSite, cmfd: Cmfd, ssh: str, tmp_path: Path) -> None:
    """No port but SSH's, no password of ours; paths with blanks."""
    hub = make_site("the hub", 1, 2)
    there = f"{sys.executable} -m cmfd"
    cmfd("clone", f"{ssh}:{hub.path}", tmp_path / "mine", "--command", there)
    mine = make_site("mine")
    assert digest(mine) == digest(hub)
    add(mine, 3)
    add(hub, 4)
    assert cmfd("push", "--site", mine.path, "--json")["merge"]["absorbed"] == 1
    assert cmfd("pull", "--site", mine.path, "--json")["packs"] == 1
    assert digest(mine) == digest(hub)


@pytest.mark.slow
def test_what_ssh_cannot_reach_is_told(make_site: MakeSite, cmfd: Cmfd, ssh: str) -> None:
    """No cmfd there, and no site there."""
    mine = make_site("mine", 1)
    cmfd(
        "remote", "add", "hub", f"{ssh}:/nowhere", "--command", "no-such-cmfd", "--site", mine.path
    )
    told = cmfd("push", "hub", "--site", mine.path, code=19)
    assert "no-such-cmfd" in told
    assert "--command" in told
    cmfd("remote", "remove", "hub", "--site", mine.path)
    there = f"{sys.executable} -m cmfd"
    cmfd("remote", "add", "hub", f"{ssh}:/nowhere", "--command", there, "--site", mine.path)
    assert "no site" in cmfd("push", "hub", "--site", mine.path, code=19)
