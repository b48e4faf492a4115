"""Removing a node directory in which there is nothing that is not published."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from cmfd.daemon.lock import LOCK_NAME
from cmfd.daemon.options import LEDGER_USED_NS
from cmfd.errors import CmfdError
from cmfd.store.connection import connect, named
from cmfd.wire.endpoint import socket_path
from cmfd.wire.journal import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.config import Settings
    from cmfd.model import Id

_JOURNALS, _STEPS = "journals", "steps"
_HASHES = "hashes"
"""Beside journals: what is remembered of files, which is found out again if need be."""
_REST = (
    *(f"node.db{end}" for end in ("", "-wal", "-shm")), "packs-tmp", "python",
    "daemon.log", "daemon.log.1", "deliver.lock", LOCK_NAME,
)  # fmt: skip
"""What is in a node directory beside journals and steps."""


def has_anything(settings: Settings) -> bool:
    """Tell whether there is a store or a journal: else those who were here have left nothing."""
    return (settings.node_dir / "node.db").exists() or any(journals_in(settings))


def journals_in(settings: Settings) -> Iterator[Path]:
    """Yield the journals of this user's that are there."""
    return settings.own_journal_dir.glob(f"*{SUFFIX}")


def clear(node_dir: Path) -> None:
    """
    Remove a node directory, unless it holds something that is needed.

    A process that is just making its journal keeps the directory, or makes it again.

    Parameters
    ----------
    node_dir : Path
        Whoever calls this holds its `Lock`, so that no daemon begins meanwhile.
    """
    with suppress(OSError, sqlite3.Error, CmfdError):
        if (node_dir / "node.db").exists():
            with closing(connect(node_dir / "node.db", readonly=True)) as db:
                used = {"since_ns": time.time_ns() - LEDGER_USED_NS}
                ledger = db.execute(named("node/queries")["unsealed_ledger"], used).fetchall()
            if ledger or unsealed_runs(node_dir):
                return
        if any(path.name != _HASHES for path in _in(node_dir / _JOURNALS)):
            return
        shutil.rmtree(node_dir / _JOURNALS / _HASHES, ignore_errors=True)
        forget_steps(node_dir)
        for name in (_STEPS, _JOURNALS):  # not if there is something in them
            with suppress(FileNotFoundError):
                (node_dir / name).rmdir()
        socket_path(node_dir).unlink(missing_ok=True)  # of a daemon that was killed
        for path in (node_dir / name for name in _REST):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        node_dir.rmdir()


def unsealed_runs(node_dir: Path) -> dict[Id, bool]:
    """
    Return the runs that the store of a node directory is not done with.

    Returns
    -------
    dict
        Of each, whether something of it was not published; else it has only not ended.

    Raises
    ------
    CmfdError
        The store cannot be read.
    """
    with closing(connect(node_dir / "node.db", readonly=True)) as db:
        rows = db.execute(named("node/queries")["unsealed_runs"]).fetchall()
    return {run: bool(is_new) for run, *_, is_new in rows}


def _in(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def forget_steps(node_dir: Path) -> None:
    """
    Remove what tasks locked while they ran; one that is locked belongs to those who run.

    A task that ends lets go of its lock for a moment, to find out whether it was the last. It holds
    the directory meanwhile, so that nobody takes the lock for free: it delivers, and comes here
    itself.
    """
    with suppress(OSError), _held(node_dir / _STEPS):
        for path in _in(node_dir / _STEPS):
            with suppress(OSError):
                _unlink_if_free(path)


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _unlink_if_free(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)
