"""
Where a node's daemon listens, and who is at the other end of its socket.

Identity comes from the kernel: libzmq asks it for the credentials of every
connection over ``ipc://`` and attaches them to each frame. What a message says
about its sender is never believed.
"""

from __future__ import annotations

import os
import stat
import struct
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from cmfd.errors import WireError

SOCKET_NAME = "daemon.sock"
MAX_SOCKET_PATH_BYTES = 100
"""sun_path holds 108 bytes, its final zero among them; some systems take fewer."""

ROOT_UID = 0
_UCRED = struct.Struct("3i")
_TIMEVAL = struct.Struct("ll")

PATIENCE_S = 5.0
"""How long a daemon may take to let somebody in."""


class Peer(NamedTuple):
    """The process that connected a socket, as the kernel knows it."""

    uid: int
    gid: int
    pid: int
    """0 when it lives in a process namespace that cannot be seen from here."""


def socket_path(node_dir: Path) -> Path:
    """
    Return where the daemon of a node directory has its socket.

    Parameters
    ----------
    node_dir : Path
        `Settings.node_dir`.

    Returns
    -------
    Path
        In the node directory; in /tmp under a name made from the directory's
        where that path would be too long for a socket.
    """
    path = node_dir / SOCKET_NAME
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    import hashlib  # noqa: PLC0415 - every rank comes here, and nearly none has such a path

    name = hashlib.sha256(os.fsencode(node_dir)).hexdigest()[:12]
    return Path(f"/tmp/cmfd-{os.getuid()}-{name}.sock")  # noqa: S108 - whose it is: `listener`


def endpoint(node_dir: Path) -> str:
    """Return the ZeroMQ address of a node directory's daemon."""
    return f"ipc://{socket_path(node_dir)}"


def listener(node_dir: Path) -> Peer | None:
    """
    Find out whether a daemon listens, and which process that is.

    Parameters
    ----------
    node_dir : Path
        `Settings.node_dir`.

    Returns
    -------
    Peer or None
        None when nobody listens: no socket, one left behind by a killed
        daemon, or one at which nobody is let in. A `uid` other than one's own or 0 is
        somebody who took the name first: do not talk to it.
    """
    import socket  # noqa: PLC0415 - 6 ms, and a rank has no use for it

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A daemon that is stopped lets in as many as may wait, and the next one would for ever.
        patience = _TIMEVAL.pack(int(PATIENCE_S), int(PATIENCE_S % 1 * 1e6))
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        try:
            probe.connect(os.fsencode(socket_path(node_dir)))
        except OSError:
            return None
        found = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(found)
    return Peer(uid, gid, pid)


@lru_cache(maxsize=4096)  # one entry a client; it is asked for every message
def parse_peer(address: str) -> Peer:
    """
    Read the peer that libzmq attached to a frame.

    Parameters
    ----------
    address : str
        ``frame.get("Peer-Address")``: ``localhost:uid:gid:pid`` over ipc.

    Raises
    ------
    WireError
        It holds no credentials: the connection is not over ``ipc://``.
    """
    fields = address.split(":")
    try:
        _, uid, gid, pid = fields
        return Peer(int(uid), int(gid), int(pid))
    except ValueError:
        raise WireError(
            f"the peer {address!r} has no credentials (not a local socket); it is not believed"
        ) from None


def check_daemon(address: str, service_dir: Path | None = None) -> None:
    """
    Make sure that an answer came from a daemon of one's own, or root's, or the node's service.

    Parameters
    ----------
    address : str
        ``frame.get("Peer-Address")`` of the answer.
    service_dir : Path, optional
        As for `is_trusted`.

    Raises
    ------
    WireError
        It is somebody else who took the socket's name, and would be believed.
    """
    peer = parse_peer(address)
    if not is_trusted(peer, service_dir):
        raise WireError(f"it comes from user {peer.uid}, who is neither you nor root")


def is_trusted(daemon: Peer, service_dir: Path | None = None) -> bool:
    """
    Tell whether a daemon is one's own, or root's, or the service of this node.

    Parameters
    ----------
    daemon : Peer
        Who listens or answers.
    service_dir : Path, optional
        The node directory where the settings say that one daemon serves all users. Root gave it to
        the daemon's group to write to, so nobody else can have put a socket there.
    """
    if daemon.uid in (os.geteuid(), ROOT_UID):
        return True
    if service_dir is None:
        return False
    try:
        found = service_dir.stat()
    except OSError:
        return False
    writers = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return writers == stat.S_IWGRP and daemon.gid == found.st_gid
