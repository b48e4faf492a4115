"""Packs that cannot be merged go to quarantine with a reason, and the merge goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.oracle import rows_of, union
from support.packs import small_run, write_pack

from cmfd.errors import PackError
from cmfd.merge.additions import add_rows
from cmfd.merge.batch import merge_site
from cmfd.merge.inbox import named_by
from cmfd.store.pack import sha256_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


def bad_packs(directory: Path) -> dict[str, Path]:
    """Make packs that are bad in one way each, by the word that the reason begins with."""
    corrupt = write_pack(directory, small_run(101))
    data = bytearray(corrupt.read_bytes())
    data[len(data) // 2] ^= 1
    corrupt.write_bytes(data)
    truncated = write_pack(directory, small_run(102))
    truncated.write_bytes(truncated.read_bytes()[:8192])
    foreign = write_pack(directory, small_run(103))
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END")
    new = write_pack(directory, small_run(104))
    with closing(sqlite3.connect(new)) as db:
        db.execute("PRAGMA user_version = 99")
    return {
        "corrupt": corrupt,
        "truncated": truncated,
        "foreign": foreign.rename(directory / f"{sha256_of(foreign)}.db"),
        "too new": new.rename(directory / f"{sha256_of(new)}.db"),
    }


def test_who_looks_into_an_inbox_is_kept_by_nothing_in_it(tmp_path: Path) -> None:
    """A pack says of which run it is; what is called a run may be rows without an end."""
    pack = write_pack(tmp_path, small_run(1))
    assert named_by(pack) is not None
    endless = tmp_path / f"{'a' * 64}.db"
    with closing(sqlite3.connect(endless)) as db:
        db.execute(
            "CREATE VIEW run AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
            " SELECT x AS run, x AS uid, x AS job, x AS restart FROM n WHERE x < 0"
        )
    assert named_by(endless) is None


def test_what_is_no_file_stops_nobody(site: Path) -> None:
    """A pipe without an end, links to nothing and to devices, a directory; whoever put it there."""
    good = write_pack(site / "inbox", small_run(1))
    os.mkfifo(site / "inbox" / f"{'a' * 64}.db")
    (site / "inbox" / f"{'b' * 64}.db").symlink_to("nowhere")
    (site / "inbox" / f"{'c' * 64}.db").symlink_to("/dev/zero")
    (site / "inbox" / f"{'d' * 64}.db").mkdir()
    report = merge_site(site)
    assert (report.absorbed, report.left_in_inbox, report.skipped) == (1, 0, [])
    assert all(reason.startswith("foreign") for _, reason in report.quarantined)
    assert len(report.quarantined) == 4
    assert not good.exists()


def test_what_a_link_leads_to_stays_private(site: Path, tmp_path: Path) -> None:
    """Whoever may write into an inbox may not have another's files opened to all by a merge."""
    private = tmp_path / "private"
    private.write_text("private")
    private.chmod(0o600)
    (site / "inbox").mkdir(parents=True)
    (site / "inbox" / f"{'a' * 64}.db").symlink_to(private)
    assert len(merge_site(site).quarantined) == 1
    assert private.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("by", ["source", "inbox"])
def test_bad_packs_are_put_aside_with_a_reason_and_the_good_are_merged(
    site: Path, tmp_path: Path, by: str
) -> None:
    """Wherever they were found; what was given from elsewhere stays there, too."""
    given = tmp_path / "given" if by == "source" else site / "inbox"
    good = [write_pack(given, small_run(number)) for number in (1, 2)]
    bad = bad_packs(given)
    report = merge_site(site, [given] if by == "source" else [])
    assert (report.absorbed, report.left_in_inbox, report.skipped) == (2, 0, [])
    assert rows_of(site / "index.db") == union([small_run(1), small_run(2)])
    reasons = {path.name: reason for path, reason in report.quarantined}
    assert len(reasons) == len(bad)
    for word, pack in bad.items():
        assert reasons[pack.name].startswith(word)
        kept = site / "quarantine" / pack.name
        assert kept.exists()
        told = (site / "quarantine" / f"{pack.name}.reason.txt").read_text()
        assert told.startswith(word)
        assert "cmfd merge" in told
        assert pack.exists() == (by == "source")
    assert len(list((site / "quarantine").iterdir())) == 2 * len(bad)
    assert all(pack.exists() == (by == "source") for pack in good)


def test_a_pack_from_quarantine_can_be_tried_again(site: Path, tmp_path: Path) -> None:
    """It is refused again while it is bad, and merged once it was replaced."""
    good = write_pack(tmp_path / "good", small_run(1))
    bad = tmp_path / good.name
    bad.write_bytes(good.read_bytes()[:-1])
    merge_site(site, [bad])
    aside = site / "quarantine" / good.name
    assert [path for path, _ in merge_site(site, [aside]).quarantined] == [aside]
    shutil.copy(good, aside)
    assert merge_site(site, [aside]).absorbed == 1


def test_one_row_that_only_the_index_refuses_does_not_stop_the_others(
    site: Path, tmp_path: Path
) -> None:
    """Its whole pack is put aside; those of the same transaction are merged."""
    chunk = (*small_run(9)["chunk"][0][:9], "no number", *small_run(9)["chunk"][0][10:])
    packs = [write_pack(tmp_path / "packs", small_run(number)) for number in range(5)]
    bad = write_pack(tmp_path / "packs", small_run(9) | {"chunk": [chunk]})
    report = merge_site(site, [tmp_path / "packs"])
    assert report.absorbed == len(packs)
    assert [path.name for path, _ in report.quarantined] == [bad.name]
    assert rows_of(site / "index.db") == union(map(small_run, range(5)))


def test_something_that_is_no_pack_at_all_is_refused_by_name(site: Path, tmp_path: Path) -> None:
    """A file given by mistake is named, with what it is not."""
    (tmp_path / "notes.txt").write_text("not a pack")
    report = merge_site(site, [tmp_path / "notes.txt"])
    ((_, reason),) = report.quarantined
    assert reason == "foreign: it is no SQLite database"


def test_who_says_what_a_site_refuses_is_told(tmp_path: Path) -> None:
    """Rows that are said at the site itself are no exception; it goes on."""
    site = tmp_path / "site"
    with pytest.raises(PackError, match="quarantine"):
        add_rows(site, {"run_end": [(b"short", 1, b"o" * 16, "completed", None, None)]})
    add_rows(site, {"run_end": [(b"r" * 16, 1, b"o" * 16, "completed", None, None)]})
