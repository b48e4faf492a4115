"""
A process that reads packs, started so that there is little in it to be had.

`started` runs a new Python with next to no environment. `forked` is a copy of this process, which
takes a few milliseconds instead of a hundred: for a command that is small, has one thread, and
never had a token or a password in its memory; of its environment, nothing is left in the copy.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cmfd.errors import StoreError

if TYPE_CHECKING:
    import subprocess

MODULE = "cmfd.merge.inspected"

_KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "LC_ALL", "LC_CTYPE", "LANG")
"""Without these, a Python of an environment module would not start, or not find cmfd."""

_SPEAK_WITH_SECRETS = ("http.client", "psycopg")
"""What has imported these may have told a server a token, or a database a password."""

_ENVIRONMENT = slice(47, 49)
"""Where a process has the environment that it was started with: of stat, what follows its name."""

_SMALL_BYTES = 1 << 28
"""A copy of a process that has more mapped would have too little left of what it may have."""

_ENDS_S = 1.0
_READ_BYTES = 1 << 16
_MOST_ANSWER_BYTES = 1 << 26


class Reader:
    """
    The process, and the pipes to it.

    Parameters
    ----------
    pid : int
        Which process.
    questions, answers : int
        Descriptors that it reads from, and that it writes to.
    process : subprocess.Popen, optional
        If it is a program that was started, and no copy.

    Attributes
    ----------
    within : str
        The only directory below which it may read packs; empty: it was asked of none so far.
    """

    def __init__(
        self,
        pid: int,
        questions: int,
        answers: int,
        process: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self.pid = pid
        self.within = ""
        self._questions = questions
        self._answers = answers
        self._process = process

    def ask(self, question: bytes, until_s: float) -> bytes:
        """
        Return the line that answers a line.

        Raises
        ------
        OSError, EOFError
            There is no answer by then, on the monotonic clock, or none any more.
        """
        left = memoryview(question + b"\n")
        while left:
            left = left[os.write(self._questions, left) :]
        line = bytearray()
        while not line.endswith(b"\n"):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([self._answers], [], [], left_s)[0]:
                raise EOFError("it takes too long")
            some = os.read(self._answers, _READ_BYTES)
            if not some or len(line) > _MOST_ANSWER_BYTES:
                raise EOFError("it has ended")
            line += some
        return bytes(line)

    def does_not_run(self) -> bool:
        """Say whether it ended of itself, and not by a signal, as limits end one."""
        if self._process is None:
            return False
        from subprocess import TimeoutExpired  # noqa: PLC0415 - imported if there is such a process

        try:
            return self._process.wait(_ENDS_S) > 0
        except TimeoutExpired:
            return False

    def end(self) -> None:
        """End it."""
        for descriptor in (self._questions, self._answers):
            os.close(descriptor)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            return
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def new_reader(scratch: str) -> Reader:
    """
    Start one.

    Parameters
    ----------
    scratch : str
        The only directory that it may write in; empty: none.

    Raises
    ------
    StoreError
        It cannot be started.
    """
    try:
        return forked(scratch) if _may_fork() else started(scratch)
    except OSError as error:
        raise StoreError(
            f"cannot start a process to read packs with: {error}; they were left where they are"
        ) from error


def started(scratch: str) -> Reader:
    """Start a Python of its own."""
    import subprocess  # noqa: PLC0415 - a copy does without

    its_questions, questions = os.pipe()
    answers, its_answers = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", MODULE, scratch], cwd="/",
            stdin=its_questions, stdout=its_answers, stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
        )  # fmt: skip
    except BaseException:
        os.close(questions)
        os.close(answers)
        raise
    finally:
        os.close(its_questions)
        os.close(its_answers)
    return Reader(process.pid, questions, answers, process)


def forked(scratch: str) -> Reader:
    """Start a copy of this process."""
    its_questions, questions = os.pipe()
    answers, its_answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_a_reader(its_questions, its_answers, scratch)
    os.close(its_questions)
    os.close(its_answers)
    return Reader(pid, questions, answers)


def _be_a_reader(questions: int, answers: int, scratch: str) -> NoReturn:
    """Read packs, and never go on with what this process is a copy of."""
    try:
        # What it has open is not to be closed in good order, but not to be there.
        gc.disable()
        gc.freeze()
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_DFL)
        _forget_environment()
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for source, target in ((questions, 0), (answers, 1), (nothing, 2)):
            os.dup2(source, target)
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names will do
            if int(name) > 2:
                with suppress(OSError):
                    os.close(int(name))
        from cmfd.merge.inspected import serve  # noqa: PLC0415 - imported before, most likely

        with open(0, "rb") as said, open(1, "wb") as told:
            serve(said, told, scratch)
    finally:
        os._exit(0)


def _forget_environment() -> None:
    """Overwrite all that this process has of its environment: there may be passwords in it."""
    import ctypes  # noqa: PLC0415 - a process that gives up rights needs it anyway

    said = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    begin, end = map(int, said[_ENVIRONMENT])
    values = [one for one in os.environb.values() if len(one) > 1]  # shorter ones are everybody's
    os.environ.clear()
    ctypes.memset(begin, 0, end - begin)
    for value in values:
        # Where CPython keeps the bytes of a bytes object: at its end, with a zero behind them.
        ctypes.memset(id(value) + bytes.__basicsize__ - 1, 0, len(value))


def _may_fork() -> bool:
    """Say whether this process is small, knows no secret, and a copy would miss no thread of it."""
    if any(name in sys.modules for name in _SPEAK_WITH_SECRETS):
        return False
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        return len(os.listdir("/proc/self/task")) == 1 and (  # noqa: PTH208 - names will do
            pages * os.sysconf("SC_PAGE_SIZE") < _SMALL_BYTES
        )
    except (OSError, ValueError):
        return False
