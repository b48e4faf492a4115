"""Merging into a site: whatever it is given, all of it once, and the rest told."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.journals import EXECUTION, RUN, T0_NS, Journal
from support.mergers import digest_of, files_of
from support.oracle import connection_to, rows_of, union
from support.packs import small_run, write_pack

from cmfd.errors import CmfdError, ConfigError, NotFoundError, StoreError
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site, open_site
from cmfd.store.node import NodeStore
from cmfd.store.pack import merged_path, publish
from cmfd.wire.messages import (
    ExecutionBegin,
    ProcessBegin,
    ProcessState,
    RunBegin,
    Series,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def packs(tmp_path: Path) -> list[Path]:
    return [write_pack(tmp_path / "packs", small_run(number)) for number in range(10)]


def select(site: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(connection_to(site / "index.db")) as db:
        return db.execute(query).fetchall()


def test_packs_of_a_directory_are_merged_and_kept_by_their_names(
    site: Path, tmp_path: Path, packs: list[Path]
) -> None:
    """The sources are left as they are; the site has each pack once, and nothing else."""
    report = merge_site(site, [tmp_path / "packs"])
    assert (report.absorbed, report.repeated, report.left_in_inbox) == (10, 0, 0)
    assert all(pack.exists() for pack in packs)
    assert files_of(site) - {"index.db"} == {
        "merge.lock", "site.toml",
        *(f"packs/{pack.name[:2]}/{pack.name}" for pack in packs),
    }  # fmt: skip
    assert rows_of(site / "index.db") == union(small_run(number) for number in range(10))


def test_merging_again_changes_nothing(site: Path, tmp_path: Path, packs: list[Path]) -> None:
    """Neither of the same sources, nor of the site itself."""
    merge_site(site, packs)
    before, files = digest_of(site), files_of(site)
    for sources in (packs, [tmp_path / "packs"], [site]):
        report = merge_site(site, sources)
        assert (report.absorbed, report.repeated) == (0, 10)
    assert (digest_of(site), files_of(site)) == (before, files)


def test_a_pack_by_any_name_is_merged_under_its_own(
    site: Path, tmp_path: Path, packs: list[Path]
) -> None:
    """A name that claims nothing is no reason to refuse it."""
    renamed = tmp_path / "from a colleague"
    shutil.copy(packs[0], renamed)
    assert merge_site(site, [renamed]).absorbed == 1
    assert merged_path(site, packs[0].stem).exists()


def test_what_waits_in_the_inbox_is_merged_without_being_named(
    site: Path, packs: list[Path]
) -> None:
    """And what is still being written there is left alone."""
    for pack in packs:
        publish(pack, site)
    partial = site / "inbox" / "partial-0123"
    shutil.copy(packs[0], partial)
    (site / "inbox" / "README").write_text("hands off")
    assert merge_site(site).absorbed == 10
    assert sorted(path.name for path in (site / "inbox").iterdir()) == ["README", "partial-0123"]


def test_a_site_takes_all_packs_of_another(site: Path, tmp_path: Path, packs: list[Path]) -> None:
    """Merged or waiting there; its quarantine is not passed on."""
    other = tmp_path / "other"
    merge_site(other, packs[:5])
    for pack in packs[5:]:
        publish(pack, other)
    (other / "quarantine").mkdir()
    (other / "quarantine" / f"{'0' * 64}.db").write_text("bad")
    assert merge_site(site, [other]).absorbed == 10
    merge_site(other)
    assert digest_of(site) == digest_of(other)


def test_a_pack_that_was_absorbed_by_a_merger_that_died_is_put_away(
    site: Path, packs: list[Path]
) -> None:
    """It died between its commit and the rename: the ledger knows, the file still waits."""
    merge_site(site, packs[:1])
    kept = merged_path(site, packs[0].stem)
    kept.rename(site / "inbox" / kept.name)
    report = merge_site(site)
    assert (report.absorbed, report.repeated) == (0, 1)
    assert kept.exists()
    shutil.copy(kept, site / "inbox")
    assert merge_site(site).repeated == 1
    assert list((site / "inbox").iterdir()) == []


def test_progress_is_told_pack_by_pack(site: Path, packs: list[Path]) -> None:
    """Up to the number of packs, those that came in meanwhile included."""
    told: list[tuple[int, int]] = []

    def progress(n_done: int, n_known: int) -> None:
        told.append((n_done, n_known))
        if n_done == 1:
            publish(packs[9], site)

    assert merge_site(site, packs[:9], progress=progress).absorbed == 10
    assert [n_done for n_done, _ in told] == list(range(1, 11))
    assert told[0] == (1, 9)
    assert told[-1] == (10, 10)


def test_sources_with_nothing_in_them_are_an_error(site: Path, tmp_path: Path) -> None:
    """A path mistyped must not look like a merge done."""
    (tmp_path / "empty").mkdir()
    for source in ("missing", "empty"):
        with pytest.raises(NotFoundError, match="nothing was merged"):
            merge_site(site, [tmp_path / source])


@pytest.mark.sqlite
def test_a_lost_index_is_made_again_from_the_packs(site: Path, packs: list[Path]) -> None:
    """By any merge, even one with nothing to merge; so is one that a killed merger left empty."""
    merge_site(site, packs)
    before = digest_of(site)
    (site / "index.db").unlink()
    merge_site(site)
    assert digest_of(site) == before
    (site / "index.db").write_bytes(b"")
    merge_site(site, packs[:1])
    assert digest_of(site) == before


def test_a_path_that_cannot_be_a_site_is_an_error(tmp_path: Path, packs: list[Path]) -> None:
    """The packs are where they were."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make a site"):
        merge_site(tmp_path / "file", packs)
    assert all(pack.exists() for pack in packs)


