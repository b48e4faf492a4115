"""One question to the node's daemon, and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import DaemonUnavailableError, WireError
from cmfd.wire.endpoint import endpoint, is_trusted, listener, socket_path
from cmfd.wire.messages import decode_message, encode

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.wire.messages import AnyMessage, Message


def request(
    node_dir: Path, message: Message, timeout_s: float, *, system: bool = False
) -> AnyMessage:
    """
    Ask the daemon of a node directory and wait for its answer.

    Parameters
    ----------
    node_dir : Path
        `Settings.node_dir`.
    message : Message
        A `StatusRequest` or a `SealRequest`.
    timeout_s : float
        How long to wait for the answer.
    system : bool
        `Settings.system`: the daemon may be the service for all users.

    Returns
    -------
    AnyMessage
        What the daemon says; `Refused` is an answer too.

    Raises
    ------
    DaemonUnavailableError
        Nobody listens, or no answer came in time. The journals keep what was
        logged, and a daemon that did get the question carries it out.
    WireError
        The answer cannot be read: the daemon is of another release.
    """
    _require_listener(node_dir, system=system)
    frames = _exchange(endpoint(node_dir), encode(message), timeout_s)
    if frames is None:
        raise DaemonUnavailableError(
            f"the daemon at {socket_path(node_dir)} did not answer within {timeout_s:g} s; "
            "nothing is lost. See its daemon.log, or `cmfd doctor`"
        )
    try:
        return decode_message(frames[0])
    except msgspec.MsgspecError as error:
        raise WireError(f"the daemon's answer cannot be read ({error}); restart it") from error


def _require_listener(node_dir: Path, *, system: bool) -> None:
    found = listener(node_dir)
    if found is None:
        raise DaemonUnavailableError(
            f"no daemon listens at {socket_path(node_dir)}; the journals keep what is logged. "
            + ("Tell who runs this machine" if system else "Start one with `cmfd daemon`")
        )
    if not is_trusted(found, node_dir if system else None):
        raise DaemonUnavailableError(
            f"{socket_path(node_dir)} belongs to user {found.uid}, not to you: nothing was sent. "
            "Set CMFD_NODE_DIR to a directory of your own"
        )


def _exchange(address: str, head: bytes, timeout_s: float) -> list[bytes] | None:
    import zmq  # noqa: PLC0415 - 40 ms that only those who ask should pay

    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    try:
        socket.connect(address)
        socket.send(head)
        if not socket.poll(round(timeout_s * 1000)):
            return None
        return list(socket.recv_multipart())
    finally:
        socket.close()
        context.term()
