"""Content is read once on a node, by who names it first, and never taken for older content."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cmfd.content import cache
from cmfd.content.cache import WORTH_BYTES, forget, identify
from cmfd.content.files import Hash, hash_path

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO_S = time.time() - 3600


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the paths that are read."""
    seen: list[str] = []

    def read(path: str) -> Hash:
        seen.append(path)
        return hash_path(path)

    monkeypatch.setattr(cache, "hash_path", read)
    return seen


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let content count as old enough at once: a file's time of change cannot be set."""
    monkeypatch.setattr(cache, "RACY_NS", 0)


def large(path: Path, byte: bytes = b"a") -> Path:
    path.write_bytes(byte * WORTH_BYTES)
    return path


@pytest.mark.usefixtures("unhurried")
def test_known_content_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    path = large(tmp_path / "data")
    found = [identify(path, tmp_path / "hashes") for _ in range(3)]
    assert found == [hash_path(path)] * 3
    assert len(reads) == 1


@pytest.mark.usefixtures("unhurried")
def test_a_name_does_not_count(tmp_path: Path, reads: list[str]) -> None:
    """Hard links and links lead to the same content."""
    path = large(tmp_path / "data")
    os.link(path, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(path)
    for name in ("data", "hard", "soft"):
        assert identify(tmp_path / name, tmp_path / "hashes") == hash_path(path)
    assert len(reads) == 1


@pytest.mark.usefixtures("unhurried")
def test_changed_content_is_read_again(tmp_path: Path) -> None:
    """Also where somebody sets the old time of modification."""
    path = large(tmp_path / "data")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    before = identify(path, tmp_path / "hashes")
    large(path, b"b")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    after = identify(path, tmp_path / "hashes")
    assert after == hash_path(path) != before


@pytest.mark.usefixtures("unhurried")
def test_a_directory_is_known_by_all_that_is_below(tmp_path: Path, reads: list[str]) -> None:
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a").write_text("a")
    (root / "b").write_text("b")
    first = identify(root, tmp_path / "hashes")
    assert identify(f"{root}/", tmp_path / "hashes") == first == hash_path(root)
    assert len(reads) == 1
    (root / "deep" / "c").write_text("c")
    assert identify(root, tmp_path / "hashes") == hash_path(root) != first
    (root / "deep" / "c").rename(root / "c")
    assert identify(root, tmp_path / "hashes") == hash_path(root)
    assert len(reads) == 3


def test_what_changed_just_now_may_change_again(tmp_path: Path, reads: list[str]) -> None:
    """Two changes within a tick of the file system's clock look the same."""
    path = large(tmp_path / "data")
    for _ in range(2):
        assert identify(path, tmp_path / "hashes") == hash_path(path)
    assert len(reads) == 2


def test_small_files_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("small")
    assert identify(tmp_path / "data", tmp_path / "hashes") == hash_path(tmp_path / "data")
    assert not (tmp_path / "hashes").exists()


@pytest.mark.usefixtures("unhurried")
def test_content_is_read_once_where_there_is_no_room_to_remember_it(
    tmp_path: Path, reads: list[str]
) -> None:
    """On a full disk, too."""
    path = large(tmp_path / "data")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        found = identify(path, tmp_path / "hashes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found == hash_path(path)
    assert len(reads) == 1


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("left", [b"", b"{", b'{"found":[1]}\n', b"\0" * 200])
def test_what_a_killed_process_left_is_replaced(
    tmp_path: Path, reads: list[str], left: bytes
) -> None:
    path = large(tmp_path / "data")
    found = identify(path, tmp_path / "hashes")
    (entry,) = (tmp_path / "hashes").iterdir()
    entry.write_bytes(left)
    assert [identify(path, tmp_path / "hashes") for _ in range(2)] == [found] * 2
    assert len(reads) == 2


def test_a_directory_that_cannot_be_used_costs_nothing_else(tmp_path: Path) -> None:
    path = large(tmp_path / "data")
    assert identify(path, path / "hashes") == hash_path(path)
    assert identify(path, None) == hash_path(path)
    assert "No such file" in identify(tmp_path / "none", tmp_path / "hashes").problem


READER = """
import os, sys
import cmfd.content.cache as cache
from cmfd.content.files import hash_path

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # a line at once: many write

def read(path):
    say("reads", os.getpid())
    os.read(0, 1)
    return hash_path(path)

cache.hash_path, cache.RACY_NS = read, 0
say("waits", os.getpid())
say("found", cache.identify(sys.argv[1], sys.argv[2]).digest)
"""


@pytest.mark.slow
def test_many_processes_read_it_once(tmp_path: Path) -> None:
    """Those that come while it is read wait for its reader, or take the place of a killed one."""
    path = large(tmp_path / "data")
    said, says = os.pipe()
    asked, go = os.pipe()
    command = [sys.executable, "-c", READER, str(path), str(tmp_path / "hashes")]
    processes = [subprocess.Popen(command, stdin=asked, stdout=says) for _ in range(6)]
    os.close(says)
    try:
        with os.fdopen(said) as lines:
            words = [next(lines).split() for _ in range(7)]  # all are there, and one reads
            (reader,) = (int(pid) for word, pid in words if word == "reads")
            next(p for p in processes if p.pid == reader).kill()
            word, after = next(lines).split()
            assert (word, int(after) != reader) == ("reads", True)
            os.write(go, b"x")
            rest = [line.split() for line in lines]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        os.close(asked)
        os.close(go)
    assert rest == [["found", hash_path(path).digest]] * 5


@pytest.mark.usefixtures("unhurried")
def test_what_nobody_asks_for_is_forgotten(tmp_path: Path, reads: list[str]) -> None:
    path, other = large(tmp_path / "data"), large(tmp_path / "other", b"o")
    identify(path, tmp_path / "hashes")
    (entry,) = (tmp_path / "hashes").iterdir()
    os.utime(entry, (LONG_AGO_S, LONG_AGO_S))
    identify(other, tmp_path / "hashes")
    assert forget(tmp_path / "hashes", older_than_s=60) == 1
    identify(path, tmp_path / "hashes")
    identify(other, tmp_path / "hashes")
    assert len(reads) == 3
    assert forget(tmp_path / "gone") == 0


SHARED = """
import os, sys
from cmfd.content.cache import identify

def n_read():
    return int(open("/proc/self/io").read().split()[1])

path, directory, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
ready, told = os.pipe(), os.pipe()
for _ in range(n):
    if not os.fork():
        os.close(ready[1])
        os.read(ready[0], 1)
        before = n_read()
        digest = identify(path, directory).digest
        os.write(told[1], f"{int(n_read() - before > os.path.getsize(path))} {digest}\\n".encode())
        os._exit(0)
os.close(ready[1])
os.close(told[1])
sys.stdout.write(open(told[0]).read())
"""


@pytest.mark.slow
def test_256_processes_at_once_read_it_once(tmp_path: Path) -> None:
    """As the ranks of a node do that begin with one large input; it was there before they began."""
    path = tmp_path / "data"
    path.write_bytes(os.urandom(1 << 20) * 32)
    while time.time() - path.stat().st_ctime < 1.1 * cache.RACY_NS / 1e9:
        time.sleep(0.1)  # the time of change of a file cannot be set
    command = [sys.executable, "-c", SHARED, str(path), str(tmp_path / "hashes"), "256"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert told[1::2] == [hash_path(path).digest] * 256
    assert sum(map(int, told[::2])) == 1
