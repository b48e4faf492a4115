"""One question to the node's daemon, and its answer."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import DaemonUnavailableError, WireError
from cmfd.wire.endpoint import endpoint, is_trusted, listener, socket_path
from cmfd.wire.messages import decode_message, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zmq

    from cmfd.wire.messages import AnyMessage, Message

_LOOKS_S = 1.0
"""How often it is looked whether a daemon is still there that has not let this process in."""

_EVENT = struct.Struct("=H")


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
        Nobody listens, or no answer came in time, or the daemon ended before it
        answered, which is told at once: another may be asked the same. The journals
        keep what was logged, and a daemon that did get the question carries it out.
    WireError
        The answer cannot be read: the daemon is of another release.
    """
    _require_listener(node_dir, system=system)
    frames = _exchange(node_dir, encode(message), timeout_s)
    if frames is None:
        raise DaemonUnavailableError(
            f"the daemon at {socket_path(node_dir)} did not answer within {timeout_s:.3g} s; "
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


def _exchange(node_dir: Path, head: bytes, timeout_s: float) -> list[bytes] | None:
    """Send a question and wait for the answer; None: it did not come in time."""
    import zmq  # noqa: PLC0415 - 40 ms that only those who ask should pay

    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    # A question that was sent is lost with who had it, also where another daemon comes meanwhile.
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    try:
        socket.connect(endpoint(node_dir))
        socket.send(head)
        until_s, was_let_in, ended = time.monotonic() + timeout_s, False, ""
        while not socket.poll(0):
            left_s = until_s - time.monotonic()
            if ended:
                raise DaemonUnavailableError(
                    f"the daemon at {socket_path(node_dir)} {ended}; "
                    "nothing is lost. See its daemon.log, or `cmfd doctor`"
                )
            if left_s <= 0:
                return None
            zmq.select([socket, monitor], [], [], min(left_s, _LOOKS_S))
            for event in _events(monitor):
                if was_let_in and event == zmq.EVENT_DISCONNECTED:
                    ended = "ended before it answered"
                was_let_in = was_let_in or event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            if not (was_let_in or listener(node_dir)):
                ended = "ended, or lets nobody in"
        return list(socket.recv_multipart())
    finally:
        monitor.close()
        socket.close()
        context.term()


def _events(monitor: zmq.Socket[bytes]) -> Iterator[int]:
    """Yield what has happened to the connection: zmq_socket_monitor(3), its first frame."""
    while monitor.poll(0):
        yield _EVENT.unpack_from(monitor.recv_multipart()[0])[0]
