"""A module of cmfd's as a process of its own: for libraries that a program must not be given."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cmfd import python
from cmfd.forks import no_fork

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

_OF_THE_PROGRAM = ("LD_PRELOAD", "OMPI_", "PMIX_", "PMI_", "SLURM_")
"""The program's own preloads, and its MPI launch, are none of that process's business."""

_IDLE_S = 5.0
"""How long a process that nobody asks stays, should nobody end it."""


class Answer(NamedTuple):
    """How a module's `main` ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_module(module: str, *arguments: str) -> Answer:
    """
    Run a module to its end.

    Raises
    ------
    OSError
        It cannot be started.
    """
    with no_fork():
        import subprocess  # noqa: PLC0415 - off the caller's path

    done = subprocess.run(  # noqa: S603 - our own module
        python.module(module, *arguments), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, env=_environ(), check=False,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)


def _environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(_OF_THE_PROGRAM)}


class _Helper:
    """A process that runs a module's `main` again and again: most of the time goes to its start."""

    def __init__(self, module: str) -> None:
        with no_fork():
            import subprocess  # noqa: PLC0415 - as above

        self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 - our own module
            python.module(__name__, module), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_environ(),
        )  # fmt: skip

    def ask(self, arguments: Sequence[str]) -> Answer | None:
        """Return what it says; None where it is no more."""
        assert self._process.stdin is not None, "it is a pipe"
        assert self._process.stdout is not None, "as this one"
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
            with suppress(ValueError):  # half a line, of one that was killed
                return Answer(*json.loads(self._process.stdout.readline()))
        return None

    def end(self) -> None:
        """Have it end, which it does at once."""
        with suppress(BrokenPipeError):
            self._process.communicate()


_lock = threading.Lock()
_helpers: dict[str, _Helper] = {}


def ask_module(module: str, *arguments: str) -> Answer:
    """
    Have a module run, in a process that is kept for the next time; see `end_helpers`.

    Raises
    ------
    OSError
        It cannot be started.
    """
    with _lock:
        helper = _helpers.get(module)
        if helper is not None:
            if answer := helper.ask(arguments):
                return answer
            helper.end()
        helper = _helpers[module] = _Helper(module)
        if answer := helper.ask(arguments):
            return answer
        _helpers.pop(module).end()
    return run_module(module, *arguments)  # which says what is wrong


def end_helpers() -> None:
    """End the processes that are kept."""
    with _lock:
        while _helpers:
            _helpers.popitem()[1].end()


def _after_fork() -> None:
    """In a forked child: they are its parent's, which may be asking."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _helpers.clear()


os.register_at_fork(after_in_child=_after_fork)


def main(arguments: Sequence[str]) -> int:
    """Run a module's `main` for each line of standard input, a list of arguments in JSON."""
    import select  # noqa: PLC0415 - for that process alone
    import signal  # noqa: PLC0415 - as above
    from contextlib import redirect_stderr, redirect_stdout  # noqa: PLC0415 - as above
    from importlib import import_module  # noqa: PLC0415 - as above
    from io import StringIO  # noqa: PLC0415 - as above

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the program's
    module = import_module(arguments[0])
    answers = sys.stdout
    while select.select([sys.stdin], [], [], _IDLE_S)[0] and (line := sys.stdin.readline()):
        with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()) as complained:
            code = module.main(json.loads(line))
        answers.write(json.dumps([code, said.getvalue(), complained.getvalue()]) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
