"""Checks of this node: directory, file system, daemon, journals."""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from cmfd import config
from cmfd.cli.checks.finding import Finding
from cmfd.client.launch import daemon_runs
from cmfd.errors import CmfdError
from cmfd.filesystems import filesystem_of
from cmfd.report import units
from cmfd.wire.endpoint import is_trusted, listener, socket_path
from cmfd.wire.journal import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.config import Settings

_LOCAL_ADVICE = "Set CMFD_NODE_DIR to a directory of your own on this node's disk."
_LEAST_FREE_BYTES = 64 << 20


def check_node(settings: Settings) -> Iterator[Finding]:
    """Look at what this user has on this node."""
    yield _own_journals(settings) if settings.system else _directory(settings.node_dir)
    for name, path in _places(settings).items():
        yield _file_system(name, path)
        yield _space(name, path, settings.journal_limit_bytes)
    yield _socket(settings)
    yield _daemon(settings)
    yield _journals(settings)


def _places(settings: Settings) -> dict[str, Path]:
    """Return the directories that must be local, each file system's once."""
    places = {"node directory": settings.node_dir}
    if settings.journal_dir.parent != settings.node_dir:
        places["journal directory"] = settings.journal_dir
    return places


def _directory(path: Path) -> Finding:
    try:
        config.ensure_node_dir(path)
    except CmfdError as error:
        return Finding("node directory", "fail", str(error), _LOCAL_ADVICE)
    return Finding("node directory", "ok", f"{path} is yours alone")


def _own_journals(settings: Settings) -> Finding:
    """Look whether root has made what a node's service takes this user's journals from."""
    path = settings.own_journal_dir
    try:
        if path.stat().st_uid == os.getuid():
            return Finding("journal directory", "ok", f"{path} is yours, and the service's to read")
        what = f"{path} is not yours"
    except OSError as error:
        what = f"{path} cannot be used: {error}"
    advice = "It is made when your first job begins on this node; inside a job, tell who runs it."
    return Finding("journal directory", "warn", what, advice)


def _file_system(name: str, path: Path) -> Finding:
    check = f"{name}: file system"
    found = filesystem_of(path)
    where = f"{path} lies on {found.type} (mounted at {found.mount_point})"
    if found.is_network:
        return Finding(check, "fail", f"{where}, which other machines share", _LOCAL_ADVICE)
    if found.is_memory:
        what = f"{where}: what is not merged yet is gone when the node restarts"
        return Finding(check, "warn", what, _LOCAL_ADVICE)
    return Finding(check, "ok", where)


def _space(name: str, path: Path, journal_limit_bytes: int) -> Finding:
    check = f"{name}: space"
    existing = next(place for place in (path, *path.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    what = f"{units.size(free)} free"
    advice = "Free some space, or set CMFD_NODE_DIR to a larger disk."
    if free < _LEAST_FREE_BYTES:
        return Finding(check, "fail", what, advice)
    if free < journal_limit_bytes:
        what += f"; one process's journal may grow to {units.size(journal_limit_bytes)}"
        return Finding(check, "warn", what, advice)
    return Finding(check, "ok", what)


def _socket(settings: Settings) -> Finding:
    path = socket_path(settings.node_dir)
    found = listener(settings.node_dir)
    if found is None:
        left = path.exists()
        what = f"{path} was left by a daemon that is gone" if left else f"nobody listens at {path}"
        return Finding("socket", "ok", f"{what}; the next daemon makes it anew")
    if not is_trusted(found, settings.node_dir if settings.system else None):
        what = f"{path} belongs to user {found.uid}, who may want to read along"
        return Finding("socket", "fail", what, _LOCAL_ADVICE)
    return Finding("socket", "ok", f"process {found.pid} listens at {path}")


def _daemon(settings: Settings) -> Finding:
    runs, listens = daemon_runs(settings.node_dir), listener(settings.node_dir) is not None
    if runs and not listens:
        advice = f"If it stays so, see {settings.node_dir / 'daemon.log'} and end that process."
        return Finding("daemon", "warn", "one runs and does not listen (yet)", advice)
    if listens:
        return Finding("daemon", "ok", "one runs; see `cmfd status`")
    if settings.system:
        what = "the service of this node does not run; journals keep what is logged"
        return Finding("daemon", "warn", what, "Tell who runs this machine.")
    if settings.autostart:
        return Finding("daemon", "ok", "none runs; `cmfd run` and `cmfd.start()` start one")
    advice = "Start one with `cmfd daemon --detach`, or unset CMFD_AUTOSTART."
    return Finding("daemon", "warn", "none runs, and autostart is off", advice)


def _journals(settings: Settings) -> Finding:
    try:
        found = sorted(settings.own_journal_dir.glob(f"*{SUFFIX}"))
        dead = [path for path in found if not is_written(path)]
        waiting = units.size(sum(path.stat().st_size for path in dead))
    except OSError as error:  # one may go at any moment: say so, and be asked again
        advice = "Check its permissions, and ask again."
        return Finding("journals", "warn", f"cannot look at them: {error}", advice)
    what = f"{len(found) - len(dead)} of running processes, {len(dead)} of ended ones ({waiting})"
    if dead and not (daemon_runs(settings.node_dir) or listener(settings.node_dir)):
        advice = f"Start `cmfd daemon`, or merge them: cmfd merge {settings.own_journal_dir}"
        return Finding("journals", "warn", f"{what}, which no daemon takes", advice)
    return Finding("journals", "ok", what)


def is_written(journal: Path) -> bool:
    """Tell whether the process that writes a journal lives: it holds the file locked."""
    descriptor = os.open(journal, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
