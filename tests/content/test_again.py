"""Content whose process was killed before it had read it."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import h5py

from cmfd.content import again, cache
from cmfd.content.again import Left, read_again
from cmfd.content.files import hash_path
from cmfd.content.hdf5 import hash_datasets

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def left(path: Path, inside: str = "") -> Left:
    found = path.stat()
    return Left("it", f"{path}{inside}", found.st_size, found.st_mtime_ns, time.time_ns())


def test_what_is_as_it_was_is_read(tmp_path: Path) -> None:
    """Files and directories."""
    (tmp_path / "raw").mkdir()
    file = tmp_path / "raw" / "a"
    file.write_text("1")

    for path in (file, tmp_path / "raw"):
        assert read_again([left(path)], None)["it"].hash == hash_path(path)


def test_a_data_set_is_read_with_what_it_is_part_of(tmp_path: Path) -> None:
    """Its digest is that of its content; the file contains it."""
    path = tmp_path / "hits.h5"
    with h5py.File(path, "w") as file:
        file["train/x"] = [1, 2]

    found = read_again([left(path, "::/train/x")], None)["it"]
    (expected,) = hash_datasets(str(path), ["train/x"])
    assert found.hash.digest == expected.digest
    assert found.links == ((hash_path(path).digest, expected.digest, "/train/x"),)


def test_what_was_changed_since_is_left_as_it_is(tmp_path: Path) -> None:
    """Another time, another size, gone; in a directory, a file that is newer than its word."""
    gone, longer, newer = (tmp_path / name for name in ("gone", "longer", "newer"))
    (tmp_path / "raw").mkdir()
    inner = tmp_path / "raw" / "a"
    for path in (gone, longer, newer, inner):
        path.write_text("1")
    before = [left(path)._replace(key=path) for path in (gone, longer, newer, inner.parent)]
    gone.unlink()
    with longer.open("a") as file:
        file.write("2")
    later_ns = time.time_ns() + 5_000_000_000
    os.utime(newer, ns=(later_ns, later_ns))
    os.utime(inner, ns=(later_ns, later_ns))

    assert read_again(before, None) == {}


def test_nobody_waits_for_what_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read until then counts; what comes after that does not."""
    quick, slow = tmp_path / "quick", tmp_path / "slow"
    for path in (quick, slow):
        path.write_text("1")
    hangs = threading.Event()
    identify = cache.identify

    def hanging(path: str, directory: str | None) -> object:
        if path == str(slow):
            hangs.wait()
        return identify(path, directory)

    monkeypatch.setattr(again, "identify", hanging)
    both = [left(path)._replace(key=path) for path in (quick, slow)]
    try:
        assert list(read_again(both, None, patience_s=0.2)) == [quick]
    finally:
        hangs.set()


def test_more_than_there_is_time_for_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is on all of a run's files together."""
    monkeypatch.setattr(again, "MOST_BYTES", 10)
    paths = [tmp_path / name for name in "abc"]
    for path, size in zip(paths, (6, 5, 4), strict=True):
        path.write_bytes(b"." * size)

    found = read_again([left(path)._replace(key=path) for path in paths], None)
    assert list(found) == [paths[0], paths[2]]
