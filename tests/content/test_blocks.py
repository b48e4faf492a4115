"""Copies that share their blocks with a known file are not read; nothing else is taken for one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.programs import program

from cmfd.content import cache
from cmfd.content.blocks import blocks_of
from cmfd.content.cache import WORTH_BYTES, identify
from cmfd.content.files import Hash, hash_path

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_BYTES = 120 << 20
"""Of a file system: Btrfs needs 109 MiB."""


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that shares blocks, in a file."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    image, place = tmp_path / "image", tmp_path / "volume"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    place.mkdir()
    subprocess.run([program("mkfs.btrfs", "btrfs-progs"), "-q", str(image)], check=True)
    done = subprocess.run(
        ["mount", "-o", "loop", str(image), str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this kernel mounts no Btrfs in a file here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what is read; content counts as old enough at once."""
    seen: list[str] = []

    def read(path: str) -> Hash:
        seen.append(Path(path).name)
        return hash_path(path)

    monkeypatch.setattr(cache, "hash_path", read)
    monkeypatch.setattr(cache, "RACY_NS", 0)
    return seen


def copy(path: Path, to: str) -> Path:
    subprocess.run(["cp", "--reflink=always", str(path), str(path.with_name(to))], check=True)
    return path.with_name(to)


def test_a_reflink_is_not_read_again(volume: Path, tmp_path: Path, reads: list[str]) -> None:
    """A copy of it, and a copy of that; a copy that has changed since is another file."""
    first = volume / "first"
    first.write_bytes(os.urandom(16 * WORTH_BYTES))
    known = identify(first, tmp_path / "hashes")
    second = copy(first, "second")
    third = copy(second, "third")
    changed = copy(first, "changed")
    with changed.open("r+b") as file:
        file.seek(5 * WORTH_BYTES)
        file.write(b"other")
    assert known == hash_path(first)
    assert [identify(one, tmp_path / "hashes") for one in (second, third)] == [known, known]
    assert reads == ["first"]
    assert identify(changed, tmp_path / "hashes") == hash_path(changed) != known
    assert reads == ["first", "changed"]


def test_blocks_lead_only_to_a_file_that_is_as_it_was(
    volume: Path, tmp_path: Path, reads: list[str]
) -> None:
    """Of one that is gone or was written to, the copy is read: blocks may be another's by now."""
    first = volume / "first"
    first.write_bytes(os.urandom(16 * WORTH_BYTES))
    known = identify(first, tmp_path / "hashes")
    second, third = copy(first, "second"), copy(first, "third")
    first.write_bytes(b"x" * WORTH_BYTES)
    assert identify(second, tmp_path / "hashes") == known
    assert reads == ["first", "second"]
    second.unlink()
    assert identify(third, tmp_path / "hashes") == known
    assert reads == ["first", "second", "third"]


def test_where_nothing_is_certain_nothing_is_said(tmp_path: Path) -> None:
    """Of what is missing or empty, or lies on no disk."""
    (tmp_path / "empty").touch()
    assert [blocks_of(str(tmp_path / name)) for name in ("missing", "empty")] == ["", ""]
    assert not blocks_of("/proc/self/status")
