"""Work beside the program: how long its end is waited for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cmfd.client.background import Background
from cmfd.content.files import CHUNK_BYTES, hash_path, progress

if TYPE_CHECKING:
    from pathlib import Path


def test_what_comes_on_is_waited_for() -> None:
    """A large file on a busy machine takes longer than any one of its parts."""
    over = threading.Event()
    looks = iter(range(100))

    def look() -> int:
        n = next(looks)
        if n == 5:
            over.set()
        return n

    work = Background()
    work.submit(over.wait)
    assert work.wait(0.01, most_s=60, progress=look)


def test_what_stands_still_is_not_waited_for() -> None:
    """A file system that is away; nor is anything for ever."""
    over = threading.Event()
    work = Background()
    work.submit(over.wait)
    assert not work.wait(0.01, most_s=60, progress=lambda: 1)
    assert not work.wait(0.01, progress=iter(range(100)).__next__)
    over.set()
    assert work.wait(60)


def test_reading_a_file_is_seen_to_come_on(tmp_path: Path) -> None:
    """By the number of bytes, while it goes on."""
    path = tmp_path / "large"
    path.write_bytes(bytes(2 * CHUNK_BYTES))
    before = progress.n_bytes
    hash_path(path)
    assert progress.n_bytes - before == 2 * CHUNK_BYTES
