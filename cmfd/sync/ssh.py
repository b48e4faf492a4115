"""Reaching a site on another machine through the user's own ssh: keys and agent are not ours."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cmfd.errors import RemoteError
from cmfd.sync.stdio import Pipe, StdioPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.sync.peer import About, Guess
    from cmfd.sync.remotes import Address, Remote

SSH_VARIABLE = "CMFD_SSH"
"""The command to be used in place of ``ssh``, with its options."""

_ENDS_S = 10.0


@contextmanager
def through_ssh(remote: Remote, address: Address) -> Iterator[StdioPeer]:
    """
    Reach a site on another machine while the block runs.

    Raises
    ------
    RemoteError
        The machine cannot be reached, or has no cmfd.
    """
    command = ssh_command(address, remote.command or "cmfd")
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own ssh; no shell of this machine
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    except OSError as error:
        raise RemoteError(f"cannot run {command[0]}: {error}; nothing was moved") from error
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pipe = Pipe(process.stdout, process.stdin, remote.url)
        yield _Started(pipe, _what_to_do(command, remote))
    finally:
        _end(process)


class _Started(StdioPeer):
    """What says with its first answer whether it runs at all; if it does not, what to do."""

    def __init__(self, pipe: Pipe, advice: str) -> None:
        super().__init__(pipe)
        self._advice = advice

    def about(self, guess: Guess | None = None) -> About:
        """Say who it is."""
        try:
            told = super().about(guess)
        except RemoteError as error:
            raise RemoteError(f"{error}{self._advice}") from error
        self._advice = ""
        return told


def ssh_command(address: Address, cmfd: str) -> list[str]:
    """Return what starts a `cmfd serve-stdio` on another machine."""
    ssh = shlex.split(os.environ.get(SSH_VARIABLE, "")) or ["ssh"]
    port = ["-p", str(address.port)] if address.port else []
    # Its shell there sees the path as one word; ~ alone is left to it.
    home, slash, below = address.path.partition("/")
    is_home = home.startswith("~") and home[1:].replace("-", "").replace("_", "").isalnum()
    expands = home == "~" or is_home
    path = (
        f"{home}{slash}{shlex.quote(below) if below else ''}"
        if expands
        else shlex.quote(address.path)
    )
    return [*ssh, *port, address.host, f"{cmfd} serve-stdio {path}"]


def _what_to_do(command: list[str], remote: Remote) -> str:
    there = remote.command or "cmfd"
    return (
        f". Try by hand: {shlex.join(command[:-1])} {there} --version. If cmfd is not on the PATH"
        f" there, say where it is: cmfd remote add NAME {remote.url} --command PATH"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Tell the other side that there is no more, and wait for it a while."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    try:
        process.wait(_ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
