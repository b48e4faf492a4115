"""Verifying a site, making its index anew, and clearing up after crashes."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.mergers import digest_of, files_of
from support.packs import damage_pack, small_run, write_pack

from cmfd.errors import NotFoundError, SiteBusyError, StoreError
from cmfd.merge.batch import merge_site
from cmfd.merge.gc import gc
from cmfd.merge.index import open_database
from cmfd.merge.layout import open_site
from cmfd.merge.lock import merge_lock
from cmfd.merge.reindex import reindex
from cmfd.merge.verify import verify
from cmfd.store.connection import connect
from cmfd.store.pack import merged_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def packs(tmp_path: Path) -> list[Path]:
    return [write_pack(tmp_path / "packs", small_run(number)) for number in range(6)]


@pytest.fixture
def site(tmp_path: Path, packs: list[Path]) -> Path:
    merge_site(tmp_path / "site", packs)
    return tmp_path / "site"


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text("x")
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def test_a_site_as_it_must_be_verifies(site: Path) -> None:
    """All packs read, nothing found, nothing changed, deep or not."""
    files, told = files_of(site), []
    for deep in (False, True):
        report = verify(site, deep=deep, progress=lambda *done: told.append(done))
        assert (report.n_packs, report.problems) == (6, [])
        assert report.digest == digest_of(site)
    assert told[-1] == (6, 6)
    assert files_of(site) == files


def test_a_merger_that_was_killed_after_its_commit_left_all_well(
    site: Path, packs: list[Path]
) -> None:
    """A pack is in the index and still in the inbox: nothing is missing, and a merge goes on."""
    before = digest_of(site)
    merged_path(site, packs[2].stem).rename(site / "inbox" / packs[2].name)
    for deep in (False, True):
        assert verify(site, deep=deep).problems == []
    assert reindex(site) == []
    merge_site(site)
    assert digest_of(site) == before
    assert verify(site, deep=True).problems == []


def test_a_damaged_pack_is_found_and_can_be_replaced(site: Path, packs: list[Path]) -> None:
    """Moved away and merged again from where it came, it is whole."""
    kept = merged_path(site, packs[0].stem)
    damage_pack(kept, kept.read_bytes()[:-1] + b"?")
    (problem,) = verify(site).problems
    assert packs[0].name in problem
    assert "corrupt" in problem
    kept.unlink()
    (problem,) = verify(site).problems
    assert "their files are gone" in problem
    assert merge_site(site, packs).repeated == 6
    assert verify(site, deep=True).problems == []


def test_a_pack_that_was_put_there_by_hand_is_found_and_taken_in(
    site: Path, tmp_path: Path
) -> None:
    """As after a copy of files between sites."""
    extra = write_pack(tmp_path / "packs", small_run(7))
    kept = merged_path(site, extra.stem)
    kept.parent.mkdir(exist_ok=True)
    shutil.copy(extra, kept)
    (problem,) = verify(site).problems
    assert "cmfd site reindex" in problem
    reindex(site)
    assert verify(site, deep=True).problems == []


def test_an_index_that_says_something_else_than_its_packs_is_found(site: Path) -> None:
    """Only by building it a second time; building it anew repairs it."""
    before = digest_of(site)
    there = open_site(site)
    with closing(open_database(there) if there.database else connect(there.index)) as db:
        db.execute("UPDATE param SET rank = 7")
    assert verify(site).problems == []
    (problem,) = verify(site, deep=True).problems
    assert "cmfd site reindex" in problem
    reindex(site)
    assert digest_of(site) == before


@pytest.mark.sqlite
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "pages"])
def test_an_index_in_any_state_is_found_and_made_anew(site: Path, damage: str) -> None:
    """Packs are the truth."""
    index, before = site / "index.db", digest_of(site)
    data = index.read_bytes()
    if damage == "missing":
        index.unlink()
    else:
        index.write_bytes(
            {"empty": b"", "garbage": b"?" * 9999, "pages": data[:4096] + b"?" * len(data[4096:])}[
                damage
            ]
        )
    assert verify(site).problems
    assert reindex(site) == []
    assert digest_of(site) == before
    assert verify(site, deep=True).problems == []
    assert "index.db" in files_of(site)
    assert not any(name.startswith("index-new") for name in files_of(site))


@pytest.mark.sqlite
def test_a_reader_keeps_what_it_reads_while_the_index_is_made_anew(site: Path) -> None:
    """Before and after, it is the same file, and a whole one."""
    with closing(connect(site / "index.db", readonly=True)) as reader:
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (6,)
        reindex(site)
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (6,)


def test_a_new_index_does_not_silently_lack_what_the_old_one_had(
    site: Path, packs: list[Path]
) -> None:
    """A pack whose file is gone is only in the old one."""
    merged_path(site, packs[0].stem).unlink()
    before = digest_of(site)
    with pytest.raises(StoreError, match="--force"):
        reindex(site)
    assert digest_of(site) == before
    reindex(site, force=True)
    assert digest_of(site) != before
    merge_site(site, packs)
    assert digest_of(site) == before


def test_a_damaged_pack_is_left_out_of_a_new_index_and_named(site: Path, packs: list[Path]) -> None:
    """And stays where it is."""
    kept = merged_path(site, packs[0].stem)
    damage_pack(kept, b"?")
    ((path, reason),) = reindex(site)
    assert path == kept
    assert reason.startswith("truncated")
    assert kept.exists()


def test_upkeep_keeps_out_of_a_mergers_way(site: Path) -> None:
    """What would disturb it says who merges; what only reads goes on."""
    with merge_lock(site / "merge.lock"):
        with pytest.raises(SiteBusyError):
            reindex(site)
        with pytest.raises(SiteBusyError):
            verify(site, deep=True)
        assert verify(site).problems == []


def test_leftovers_are_not_removed_from_under_a_merger(site: Path) -> None:
    """It writes why it puts a pack into quarantine before it puts it there."""
    old = aged(site / "quarantine" / f"{'1' * 64}.db.reason.txt", 40)
    with merge_lock(site / "merge.lock"):
        with pytest.raises(SiteBusyError):
            gc(site, remove=True)
        assert gc(site).leftovers
    assert old.exists()


def test_files_that_vanish_while_they_are_looked_at_are_no_error(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merger renames what it has copied, and another clean-up removes the rest."""
    old = aged(site / "quarantine" / "partial-1", 2)
    gone = aged(site / "quarantine" / "partial-2", 2)
    listed = sorted(site.glob("quarantine/*"))
    gone.unlink()

    def glob(path: Path, _pattern: str) -> Iterator[Path]:
        return iter(listed if path == old.parent else ())

    monkeypatch.setattr(type(site), "glob", glob)

    assert {leftover.path for leftover in gc(site).leftovers} == {old}


