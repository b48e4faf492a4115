"""
Reading packs that nobody here vouches for, in a process with little memory and time.

A pack from elsewhere may be made to hurt: a tree without an end, values that are not what they say,
rows that no index takes. `Inspector` has processes read packs, each whole and into a scratch index,
before anything else does. What is too much for one ends that process alone, and the pack is
refused.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.merge.inspected import TOO_MUCH_MEMORY, Asked, Said, Told, cpu_s
from cmfd.merge.reader import MODULE, Reader, new_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST = 4
"""So many packs are read at once."""

_WALL_S = 60
_WALLS = 10
"""On a machine that others use, CPU time may take so many times as long."""

_IN_MEMORY_BYTES = 1 << 27
"""An index of a pack that is larger lies in a file while it is tried."""


class Inspector:
    """
    Has packs read, by processes that are started when they are needed.

    Who hands packs over has one of them read at a time: a pack that takes as long as it may keeps
    those of others waiting only where as many such senders come together as there are processes.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of no process: they are children of that of which this is a copy."""
        self._idle: list[Reader] = []
        self._free = threading.BoundedSemaphore(_MOST)
        self._turns: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @property
    def pids(self) -> list[int]:
        """Which processes wait for something to read."""
        return [reader.pid for reader in self._idle]

    def start(self) -> None:
        """Have a process start, so that it is there when there is something to read."""
        with self._guard:
            if not self._idle:
                self._idle.append(new_reader(""))

    def inspect(
        self,
        pack: Path,
        digest: str,
        *,
        about: bool = False,
        who: str = "",
        within: Path | None = None,
    ) -> Said:
        """
        Read a pack.

        Parameters
        ----------
        pack : Path
            The file. It must not change meanwhile, nor afterwards.
        digest : str
            Its sha256.
        about : bool
            Also return whose it is, and what it speaks of.
        who : str
            Who hands it over, and has waited for what he handed over before.
        within : Path, optional
            A directory that it is below, as others are that come; the one that it is in, if not
            given. There, and of no other files but Python's own, its process may read.

        Raises
        ------
        PackError
            It is corrupt, truncated or foreign, or takes more memory or time than a pack of its
            size may; the message begins with which.
        SchemaTooNewError
            A newer cmfd wrote it.
        FileNotFoundError
            It is gone.
        StoreError
            It cannot be read now.
        """
        n_bytes = pack.stat().st_size
        with self._turn(who), self._free, _scratch(n_bytes) as scratch:
            asked = Asked(
                str(pack.absolute()),
                digest,
                str((within or pack.parent).absolute()),
                f"{scratch}/index.db" * bool(scratch),
                about,
            )
            told = self._ask(asked, n_bytes, scratch)
            if told is not None and (told.unreadable or told.reason == TOO_MUCH_MEMORY):
                # What earlier packs left in its memory is not the fault of this one; and where it
                # may read can be another directory by now, of the same name.
                self.close()
                told = self._ask(asked, n_bytes, scratch)
        if told is None:
            raise PackError("too much: it takes more memory or time than a pack of its size may")
        if told.too_new:
            raise SchemaTooNewError(told.reason)
        if told.unreadable:
            pack.stat()
            raise StoreError(f"cannot read {pack}: {told.reason}; it was left where it is")
        if told.said is None:
            raise PackError(told.reason)
        return told.said

    def _turn(self, who: str) -> threading.Lock:
        with self._guard:
            return self._turns.setdefault(who, threading.Lock())

    def _ask(self, asked: Asked, size_bytes: int, scratch: str) -> Told | None:
        """Return the answer; None if there is none, and then its process is no more."""
        reader = new_reader(scratch) if scratch else self._taken(asked.within)
        until_s = time.monotonic() + _WALL_S + _WALLS * cpu_s(size_bytes)
        is_whole = False
        try:
            answer = reader.ask(msgspec.json.encode(asked), until_s)
            told = msgspec.json.decode(answer, type=Told)
            is_whole = told.reason != TOO_MUCH_MEMORY
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            if reader.does_not_run():
                raise StoreError(
                    f"cannot read packs: {sys.executable} -m {MODULE} does not run; they were left"
                    " where they are. Look whether cmfd is installed for this Python"
                ) from error
            return None
        finally:
            self._put_back(reader, may_go_on=is_whole and not scratch)
        return told

    def _taken(self, within: str) -> Reader:
        """Return a process that may read below a directory."""
        with self._guard:
            for number, reader in enumerate(self._idle):
                if reader.within in ("", within):
                    reader.within = within
                    return self._idle.pop(number)
            if len(self._idle) >= _MOST:
                self._idle.pop(0).end()
        reader = new_reader("")
        reader.within = within
        return reader

    def _put_back(self, reader: Reader, *, may_go_on: bool) -> None:
        if may_go_on:
            with self._guard:
                self._idle.append(reader)
        else:
            reader.end()

    def close(self) -> None:
        """End the processes that read nothing now."""
        with self._guard:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.end()


shared = Inspector()
"""For all that this process reads."""
atexit.register(shared.close)
os.register_at_fork(after_in_child=shared.forget)


@contextmanager
def _scratch(n_bytes: int) -> Iterator[str]:
    """Give a directory for an index of a pack; it is gone afterwards, however its process ended."""
    if n_bytes <= _IN_MEMORY_BYTES:
        yield ""
        return
    import tempfile  # noqa: PLC0415 - hardly a pack is so large

    with tempfile.TemporaryDirectory(prefix="cmfd-inspect-") as directory:
        yield directory
