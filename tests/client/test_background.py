"""Work beside the program: how long its end is waited for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cmfd.client import background
from cmfd.client.background import Background
from cmfd.content.files import CHUNK_BYTES, hash_path, progress

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


def test_a_signal_handler_may_have_work_done_while_the_thread_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one does that names the checkpoint which it has just written."""
    work = Background()
    done: list[str] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "cmfd-work":
            work.submit(lambda: done.append("handler"))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    program = threading.Thread(
        target=work.submit, args=(lambda: done.append("program"),), daemon=True
    )
    program.start()
    program.join(60)
    assert work.wait(60)
    assert done == ["handler", "program"]


def test_what_fails_while_there_is_nothing_to_do_ends_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A helper process that cannot be ended keeps no later file from being read."""
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise AttributeError("partially initialized module")

    monkeypatch.setattr(background, "IDLE_S", 0.01)
    work = Background(fail)
    work.submit(lambda: None)
    assert failed.wait(60)
    work.submit(lambda: None)
    assert work.wait(60)
