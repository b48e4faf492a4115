"""Starting the node's daemon for this user when none runs."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from cmfd import python
from cmfd.config import ensure_node_dir

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.config import Settings


_OF_THIS_RUN = frozenset((
    "CMFD_RUN", "CMFD_EXECUTION", "CMFD_PIPELINE", "CMFD_STAGE", "CMFD_SITE", "CMFD_AUTO_IO",
))  # fmt: skip


def daemon_runs(node_dir: Path) -> bool:
    """Tell whether a daemon holds the node directory's lock."""
    try:
        fd = os.open(node_dir / "daemon.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def ensure_daemon(settings: Settings) -> bool:
    """
    Start a daemon for what was logged, unless one runs or is a node's service; do not wait for it.

    Many processes may do so at once: the daemon's own lock lets one of them
    live. It detaches itself, and ends when it has been idle.

    Returns
    -------
    bool
        Whether one was started.
    """
    if settings.system or not settings.node_dir.exists():  # all was delivered meanwhile
        return False
    ensure_node_dir(settings.node_dir)
    if daemon_runs(settings.node_dir):
        return False
    inherited = {k: v for k, v in os.environ.items() if k not in _OF_THIS_RUN}
    environ = {**inherited, "CMFD_NODE_DIR": str(settings.node_dir)}
    command = python.module("cmfd", "daemon", "--detach", "--if-needed")
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        # the daemon must not hold this program's terminal, pipes or files open
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        pid = os.posix_spawn(sys.executable, command, environ, file_actions=actions)
    finally:
        os.close(null)
    with suppress(ChildProcessError):  # a program may reap every child itself
        os.waitpid(pid, 0)  # it forks itself away at once
    return True
