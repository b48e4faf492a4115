"""
Content that was named and not read: whoever named it was killed before that.

It is read after all, if it is still what was named: of the same size and time. That takes a while,
and what takes too long is left as it is. Nothing here may hold up who asks: a file system that
does not answer keeps a thread waiting, and no more.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from cmfd.content.cache import identify
from cmfd.content.files import Hash, states_below
from cmfd.content.inside import datasets_in
from cmfd.model import INSIDE

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

PATIENCE_S = 10.0
MOST_BYTES = 8 << 30
"""How long to read, and how much, for all that one run has left."""

_SETTLED_NS = 1_000_000_000
"""How much later than it was named a file below a directory may seem to be: clocks differ."""


class Left(NamedTuple):
    """Content as it was when it was named."""

    key: Hashable
    absolute: str
    size_bytes: int
    mtime_ns: int
    at_ns: int


class Found(NamedTuple):
    """What it is, and what it is part of or consists of: (whole, part, name)."""

    hash: Hash
    links: tuple[tuple[str, str, str], ...] = ()


def read_again(
    left: Sequence[Left], directory: str | os.PathLike[str] | None, patience_s: float = PATIENCE_S
) -> dict[Hashable, Found]:
    """
    Read content that nobody read.

    Parameters
    ----------
    left : sequence of Left
        What there is.
    directory : path-like or None
        Where known content is remembered; see `cmfd.content.cache`.
    patience_s : float
        How long to wait.

    Returns
    -------
    dict
        By key, what was read in time and had not changed.
    """
    if not left:
        return {}
    found: dict[Hashable, Found] = {}
    over = threading.Event()

    def work() -> None:
        room_bytes = MOST_BYTES
        for one in left:
            size_bytes = _size_if_unchanged(one)
            if over.is_set() or size_bytes is None or size_bytes > room_bytes:
                continue
            room_bytes -= size_bytes
            read = _read(one, directory)
            if read is not None and _size_if_unchanged(one) is not None and not over.is_set():
                found[one.key] = read

    thread = threading.Thread(target=work, name="cmfd-read", daemon=True)
    thread.start()
    thread.join(patience_s)
    over.set()
    return dict(found)


def _size_if_unchanged(one: Left) -> int | None:
    """Return how much there is to read; None if it is not what was named."""
    path = one.absolute.partition(INSIDE)[0] if not os.path.lexists(one.absolute) else one.absolute
    try:
        now = os.stat(path)  # noqa: PTH116 - as in files
        if (now.st_size, now.st_mtime_ns) != (one.size_bytes, one.mtime_ns):
            return None
        if not stat.S_ISDIR(now.st_mode):
            return now.st_size
        files = [state for _, state in states_below(path) if not stat.S_ISDIR(state.st_mode)]
    except OSError:
        return None
    if any(state.st_mtime_ns > one.at_ns + _SETTLED_NS for state in files):
        return None
    return sum(state.st_size for state in files)


def _read(one: Left, directory: str | os.PathLike[str] | None) -> Found | None:
    path, inside, name = one.absolute.partition(INSIDE)
    if not inside or os.path.lexists(one.absolute):
        found = identify(one.absolute, directory)
        return None if found.problem else Found(found)
    parts = datasets_in(path, [name], directory)
    whole = identify(path, directory)
    if isinstance(parts, str) or whole.problem:
        return None
    (part,) = parts
    links = [(part["digest"], item["digest"], item["name"]) for item in part["members"]]
    links.append((whole.digest, part["digest"], part["name"]))
    return Found(Hash(part["digest"], "", part["size_bytes"]), tuple(links))
