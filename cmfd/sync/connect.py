"""Reaching another site: in a directory, through ssh, or over https."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import RemoteError
from cmfd.merge.layout import open_site
from cmfd.merge.rules import user_of
from cmfd.sync import remotes
from cmfd.sync.credentials import token_for
from cmfd.sync.local import SitePeer
from cmfd.sync.stdio import Pipe, StdioPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.sync.peer import Peer

SSH_VARIABLE = "CMFD_SSH"
"""The command to be used in place of ``ssh``, with its options."""

_ENDS_S = 10.0


@contextmanager
def connect(remote: remotes.Remote) -> Iterator[Peer]:
    """
    Reach another site while the block runs.

    Parameters
    ----------
    remote : Remote
        Where it is. Over ssh it is the user's own: keys, agent and configuration are not ours.

    Raises
    ------
    ConfigError
        The token for a server cannot be read.
    NotFoundError
        There is no site.
    RemoteError
        The other machine cannot be reached, or has no cmfd.
    """
    address = remotes.parse(remote.url)
    if address.scheme:
        from cmfd.sync.http import Wire  # noqa: PLC0415 - TLS takes time to import
        from cmfd.sync.https import HttpsPeer  # noqa: PLC0415 - as above

        with closing(Wire(remote.url, address, token_for(remote))) as wire:
            yield HttpsPeer(wire)
        return
    if not address.host:
        yield SitePeer(open_site(Path(address.path).expanduser()), who=user_of(os.geteuid()))
        return
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
        peer = StdioPeer(Pipe(process.stdout, process.stdin, remote.url))
        try:
            peer.about()
        except RemoteError as error:
            raise RemoteError(f"{error}.{_what_to_do(command, remote)}") from error
        yield peer
    finally:
        _end(process)


def ssh_command(address: remotes.Address, cmfd: str) -> list[str]:
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


def _what_to_do(command: list[str], remote: remotes.Remote) -> str:
    there = remote.command or "cmfd"
    return (
        f" Try by hand: {shlex.join(command[:-1])} {there} --version. If cmfd is not on the PATH"
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
