"""
Imports that no fork cuts in two.

A module that one thread is importing while another one forks stays half imported in the child, and
locked for ever: whoever imports it there hangs. A program may fork at any time, and does not know
what threads of cmfd's import beside it. So it is made to wait until they are done; though not for
long, since a file system may be away.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 10.0
"""How long a fork, or another import, waits at most."""

_importing = threading.RLock()


@contextmanager
def no_fork() -> Iterator[None]:
    """Keep this process from forking; for imports on threads of cmfd's."""
    lock = _importing
    taken = lock.acquire(timeout=PATIENCE_S)  # another import may hang
    try:
        yield
    finally:
        if taken:
            lock.release()


def _before() -> None:
    _importing.acquire(timeout=PATIENCE_S)


def _in_parent() -> None:
    with suppress(RuntimeError):  # another thread still has it: the fork did not wait any longer
        _importing.release()


def _in_child() -> None:
    global _importing  # noqa: PLW0603 - another thread may have held it
    _importing = threading.RLock()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