def test_an_inbox_that_cannot_be_written_is_an_error(site: Path, packs: list[Path]) -> None:
    """The error says how to go on once it can."""
    init_site(site)
    (site / "inbox").write_text("in the way")
    with pytest.raises(StoreError, match="cmfd merge"):
        merge_site(site, packs)


def error_of_a_merge(site: Path, handicap: Callable[[], object]) -> str:
    """Merge in a process of its own that has a handicap; return the error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            handicap()
            merge_site(site)
        except CmfdError as error:
            os.write(writing, f"{type(error).__name__} {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def become_a_stranger() -> None:
    if os.geteuid() == 0:
        os.setuid(65534)


def run_out_of_space() -> None:
    """Let no file of this process grow beyond what an index without packs takes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


@pytest.mark.sqlite
def test_a_full_disk_is_a_clear_error(site: Path, tmp_path: Path) -> None:
    """Packs wait in the inbox; once there is space, nothing is missing."""
    content = small_run(1, n_ranks=50, n_chunks=30)
    pack = write_pack(tmp_path / "packs", content)
    merge_site(site)
    publish(pack, site)
    error = error_of_a_merge(site, run_out_of_space)
    assert error.startswith("StoreError cannot write the site index")
    assert "packs stay in the inbox" in error
    report = merge_site(site)
    assert (report.absorbed, report.left_in_inbox) == (1, 0)
    assert rows_of(site / "index.db") == union([content])


def test_a_site_that_cannot_be_written_is_a_clear_error(packs: list[Path]) -> None:
    """Who may not write it loses nothing: the packs wait for who may."""
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory, "site")
        merge_site(site, packs[:5])
        for pack in packs[5:]:
            publish(pack, site)
        (site / "merge.lock").chmod(0o444)
        Path(directory).chmod(0o755)
        site.chmod(0o555)
        error = error_of_a_merge(site, become_a_stranger)
        site.chmod(0o755)
        (site / "merge.lock").chmod(0o644)
        assert error.startswith("ConfigError cannot lock")
        assert "packs are kept" in error
        assert merge_site(site).absorbed == 5


def test_two_initialisations_make_one_site(site: Path) -> None:
    """The id stays what it was first."""
    first = init_site(site)
    assert init_site(site) == first == open_site(site)
    with pytest.raises(NotFoundError, match="cmfd site init"):
        open_site(site.parent)
    (site / "site.toml").write_text("id = 7")
    with pytest.raises(ConfigError, match=r"site\.toml"):
        open_site(site)


