"""
Running a command as if nothing stood between it and whoever started it.

The command stays in this process's group, so that a terminal's signals reach it directly; all that
remains to be forwarded are those sent to this process alone. What tells them apart is their origin,
which only `sigwaitinfo` reports: the signals are blocked here, and taken one by one. In a job of
SLURM, which may signal all of its processes one by one, a `Bystander` tells.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from cmfd.cli.bystander import Bystander

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGCONT, signal.SIGTSTP,
)  # fmt: skip

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""What shells say of a command that could not be started."""

_SI_USER, _SI_TKILL = 0, -6
"""Origins of a signal that a process sent (kill, tgkill); others are the kernel's, as a ^C."""

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Ended(NamedTuple):
    """
    How a command ended, and what it and the descendants it waited for used.

    Linux counts as a process's greatest memory what it had before it became its program, too: no
    command shows less than this process has (about 20 MiB).
    """

    exit_code: int | None
    signal: int | None
    usage: resource.struct_rusage


class Taken(NamedTuple):
    """
    Signals that come here until they are forwarded.

    Attributes
    ----------
    blocked : set of Signals
        Those that were blocked before: what the command must be given.
    bystander : Bystander or None
        Tells which ones the command has heard anyway; None: those of its terminal.
    """

    blocked: set[signal.Signals]
    bystander: Bystander | None


def take_signals() -> Taken:
    """
    Block the signals to be forwarded, for this thread and those it starts from now on.

    To be called before anything is opened that a child should not hold on to.
    """
    # Were it ignored, as some programs leave it, the kernel would not say how a child ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _watched())
    return Taken({signal.Signals(one) for one in before}, _bystander())


def _bystander() -> Bystander | None:
    if not os.environ.get("SLURM_JOB_ID"):
        return None
    try:
        return Bystander(_watched() - {signal.SIGCHLD})
    except OSError:  # then a signal may come twice
        return None


def _watched() -> set[signal.Signals]:
    """Return what to wait for: not what is ignored (nohup), which the command ignores, too."""
    heard = {one for one in FORWARDED if signal.getsignal(one) is not signal.SIG_IGN}
    return heard | {signal.SIGCHLD}


def spawn(command: Sequence[str], environ: Mapping[str, str], blocked: set[signal.Signals]) -> int:
    """
    Start a command in this process group, with this process's files.

    Parameters
    ----------
    command : sequence of str
        The program, looked up in PATH as a shell does, and its arguments.
    environ : mapping
        Its environment.
    blocked : set of Signals
        As `take_signals` returned it.

    Returns
    -------
    int
        Its process id.

    Raises
    ------
    OSError
        It could not be started; nothing runs.
    """
    try:
        return _spawn(command, environ, blocked)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without "#!" line: every shell runs it as one of its own.
    script = command[0] if "/" in command[0] else _found(command[0]) or command[0]
    return _spawn(["/bin/sh", script, *command[1:]], environ, blocked)


def _spawn(command: Sequence[str], environ: Mapping[str, str], blocked: set[signal.Signals]) -> int:
    return os.posix_spawnp(
        command[0], [*command], environ, setsigmask=blocked, setsigdef=_IGNORED_BY_PYTHON
    )


def _found(program: str) -> str | None:
    import shutil  # noqa: PLC0415 - 10 ms that only a failure costs

    return shutil.which(program)


def not_started(error: OSError, program: str) -> Ended:
    """Return what a shell makes of a program that it cannot start."""
    # Of a script, it may be the interpreter that is missing.
    missing = isinstance(error, FileNotFoundError) and not _found(program)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Ended(NOT_FOUND if missing else NOT_EXECUTABLE, None, usage)


def supervise(pid: int, bystander: Bystander | None = None) -> Ended:
    """Wait for a command, and forward signals until it ends: what a bystander hears, it has."""
    watched = _watched()
    has_terminal = _has_terminal()
    while True:
        info = signal.sigwaitinfo(watched)
        if info.si_signo != signal.SIGCHLD:
            is_sent = info.si_code in (_SI_USER, _SI_TKILL) and info.si_pid != pid
            if is_sent and not (bystander and bystander.has_heard(info.si_signo)):
                with suppress(PermissionError):  # it became another user's, as sudo does
                    os.kill(pid, info.si_signo)
            continue
        done, status, usage = os.wait4(pid, os.WNOHANG | os.WUNTRACED)
        if done and os.WIFSTOPPED(status):
            if has_terminal:
                # The shell must see its job stopped; `fg` and `bg` continue both.
                os.kill(os.getpid(), signal.SIGSTOP)
        elif done:
            return _ended(status, usage)


def _ended(status: int, usage: resource.struct_rusage) -> Ended:
    if os.WIFSIGNALED(status):
        return Ended(None, os.WTERMSIG(status), usage)
    return Ended(os.WEXITSTATUS(status), None, usage)


def _has_terminal() -> bool:
    """Tell whether somebody may stop and continue this from a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def let_signals_interrupt() -> None:
    """
    Let SIGINT, SIGTERM and SIGHUP end as ^C does what is done after the command.

    What came until now was meant for the command, and is dropped: a job that is cancelled gets the
    same signal from many sides. The other signals stay blocked.
    """
    while signal.sigtimedwait(_watched(), 0) is not None:
        pass
    ending = _watched() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    for one in ending:
        signal.signal(one, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)


def _interrupt(number: int, frame: object) -> NoReturn:
    """End what is going on as ^C does."""
    del number, frame
    raise KeyboardInterrupt


def leave_as(ended: Ended) -> NoReturn:
    """End this process as the command ended: with its exit code, or by its signal."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before the start
        with suppress(OSError):
            stream.flush()
    if ended.signal is not None:
        _die_by(ended.signal)
    # Not sys.exit: what else would be done at exit was done, or was just interrupted.
    os._exit(ended.exit_code or 0)


def _die_by(number: int) -> NoReturn:
    """Be killed by a signal, without leaving a core file of our own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # it is one that does not kill
