"""One merger per site: the others say who it is, and leave it their packs."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from support.mergers import digest_of, files_of, index_files, python
from support.oracle import rows_of, union
from support.packs import small_run, write_pack

from cmfd.errors import SiteBusyError
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site
from cmfd.merge.lock import merge_lock

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from cmfd.merge.lock import merge_lock
with merge_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""

MERGE = """
import json, sys
from pathlib import Path
from msgspec.structs import asdict
from cmfd.merge.batch import merge_site
print("ready", flush=True)
sys.stdin.readline()
report = merge_site(Path(sys.argv[1]), [Path(pack) for pack in sys.argv[2:]])
print(json.dumps(asdict(report), default=str))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return init_site(tmp_path / "site").path


def test_late_comers_leave_their_packs_and_learn_who_merges(site: Path, tmp_path: Path) -> None:
    """They return at once; the packs are merged by whoever merges next."""
    pack = write_pack(tmp_path, small_run(1))
    with python(HOLD, site / "merge.lock") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        report = merge_site(site, [pack])
        assert (report.absorbed, report.left_in_inbox) == (0, 1)
        assert f"process {holder.pid}" in report.busy_holder
        assert socket.gethostname() in report.busy_holder
        holder.communicate("\n")
    report = merge_site(site)
    assert (report.absorbed, report.left_in_inbox, report.busy_holder) == (1, 0, "")
    assert (site / "merge.lock").read_text() == ""


def test_who_waits_merges_when_the_holder_is_done(site: Path, tmp_path: Path) -> None:
    """Instead of leaving its packs."""
    pack = write_pack(tmp_path, small_run(1))
    with python(HOLD, site / "merge.lock") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        reports = []
        waiting = threading.Thread(
            target=lambda: reports.append(merge_site(site, [pack], wait=True))
        )
        waiting.start()
        holder.communicate("\n")
        waiting.join()
    assert reports[0].absorbed == 1


def test_a_holder_that_was_killed_holds_nothing(site: Path, tmp_path: Path) -> None:
    """Its name may still be in the file, and keeps nobody out."""
    pack = write_pack(tmp_path, small_run(1))
    with python(HOLD, site / "merge.lock") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert str(holder.pid) in (site / "merge.lock").read_text()
    assert merge_site(site, [pack]).absorbed == 1


def test_threads_of_one_process_exclude_each_other(site: Path) -> None:
    """Although the kernel's lock is the process's; and being refused does not end the lock."""
    path = site / "merge.lock"
    with merge_lock(path):
        for _ in range(2):
            with pytest.raises(SiteBusyError, match=f"process {os.getpid()}"), merge_lock(path):
                raise AssertionError
        with python(HOLD, path) as other:
            assert other.communicate()[0] == ""
        assert other.returncode != 0
    with merge_lock(path):
        pass


@pytest.mark.slow
def test_twenty_mergers_at_once_merge_everything(site: Path, tmp_path: Path) -> None:
    """Each pack by one of them, and none of them fails or waits for the others."""
    numbers = range(100)
    packs = [write_pack(tmp_path / "packs", small_run(number)) for number in numbers]
    mergers = [python(MERGE, site, *packs[start : start + 5]) for start in numbers[::5]]
    for merger in mergers:
        assert merger.stdout is not None
        assert merger.stdout.readline() == "ready\n"
    for merger in mergers:
        assert merger.stdin is not None
        merger.stdin.write("\n")
        merger.stdin.flush()
    reports = [json.loads(merger.communicate()[0]) for merger in mergers]
    assert [merger.returncode for merger in mergers] == [0] * 20
    assert sum(report["absorbed"] for report in reports) == 100
    assert all(not report["skipped"] and not report["quarantined"] for report in reports)
    assert files_of(site) == {
        "merge.lock", "site.toml", *index_files(site),
        *(f"packs/{pack.name[:2]}/{pack.name}" for pack in packs),
    }  # fmt: skip
    assert rows_of(site / "index.db") == union(map(small_run, numbers))
    before = digest_of(site)
    merge_site(site, packs)
    assert digest_of(site) == before
