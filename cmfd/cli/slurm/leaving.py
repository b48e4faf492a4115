"""What is done when a job leaves a node: its daemon ends, and nothing stays that nobody needs."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from cmfd.client.launch import daemon_runs
from cmfd.daemon.clearing import clear, has_anything
from cmfd.daemon.lock import Lock
from cmfd.errors import CmfdError, IncompleteError
from cmfd.wire.control import request
from cmfd.wire.endpoint import listener
from cmfd.wire.messages import StatusReply, StatusRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.config import Settings

_ENDS_S = 25.0
"""How long a daemon that was told to end may take."""

_SETTLES_S = 1.0
"""How long a daemon may take to notice that those who were with it have left."""

_TURN_NAME = "deliver.lock"


@contextmanager
def turn(node_dir: Path, timeout_s: float) -> Iterator[bool]:
    """
    Wait until nobody else delivers from a node directory: each ends the daemon that it used.

    Yields
    ------
    bool
        Whether the directory is there: if not, all that was in it was delivered.

    Raises
    ------
    IncompleteError
        Somebody still does after `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            descriptor = os.open(node_dir / _TURN_NAME, flags, 0o600)
        except FileNotFoundError:
            yield False
            return
        try:
            if _is_locked(descriptor, node_dir / _TURN_NAME):
                yield True
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > deadline_s:
            raise IncompleteError("another delivery is still at work")
        time.sleep(0.02)


def _is_locked(descriptor: int, path: Path) -> bool:
    """Lock a file, and tell whether it was possible and it is still the one of that name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False


def dismiss(settings: Settings) -> bool:
    """
    End a daemon that has nothing to do, and clear its directory if that is empty then.

    Where somebody wanted a daemon that is always there, it stays.

    Returns
    -------
    bool
        Whether that is all: False where it had been killed with something left, as it is together
        with the step that had started it.
    """
    return _end_idle(settings) or daemon_runs(settings.node_dir) or not has_anything(settings)


def _end_idle(settings: Settings) -> bool:
    """End it if it has nothing to do; tell whether it was told to end."""
    deadline_s = time.monotonic() + _SETTLES_S
    while (done := _has_done(settings)) is None:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    found = listener(settings.node_dir)
    # One of another PID namespace, that cannot be signalled from here, ends when it has been idle.
    if not done or found is None or found.pid <= 0 or found.uid != os.geteuid():
        return False
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    deadline_s = time.monotonic() + _ENDS_S
    while daemon_runs(settings.node_dir) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    with suppress(CmfdError, OSError), closing(Lock(settings.node_dir)):
        # It has not come to that itself: it was killed while it ended.
        from cmfd.daemon.energy_mark import marks_of  # noqa: PLC0415 - seldom, and reads in much
        from cmfd.energy.readings import boottime_ns  # noqa: PLC0415 - as above

        marks = marks_of(settings)
        clear(settings.node_dir)
        if not settings.node_dir.exists():
            marks.close(boottime_ns(), goes_on=False)
    return True


def _has_done(settings: Settings) -> bool | None:
    """Tell whether the daemon may end; None where it may be able to say so in a moment."""
    try:
        answer = request(settings.node_dir, StatusRequest(), _SETTLES_S)
    except CmfdError:
        return False
    if not isinstance(answer, StatusReply):
        return False
    document = msgspec.json.decode(answer.document, type=dict)
    if document["stays"] or document["problems"]:
        return False
    busy = document["clients"] or document["instances"] or document["runs"]
    return None if busy else True
