"""
Reading packs that nobody here vouches for, in a process with little memory and time.

A pack from elsewhere may be made to hurt: a tree without an end, values that are not what they say,
rows that no index takes. `Inspector` has one process read all packs of an exchange or a merge, each
whole and into a scratch index, before anything else does. What is too much for it ends that process
alone, and the pack is refused.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.merge.inspected import TOO_MUCH_MEMORY, Asked, Said, Told, cpu_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODULE = "cmfd.merge.inspected"
_ENDS_S = 1.0
_WALL_S = 60
_WALLS = 10
"""On a machine that others use, CPU time may take so many times as long."""

_IN_MEMORY_BYTES = 1 << 27
"""An index of a pack that is larger lies in a file while it is tried."""

_READ_BYTES = 1 << 16
_MOST_ANSWER_BYTES = 1 << 26


class Inspector:
    """A process that reads packs; it is started when it is needed, and anew after it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Which process it is; None if there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Have the process start, so that it is there when there is something to read."""
        with self._starting:
            if self._process is None:
                self._process = _started()

    def inspect(self, pack: Path, digest: str, *, about: bool = False) -> Said:
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
        with self._turn, _scratch(n_bytes) as scratch:
            self.start()
            asked = Asked(str(pack.absolute()), digest, scratch, about)
            told = self._ask(asked, n_bytes)
            if told is not None and told.reason == TOO_MUCH_MEMORY:
                # What earlier packs left in its memory is not the fault of this one.
                self.close()
                self.start()
                told = self._ask(asked, n_bytes)
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

    def _ask(self, asked: Asked, size_bytes: int) -> Told | None:
        """Return the answer; None if there is none, and then there is no process any more."""
        assert self._process is not None
        assert self._process.stdin is not None
        until_s = time.monotonic() + _WALL_S + _WALLS * cpu_s(size_bytes)
        try:
            self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
            self._process.stdin.flush()
            return msgspec.json.decode(self._line(until_s), type=Told)
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            self._look_after(error)
            return None

    def _look_after(self, error: Exception) -> None:
        """Raise if the process ended of itself, and not by a signal, as limits end one."""
        assert self._process is not None
        code = 0
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_ENDS_S)
        self.close()
        if code > 0:
            raise StoreError(
                f"cannot read packs: {sys.executable} -m {_MODULE} does not run; they were left"
                " where they are. Look whether cmfd is installed for this Python"
            ) from error

    def _line(self, until_s: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        line = bytearray()
        while not line.endswith(b"\n"):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise EOFError("it takes too long")
            some = os.read(descriptor, _READ_BYTES)
            if not some or len(line) > _MOST_ANSWER_BYTES:
                raise EOFError("it has ended")
            line += some
        return bytes(line)

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _started() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", _MODULE], cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise StoreError(
            f"cannot start a process to read packs with: {error}; they were left where they are"
        ) from error


shared = Inspector()
"""For all that this process reads."""
atexit.register(shared.close)


@contextmanager
def _scratch(n_bytes: int) -> Iterator[str]:
    """Give a place for an index of a pack; it is gone afterwards, however its process ended."""
    if n_bytes <= _IN_MEMORY_BYTES:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="cmfd-inspect-") as directory:
        yield f"{directory}/index.db"