def journal(instance: int, *, rank: int = 0, n_values: int = 10) -> Journal:
    """Return the journal of a rank that was killed after its last value."""
    own = bytes([instance]) * 16
    written = Journal(instance=own, uid=os.getuid(), host=f"node{instance}").events(
        RunBegin(at_ns=T0_NS, run=RUN, cluster="c1", user="ann"),
        ExecutionBegin(at_ns=T0_NS, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
        ProcessBegin(at_ns=T0_NS, execution=EXECUTION, rank=rank, size=2, host=f"node{instance}"),
        Series(at_ns=T0_NS, id=1, execution=EXECUTION, name="loss"),
    )
    for step in range(n_values):
        written.point(1, 1.0 / (step + 1), step=step, at_ns=T0_NS + step)
    return written


def test_journals_of_a_run_that_had_no_daemon_are_merged(site: Path, tmp_path: Path) -> None:
    """Every value, and that the processes were lost; again and again, no more than once."""
    (node := tmp_path / "node").mkdir()
    for instance in (1, 2):
        journal(instance, rank=instance - 1).write(node / f"{instance}.cmfj")
    report = merge_site(site, [node])
    assert (report.absorbed, report.skipped) == (1, [])
    assert select(site, "SELECT status, cluster, n_processes FROM runs") == [("lost", "c1", 2)]
    assert select(site, "SELECT rank, n_values, last FROM metrics ORDER BY rank") == [
        (0, 10, 0.1),
        (1, 10, 0.1),
    ]
    before = digest_of(site)
    assert merge_site(site, [node]).repeated == 1
    merge_site(site, [node / "1.cmfj", node / "2.cmfj"])
    assert digest_of(site) == before


def test_journals_can_come_one_by_one(site: Path, tmp_path: Path) -> None:
    """Each from another node, in any order, gives what all at once give."""
    files = [
        journal(instance, rank=instance - 1).write(tmp_path / f"{instance}.cmfj")
        for instance in (1, 2)
    ]
    merge_site(site, files)
    for name, order in (("a", files), ("b", files[::-1])):
        for file in order:
            merge_site(tmp_path / name, [file])
        assert digest_of(tmp_path / name) == digest_of(site)


def test_a_journal_that_is_still_written_is_merged_so_far(site: Path, tmp_path: Path) -> None:
    """Its process holds the lock, so it is running and not lost; later its end is merged."""
    path = journal(1, n_values=5).write(tmp_path / "1.cmfj")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        merge_site(site, [path])
        assert select(site, "SELECT status FROM runs") == [("running",)]
    ended = journal(1, n_values=9).events(
        ProcessState(at_ns=T0_NS + 99, execution=EXECUTION, status="completed", exit_code=0)
    )
    ended.write(path)
    merge_site(site, [path])
    assert select(site, "SELECT status FROM runs") == [("completed",)]
    assert select(site, "SELECT n_values FROM metrics") == [(9,)]


def test_a_node_directory_is_merged_whole(site: Path, tmp_path: Path) -> None:
    """What its daemon had committed before it was killed, and the tail that it had not."""
    node = tmp_path / "node"
    (node / "journals").mkdir(parents=True)
    written = journal(1, n_values=20)
    with closing(NodeStore(node / "node.db")) as store:
        for block in written.blocks:
            store.append(
                [
                    written.slice(
                        block, 0, min(block.n_units, 7) if block.kind != 1 else block.n_units
                    )
                ]
            )
        store.commit()
    written.write(node / "journals" / "1.cmfj")
    merge_site(site, [node])
    assert select(site, "SELECT n_values, last_step FROM metrics") == [(20, 19)]
    assert select(site, "SELECT status FROM runs") == [("lost",)]


def test_what_a_daemon_published_elsewhere_is_still_merged_from_its_store(
    site: Path, tmp_path: Path
) -> None:
    """The site that is named need not be the one that earlier packs went to."""
    node = tmp_path / "node"
    node.mkdir()
    with closing(NodeStore(node / "node.db")) as store:
        store.append(journal(1).slices())
        store.commit()
        store.mark_sealed(RUN, 1, final=True, at_ns=T0_NS)
        store.commit()
        merge_site(site, [node])
    assert select(site, "SELECT n_values FROM metrics") == [(10,)]


def test_a_journal_that_cannot_be_read_does_not_stop_the_others(site: Path, tmp_path: Path) -> None:
    """It is named, with the reason, and left as it is."""
    journal(1).write(tmp_path / "1.cmfj")
    (tmp_path / "2.cmfj").write_bytes(b"no journal")
    report = merge_site(site, [tmp_path])
    assert report.absorbed == 1
    ((path, reason),) = report.skipped
    assert path.name == "2.cmfj"
    assert "not a cmfd journal" in reason
