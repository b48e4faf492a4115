"""Commands that merge, check and look after: merge, site, status, doctor."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.packs import small_run, write_pack
from support.sites import from_json
from support.wrapper import eventually

from cmfd.merge.layout import init_site
from cmfd.merge.lock import merge_lock
from cmfd.store.pack import finish

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import ASite, Invoke
    from support.wrapper import Node


def test_merge_takes_packs_and_says_how_many(site: ASite, invoke: Invoke, tmp_path: Path) -> None:
    """A directory of packs is merged; the second time, all of it is there before."""
    for number in range(3):
        write_pack(tmp_path / "packs", small_run(number))
    assert from_json(invoke("merge", "packs", "--json"))["absorbed"] == 3
    again = from_json(invoke("merge", "packs", "--json"))
    assert (again["absorbed"], again["repeated"]) == (0, 3)
    assert str(site.path) in invoke("merge").stdout
    assert not invoke("merge", "--quiet").stdout


def test_merge_quarantines_what_is_no_pack(invoke: Invoke, tmp_path: Path) -> None:
    """The good pack is merged; the exit code and the message tell of the other."""
    write_pack(tmp_path / "packs", small_run(1))
    (tmp_path / "packs" / f"{'0' * 64}.db").write_bytes(b"nonsense")
    done = invoke("merge", "packs", "--json", code=12)
    document = json.loads(done.stdout)
    assert document["absorbed"] == 1
    assert document["quarantined"][0]["path"] in done.stderr


def test_a_foreign_pack_cannot_steer_a_terminal(invoke: Invoke, tmp_path: Path) -> None:
    """What is wrong with it is told without its escape sequences."""
    pack = write_pack(tmp_path / "packs", small_run(1))
    with closing(sqlite3.connect(pack)) as db:
        db.execute('CREATE TABLE "\x1b]0;gotcha\x07" (a)')
    finish(pack)
    done = invoke("merge", "packs", code=12)
    assert "gotcha" in done.stderr
    assert "\x1b" not in done.stderr


def test_paths_may_have_any_bytes(invoke: Invoke, tmp_path: Path) -> None:
    """Packs come from, and go to, directories whose names are no text in any encoding."""
    odd = tmp_path / os.fsdecode(b"\xff#?%41")
    pack = write_pack(odd, small_run(1))
    (odd / f"{'0' * 64}.db").write_bytes(b"nonsense")
    site = str(odd / "site")
    invoke("merge", "--site", site, str(odd), code=12)
    assert (odd / "site" / "packs" / pack.name[:2] / pack.name).exists()
    assert len(from_json(invoke("runs", "--site", site, "--json"))) == 1
    invoke("site", "verify", "--deep", "--quiet", "--site", site)


def test_merge_of_what_is_not_there_is_not_found(invoke: Invoke) -> None:
    """A source that does not exist is named."""
    assert "nowhere" in invoke("merge", "nowhere", code=4).stderr


def test_merge_leaves_packs_to_the_merger_at_work(
    site: ASite, invoke: Invoke, tmp_path: Path
) -> None:
    """Who comes second returns at once and says who is at work; that is no failure."""
    write_pack(tmp_path / "packs", small_run(1))
    with merge_lock(init_site(site.path).lock):
        assert "Left to the merger at work" in invoke("merge", "packs").stdout
        document = from_json(invoke("merge", "--json"))
        assert document["left_in_inbox"] == 1
        assert document["busy_holder"]


def test_a_site_is_made_here_or_where_one_says(invoke: Invoke, tmp_path: Path) -> None:
    """Without a name it is .cmfd here, which is found from below; making it again keeps its id."""
    made = from_json(invoke("site", "init", "--json"))
    assert made["site"] == str(tmp_path / ".cmfd")
    assert from_json(invoke("site", "init", "--json")) == made
    other = from_json(invoke("site", "init", "other", "--json"))
    assert other["site"] == str(tmp_path / "other")
    assert other["id"] != made["id"]


def test_equal_content_has_an_equal_digest(three_runs: ASite, invoke: Invoke) -> None:
    """A site rebuilt from its packs, or merged into another, has the digest it had."""
    before = from_json(invoke("site", "digest", "--json"))["digest"]
    assert invoke("site", "digest").stdout.strip() == before
    from_json(invoke("site", "reindex", "--json"))
    assert from_json(invoke("site", "digest", "--json"))["digest"] == before
    invoke("merge", "--site", "copy", str(three_runs.path))
    assert invoke("site", "digest", "--site", "copy").stdout.strip() == before


def test_verify_finds_what_is_wrong(three_runs: ASite, invoke: Invoke) -> None:
    """All is well; then a pack is damaged, and the exit code is 12."""
    document = from_json(invoke("site", "verify", "--deep", "--json"))
    assert (document["n_packs"], document["problems"]) == (3, [])
    pack = next((three_runs.path / "packs").glob("*/*.db"))
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:-1])
    done = invoke("site", "verify", code=12)
    assert pack.name in done.stderr
    assert "1 problem " in done.stdout


def test_gc_tells_before_it_removes(three_runs: ASite, invoke: Invoke) -> None:
    """Quarantine that had its time is told, and removed only when asked for."""
    invoke("merge", str(_broken_pack(three_runs.path.parent)), code=12)
    (refused,) = (three_runs.path / "quarantine").glob("*.db")
    words = ("site", "gc", "--keep-days", "0", "--json")
    assert str(refused) in [one["path"] for one in from_json(invoke(*words))["leftovers"]]
    assert refused.exists()
    assert from_json(invoke(*words, "--remove"))["removed"]
    assert not refused.exists()
    assert "Nothing to remove" in invoke("site", "gc").stdout


def _broken_pack(directory: Path) -> Path:
    path = directory / f"{'0' * 64}.db"
    path.write_bytes(b"nonsense")
    return path


def test_status_without_a_daemon_says_so(site: ASite, invoke: Invoke, tmp_path: Path) -> None:
    """Exit code 7, and still what waits in the inbox."""
    init_site(site.path)
    pack = write_pack(tmp_path / "packs", small_run(1))
    (site.path / "inbox").mkdir()
    pack.rename(site.path / "inbox" / pack.name)
    done = invoke("status", "--json", code=7)
    document = json.loads(done.stdout)
    assert document["daemon"] is None
    assert document["site"]["waiting"] == 1
    assert "1 pack waiting" in invoke("status", code=7).stdout


@pytest.mark.slow
def test_status_is_what_the_daemon_says(node: Node) -> None:
    """The daemon's figures, as JSON and in words, after a run went through it."""
    node.cmfd("run", "-q", "--", "true")
    document = node.json("status")
    assert document["daemon"]["commits"] >= 1
    assert document["journals"] == 0
    text = node.cmfd("status").stdout.decode()
    assert "committed" in text
    assert "commit   takes" in text


