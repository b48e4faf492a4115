"""Digests of files and directories: the same as DVC's, and only of content read whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cmfd.content import files as hashing
from cmfd.content.files import Hash, hash_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "size",
    [0, 1, hashing.CHUNK_BYTES - 1, hashing.CHUNK_BYTES, hashing.CHUNK_BYTES * 2 + 1],
)
def test_a_file_is_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    """Of any size around the chunks it is read in; both digests of the same read."""
    data = (b"0123456789abcde" * (size // 15 + 1))[:size]
    path = tmp_path / "file"
    path.write_bytes(data)
    assert hash_path(path) == Hash(f"md5:{md5(data)}", f"sha256:{sha256(data)}", size, 1, "")


def test_line_ends_are_bytes_like_others(tmp_path: Path) -> None:
    """DVC 2 made them equal; DVC 3 does not, nor does cmfd."""
    (tmp_path / "a").write_bytes(b"a\r\nb\r\n")
    (tmp_path / "b").write_bytes(b"a\nb\n")
    assert hash_path(tmp_path / "a").digest != hash_path(tmp_path / "b").digest


def make_tree(root: Path) -> None:
    """Make a directory with everything that a listing can get wrong."""
    for name, data in {
        "b.txt": "b",
        "a/b": "nested",
        "a.txt": "sorts between a/ and a0",
        "a0": "0",
        "a-": "before the slash",
        "deep/er/and/deeper/file.bin": "x" * 5000,
        "empty": "",
        "größe ünd \N{SNOWMAN}": "names",
        'quo"te\\back': "escapes",
        "new\nline": "control",
        ".hidden/.file": "hidden",
        ".git/config": "left out",
        "sub/.hg/data": "left out",
        "sub/kept": "kept",
        ".gitignore": "kept",
        "worktree/.git": "left out: a file of this name",
        "repository/.dvc/config": "left out with all of",
        "repository/data": "left out",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)
    (root / "nothing" / "at all").mkdir(parents=True)
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o755)
    (root / "link to file").symlink_to("a/b")
    (root / "link to directory").symlink_to("deep")


LISTED = [
    ".gitignore", ".hidden/.file", "a-", "a.txt", "a/b", "a0", "b.txt",
    "deep/er/and/deeper/file.bin", "empty", "größe ünd \N{SNOWMAN}", "link to file", "new\nline",
    'quo"te\\back', "script", "sub/kept",
]  # fmt: skip


def listing(root: Path, algorithm: str, digest: Callable[[bytes], str]) -> bytes:
    """Write the listing that a directory's digest is of, by the documented recipe."""
    entries = [{algorithm: digest((root / name).read_bytes()), "relpath": name} for name in LISTED]
    return json.dumps(entries, sort_keys=True).encode()


def test_a_directory_is_the_digest_of_its_listing(tmp_path: Path) -> None:
    """The recipe of the documentation, written out a second time."""
    root = tmp_path / "data"
    make_tree(root)
    found = hash_path(root)
    assert found.digest == f"md5:{md5(listing(root, 'md5', md5))}.dir"
    assert found.strong == f"sha256:{sha256(listing(root, 'sha256', sha256))}"
    assert found.n_files == len(LISTED)
    assert found.size_bytes == sum((root / name).stat().st_size for name in LISTED)
    assert hash_path(f"{root}/") == found


def test_moving_and_touching_change_no_identity(tmp_path: Path) -> None:
    """Nor do permissions: only names below the directory and bytes count."""
    make_tree(tmp_path / "data")
    before = hash_path(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    os.utime(tmp_path / "moved" / "b.txt", (1, 1))
    (tmp_path / "moved" / "b.txt").chmod(0o600)
    assert hash_path(tmp_path / "moved") == before
    (tmp_path / "moved" / "b.txt").rename(tmp_path / "moved" / "c.txt")
    assert hash_path(tmp_path / "moved").digest != before.digest


DVC = Path(sys.executable).with_name("dvc")


def dvc_digests(repository: Path) -> dict[str, str]:
    """Return what the .dvc files of a repository say, by path."""
    found = {}
    for file in repository.glob("?*.dvc"):
        values = dict(
            line.lstrip("- ").split(": ", 1)
            for line in file.read_text().splitlines()
            if ": " in line
        )
        found[values["path"].strip("'")] = values["md5"]
    return found


@pytest.mark.slow
def test_identities_are_those_of_the_real_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, a directory of everything, an empty one, links: `dvc add` says the same."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc-site-cache"))
    repository = tmp_path / "repository"
    repository.mkdir()
    make_tree(repository / "data")
    (repository / "empty").mkdir()
    (repository / "only").mkdir()
    (repository / "only" / "one").write_bytes(bytes(range(256)))
    (repository / "file").write_bytes(b"a\r\nb\0" * 400_000)
    (repository / "void").touch()
    added = ("data", "empty", "only", "file", "void")
    found = {name: hash_path(repository / name) for name in added}
    for command in (["init", "--no-scm", "-q"], ["add", "-q", *added]):
        subprocess.run([DVC, *command], cwd=repository, check=True)
    assert dvc_digests(repository) == {
        name: found[name].digest.removeprefix("md5:") for name in added
    }


