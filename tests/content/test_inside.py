"""Data sets of a file are read once on a node, as long as the file stays the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pytest

from cmfd.content import cache, process
from cmfd.content.hdf5 import hash_datasets
from cmfd.content.inside import datasets_in
from cmfd.content.process import ask_module

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the list of what other processes are asked for; files count as old at once."""
    seen: list[list[str]] = []

    def run(module: str, *arguments: str) -> Any:
        seen.append(list(arguments[1:]))
        return ask_module(module, *arguments)

    monkeypatch.setattr("cmfd.content.inside.ask_module", run)
    monkeypatch.setattr(cache, "RACY_NS", 0)
    return seen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an HDF5 file."""
    path = tmp_path / "event.h5"
    write(path, x=[1, 2], y=[3])
    return path


def write(path: Path, **values: list[int]) -> None:
    with h5py.File(path, "w") as file:
        for name, numbers in values.items():
            file[name] = numbers


def digests(path: Path, names: Sequence[str]) -> list[str]:
    found = datasets_in(str(path), names, path.parent / "hashes")
    assert not isinstance(found, str), found
    return [one["digest"] for one in found]


def test_only_what_was_not_asked_for_before_is_read(path: Path, reads: list[list[str]]) -> None:
    """In the order in which it is asked for, whatever is known."""
    right = {one.name: one.digest for one in hash_datasets(path, ["/x", "/y"])}
    assert digests(path, ["/x"]) == [right["/x"]]
    assert digests(path, ["/y", "/x"]) == [right["/y"], right["/x"]]
    assert digests(path, ["/x", "/y"]) == [right["/x"], right["/y"]]
    assert reads == [["/x"], ["/y"]]


def test_a_file_that_was_written_anew_is_read_again(path: Path, reads: list[list[str]]) -> None:
    """All of it, although some is the same: that is not known before."""
    before = digests(path, ["/x", "/y"])
    write(path, x=[1, 2], y=[4])
    after = digests(path, ["/x", "/y"])
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    assert len(reads) == 2


def test_what_cannot_be_read_is_said_and_not_remembered(path: Path, reads: list[list[str]]) -> None:
    """What is known of the file stays known."""
    known = digests(path, ["/x"])
    for _ in range(2):
        assert "/z" in str(datasets_in(str(path), ["/x", "/z"], path.parent / "hashes"))
    assert digests(path, ["/x"]) == known
    assert reads == [["/x"], ["/z"], ["/z"]]
    assert isinstance(datasets_in("/nowhere.h5", ["/x"], path.parent / "hashes"), str)


@pytest.mark.slow
def test_files_are_read_by_one_process_that_may_die(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, it is replaced; ended, it leaves nothing to wait for."""
    monkeypatch.setattr(cache, "RACY_NS", 0)
    other = path.with_name("other.h5")
    write(other, x=[9])
    right = [one.digest for one in hash_datasets(path, ["/x"])]
    process.end_helpers()
    others = children()  # of other tests, not waited for yet
    assert digests(path, ["/x"]) == right
    (helper,) = children(others)
    assert digests(other, ["/x"]) != right
    assert children(others) == [helper]
    os.kill(helper, signal.SIGKILL)
    assert digests(path, ["/y"]) != right
    assert children(others) not in ([helper], [])
    assert "no data set" in str(datasets_in(str(path), ["/z"], None))
    process.end_helpers()
    assert children(others) == []


def children(others: Sequence[int] = ()) -> list[int]:
    """Return this process's children without some."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in map(int, listed) if pid not in others]
