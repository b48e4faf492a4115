"""A node directory that is cleared, where all that was in it is published."""

from __future__ import annotations

import fcntl
import shutil
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.energy import a_row
from support.journals import EXECUTION, RUN, T0_NS, Journal

from cmfd.config import Settings
from cmfd.daemon import main
from cmfd.daemon.clearing import clear
from cmfd.daemon.lock import Lock
from cmfd.store.energy import Measured
from cmfd.store.node import NodeStore
from cmfd.wire.messages import ExecutionBegin, RunBegin

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def node_dir(tmp_path: Path) -> Path:
    """Return a node directory as a daemon leaves it, after programs that read large files."""
    path = tmp_path / "node"
    (path / "journals" / "hashes").mkdir(parents=True)
    (path / "journals" / "hashes" / ("ab" * 32)).touch()
    (path / "packs-tmp").mkdir()
    (path / "steps").mkdir()
    (path / "daemon.lock").touch()
    NodeStore(path / "node.db").close()
    return path


def test_nothing_stays(node_dir: Path) -> None:
    """Not even what was remembered of files."""
    clear(node_dir)

    assert not node_dir.exists()


@pytest.mark.parametrize("kept", ["journals/" + "cd" * 16 + ".cmfj", "steps/1.slurm-0"])
def test_what_a_process_needs_keeps_all(node_dir: Path, kept: str) -> None:
    """Whoever has a journal has what is remembered, and whoever is in a step its lock."""
    with (node_dir / kept).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        clear(node_dir)

    assert (node_dir / kept).exists()
    assert (node_dir / "node.db").exists()


def test_a_step_whose_tasks_were_all_killed_keeps_nothing(node_dir: Path) -> None:
    """Nobody was left to remove what they had locked."""
    (node_dir / "steps" / "1.slurm-0").touch()
    clear(node_dir)

    assert not node_dir.exists()


def test_what_is_not_published_keeps_all(node_dir: Path) -> None:
    """It is in the store alone."""
    store = NodeStore(node_dir / "node.db")
    journal = Journal(b"\x01" * 16)
    journal.events(
        RunBegin(at_ns=T0_NS, run=RUN),
        ExecutionBegin(at_ns=T0_NS, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
    )
    store.append(journal.slices())
    store.commit()
    store.close()
    clear(node_dir)

    assert (node_dir / "node.db").exists()
    assert (node_dir / "journals" / "hashes").exists()


def test_who_waited_for_a_lock_that_was_cleared_away_has_the_new_one(
    node_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or there would be two daemons, one of which nobody finds."""
    before = Lock(node_dir)

    def clear_it(_seconds: float) -> None:
        (node_dir / "daemon.lock").unlink(missing_ok=True)
        before.close()

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(time, "sleep", clear_it)
        lock = Lock(node_dir)
    with closing(lock):
        assert lock.is_mine


def test_a_daemon_whose_directory_is_cleared_as_it_starts_makes_it_again(
    node_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started for a job that comes; the one that goes clears away."""
    prepare = main._prepare

    def prepare_and_clear(settings: Settings) -> None:
        monkeypatch.setattr(main, "_prepare", prepare)
        prepare(settings)
        shutil.rmtree(node_dir)

    node_dir.chmod(0o700)
    monkeypatch.setattr(main, "_prepare", prepare_and_clear)
    with closing(main._prepare_and_lock(Settings(node_dir=node_dir))) as lock:
        assert lock.is_mine


def test_energy_that_a_site_waits_for_keeps_all(node_dir: Path) -> None:
    """Where no run was published, or none of late, nobody waits for what was idle."""
    with closing(NodeStore(node_dir / "node.db")) as store:
        store.add_energy(Measured((a_row(owner="idle"),)))
        store.commit()
        store.mark_ledger_sealed("/site", 0, time.time_ns())
        store.mark_ledger_sealed("/long/ago", 0, 1)
        store.commit()
    clear(node_dir)
    assert (node_dir / "node.db").exists()

    with closing(NodeStore(node_dir / "node.db")) as store:
        store.mark_ledger_sealed("/site", 1, 0)
        store.commit()
    clear(node_dir)
    assert not node_dir.exists()