def test_names_that_are_no_utf_8_are_hashed(tmp_path: Path) -> None:
    """DVC fails on them; their bytes stay distinct."""
    for name in (b"\xff", b"\xfe"):
        directory = tmp_path / name.hex()
        directory.mkdir()
        Path(os.fsdecode(os.fsencode(directory) + b"/" + name)).write_text("x")
    first, second = hash_path(tmp_path / "ff"), hash_path(tmp_path / "fe")
    assert not first.problem
    assert first.digest != second.digest


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    """Reading a pipe or a device would never end."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    before = hash_path(tmp_path / "data")
    os.mkfifo(tmp_path / "data" / "pipe")
    (tmp_path / "data" / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "data" / "socket"))
        assert hash_path(tmp_path / "data") == before
    found = hash_path(tmp_path / "data" / "pipe")
    assert found.problem == f"it is no regular file: {tmp_path}/data/pipe"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """To a file or a directory that is given itself."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("x")
    (tmp_path / "a").symlink_to("data")
    (tmp_path / "b").symlink_to("data/file")
    assert hash_path(tmp_path / "a") == hash_path(tmp_path / "data")
    assert hash_path(tmp_path / "b") == hash_path(tmp_path / "data" / "file")


@pytest.mark.parametrize("inside", [False, True])
def test_missing_content_is_a_problem(tmp_path: Path, *, inside: bool) -> None:
    """A link that leads nowhere, given or found in a directory, as in DVC."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    link = tmp_path / "data" / "link"
    link.symlink_to("nowhere")
    found = hash_path(link.parent if inside else link)
    assert found == Hash(problem=f"No such file or directory: {link}")


def test_a_file_written_to_while_it_is_read_has_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read never existed as a whole."""
    path = tmp_path / "file"
    path.write_bytes(b"a" * 5000)
    monkeypatch.setattr(hashing, "CHUNK_BYTES", 1000)
    real = hashing._beside

    def write(work: Callable[[], bytes]) -> Callable[[], bytes]:
        with path.open("r+b") as file:
            file.write(b"b")
        return real(work)

    monkeypatch.setattr(hashing, "_beside", write)
    assert hash_path(path) == Hash(problem=f"it changed while it was read: {path}")


@pytest.mark.parametrize("change", ["replace", "append", "rewrite at once", "new member", "gone"])
def test_any_change_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Of a member or of the directory itself, also in the tick of the clock that made them."""
    root = tmp_path / "data"
    tick_ns = time.clock_gettime_ns(hashing._COARSE_CLOCK)
    while time.clock_gettime_ns(hashing._COARSE_CLOCK) == tick_ns:
        pass  # so that the change comes within the same tick
    root.mkdir()
    path = root / "file"
    path.write_bytes(b"a" * 100)
    real = hashing._digest
    changes: dict[str, Callable[[], object]] = {
        "replace": lambda: (
            (tmp_path / "other").write_bytes(b"a" * 100) and (tmp_path / "other").rename(path)
        ),
        "append": lambda: path.write_bytes(b"a" * 101),
        "rewrite at once": lambda: path.write_bytes(b"b" * 100),
        "new member": (root / "new").touch,
        "gone": path.unlink,
    }

    def meanwhile(*arguments: object) -> int:
        size = real(*arguments)  # type: ignore[arg-type]  # passed on as they come
        changes[change]()
        return size

    monkeypatch.setattr(hashing, "_digest", meanwhile)
    found = hash_path(root)
    assert found.digest == found.strong == ""
    assert ("No such file" if change == "gone" else "it changed while it was read") in found.problem


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Give up the rights of root, whom no permission stops."""
    own = os.geteuid()
    os.seteuid(65534 if own == 0 else own)
    try:
        yield
    finally:
        os.seteuid(own)


def test_an_unreadable_member_is_a_problem() -> None:
    """A digest of the rest would be another dataset's."""
    with tempfile.TemporaryDirectory() as directory:  # not pytest's, which others cannot enter
        Path(directory).chmod(0o755)
        secret = Path(directory) / "secret"
        secret.touch(mode=0)
        with unprivileged():
            assert hash_path(directory) == Hash(problem=f"Permission denied: {secret}")


def test_without_another_thread_the_digests_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ending interpreter starts none, and the last outputs are hashed then."""
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 5000)
    whole = hash_path(path)
    monkeypatch.setattr(hashing, "CHUNK_BYTES", 1000)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert hash_path(path) == whole


def test_an_error_of_the_other_thread_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails halfway."""
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 5000)
    monkeypatch.setattr(hashing, "CHUNK_BYTES", 10_000)
    real = os.read

    def fail(descriptor: int, size: int) -> bytes:
        if size == 10_000 and threading.current_thread().name == "cmfd-hash":
            raise OSError(5, "Input/output error")
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", fail)
    assert hash_path(path).problem == f"Input/output error: {path}"
