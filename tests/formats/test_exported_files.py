"""Where an export goes: a file of the user's own, a link, a pipe."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from cmfd.cli.export.written import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    """A pipe is written to; as root, ``-o /dev/null`` would have put a file in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(b"said", pipe)
    reader.join()
    assert found == [b"said"]
    assert pipe.is_fifo()


def test_a_link_stays(tmp_path: Path) -> None:
    """What it leads to is replaced, with the rights that it had."""
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    write([b"ne", b"w"], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_others_cannot_write_what_lies_where_all_may(tmp_path: Path) -> None:
    """As in ``/tmp``: the umask counts, and not the directory's rights."""
    tmp_path.chmod(0o1777)
    write(b"said", tmp_path / "new" / "file")
    write(b"said", tmp_path / "file")
    for path in (tmp_path / "new" / "file", tmp_path / "file"):
        assert not path.stat().st_mode & stat.S_IWOTH


def test_half_an_export_is_none(tmp_path: Path) -> None:
    """What was there stays, and nothing lies beside it."""

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the rest cannot be read")

    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError, match="the rest"):
        write(parts(), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