def test_upkeep_needs_a_site(tmp_path: Path) -> None:
    """And makes none."""
    for work in (verify, reindex, gc):
        with pytest.raises(NotFoundError):
            work(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_leftovers_are_told_first_and_removed_when_asked(site: Path, packs: list[Path]) -> None:
    """Old ones only; nothing that is merged, waits or is not cmfd's."""
    old = [
        aged(site / "inbox" / "partial-1", 2),
        aged(site / "quarantine" / "partial-2", 2),
        aged(site / "index-new-1.db", 2),
        aged(site / ".site.toml-1", 2),
        aged(site / ".remotes.toml-1", 2),
        aged(site / "remotes" / ".hub.json-1", 2),
        aged(site / "signatures" / "aa" / ".a.sig-1", 2),
        aged(site / "quarantine" / f"{'1' * 64}.db", 40),
        aged(site / "quarantine" / f"{'1' * 64}.db.reason.txt", 40),
        aged(site / "quarantine" / f"{'2' * 64}.db.reason.txt", 40),
        aged(site / "quarantine" / packs[0].name, 0),
        aged(site / "incoming" / f"{packs[0].stem}.part", 2),
        aged(site / "incoming" / f"{'5' * 64}-00ff.part", 2),
        aged(site / "incoming" / f"{'5' * 64}.part", 40),
    ]
    kept = [
        aged(site / "inbox" / "partial-3", 0),
        aged(site / "incoming" / f"{'6' * 64}.part", 2),
        aged(site / "incoming" / f"{'6' * 64}-00ff.part", 0),
        aged(site / "inbox" / "notes", 99),
        aged(site / "remotes" / "hub.json", 99),
        aged(site / "signatures" / "aa" / "a.sig", 99),
        aged(site / "inbox" / f"{'3' * 64}.db", 99),
        aged(site / "quarantine" / f"{'4' * 64}.db", 40),
        aged(site / "quarantine" / f"{'4' * 64}.db.reason.txt", 20),
    ]
    told = gc(site)
    assert {leftover.path for leftover in told.leftovers} == set(old)
    assert all(leftover.reason for leftover in told.leftovers)
    assert told.strangers == [site / "inbox" / "notes"]
    assert all(path.exists() for path in old + kept)
    removed = gc(site, remove=True)
    assert removed.leftovers == told.leftovers
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)
    assert gc(site).leftovers == []
    assert verify(site).problems == []