def test_doctor_finds_a_sound_node(node: Node) -> None:
    """Nothing fails where all works; each finding has its check, level and words."""
    node.cmfd("run", "-q", "--", "true")
    done = node.cmfd("doctor", "--json")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {one["level"] for one in found.values()} <= {"ok", "warn"}
    checks = [
        "node directory",
        "socket",
        "daemon",
        "journals",
        "site",
        "versions",
        "MPI",
        "SLURM",
        "clock",
        "energy",
    ]
    assert all(found[check]["what"] for check in checks)
    assert all(one["advice"] for one in found.values() if one["level"] != "ok")


def test_doctor_fails_where_something_does_not_work(lone_node: Node) -> None:
    """A node directory that is a file, and a site that is none: exit code 1, and advice."""
    lone_node.node_dir.write_text("in the way")
    lone_node.site.mkdir()
    (lone_node.site / "site.toml").write_text("no site")
    done = lone_node.cmfd("doctor", "--json")
    assert done.returncode == 1
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["node directory"]["level"] == found["site"]["level"] == "fail"
    assert "CMFD_NODE_DIR" in found["node directory"]["advice"]


@pytest.mark.slow
def test_doctor_sees_journals_that_nobody_takes(lone_node: Node) -> None:
    """What a process without a daemon left is counted, with the command that merges it."""
    lone_node.cmfd("run", "-q", "--", "true")
    found = {one["check"]: one for one in json.loads(lone_node.cmfd("doctor", "--json").stdout)}
    assert found["journals"]["level"] == "warn"
    assert "1 of ended ones" in found["journals"]["what"]
    assert f"cmfd merge {lone_node.node_dir / 'journals'}" in found["journals"]["advice"]


def test_doctor_sees_a_variable_that_is_misspelt(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else tells: a job gets variables of later releases and of other programs, too."""
    monkeypatch.setenv("CMFD_QUEUE_DIR", "/x")
    monkeypatch.setenv("CMFD_IDEL_S", "3")
    found = [one for one in from_json(invoke("doctor", "--json")) if one["check"] == "settings"]
    assert [(one["level"], one["what"]) for one in found] == [("warn", "CMFD_IDEL_S sets nothing")]
    assert "CMFD_IDLE_S" in found[0]["advice"]


def test_doctor_sees_a_setting_that_cannot_be_used(lone_node: Node) -> None:
    """The rest is looked at all the same."""
    lone_node.environ["CMFD_IDLE_S"] = "soon"
    done = lone_node.cmfd("doctor", "--quiet")
    assert done.returncode == 1
    assert b"CMFD_IDLE_S" in done.stdout
    assert b"versions" not in done.stdout


@pytest.mark.slow
def test_a_daemon_detaches_and_is_the_only_one(tmp_path: Path) -> None:
    """`cmfd daemon --detach` returns at once; a second daemon is refused."""
    from support.wrapper import Node

    node = Node(tmp_path)
    try:
        assert node.cmfd("daemon", "--detach").returncode == 0
        eventually(lambda: node.cmfd("status").returncode == 0, "the daemon")
        second = node.cmfd("daemon")
        assert second.returncode != 0
        assert b"already" in second.stderr
    finally:
        node.end_daemon()
