"""
From the frames of a message to a stimulus, or to a reason why they are no message.

A slice is checked here once for all: its shape, its length, its CRC. Nothing
behind this point sees one that does not fit together.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from cmfd.daemon.stimuli import Malformed, Received
from cmfd.errors import WireError
from cmfd.wire.endpoint import Peer, parse_peer
from cmfd.wire.journal import EVENTS, POINT, POINTS, ROWS, row_struct
from cmfd.wire.messages import (
    Bye,
    Flush,
    Hello,
    SealRequest,
    Slice,
    StatusRequest,
    decode_message,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.wire.messages import AnyMessage

WELCOME_MESSAGES = (Slice, Hello, Flush, Bye, StatusRequest, SealRequest)
MOST_UNITS = 1 << 32
"""Block numbers, groups and sizes are 32-bit words in a journal."""


def stimulus_from(route: bytes, address: str, frames: Sequence[bytes]) -> Received | Malformed:
    """
    Read a message.

    Parameters
    ----------
    route : bytes
        ZeroMQ's name for the connection.
    address : str
        What libzmq says of the peer.
    frames : sequence of bytes
        The message, and for a slice its payload.

    Returns
    -------
    Received or Malformed
        Never raises for anything that a peer could send.
    """
    peer: Peer | None = None
    try:
        peer = parse_peer(address)
        message = _decode(frames)
        if type(message) is Slice:
            _check(message, frames[1])
            return Received(route, peer, message, frames[1])
    except WireError as error:
        return Malformed(route, peer, str(error))
    return Received(route, peer, message)


def _decode(frames: Sequence[bytes]) -> AnyMessage:
    if not frames:
        raise WireError("no frames")
    try:
        message = decode_message(frames[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{len(frames[0])} bytes that are no message: {error}") from error
    if not isinstance(message, WELCOME_MESSAGES):
        raise WireError(f"{type(message).__name__} is not for clients to say")
    expected = 2 if type(message) is Slice else 1
    if len(frames) != expected:
        raise WireError(f"{type(message).__name__} in {len(frames)} frames, not {expected}")
    return message


def _check(message: Slice, payload: bytes) -> None:
    kind, size = message.kind, message.record_bytes
    least = {EVENTS: 1, POINTS: POINT.size, ROWS: row_struct(1).size}.get(kind)
    if least is None or size < least or (kind != ROWS and size != least) or (size % 8 and size > 1):
        raise WireError(f"a slice of kind {kind} with records of {size} bytes")
    numbers = (message.block, message.group, message.first, message.end)
    if min(numbers) < 0 or max(numbers) >= MOST_UNITS or message.first >= message.end:
        raise WireError(f"a slice of units [{message.first}, {message.end}) of {message.block}")
    expected = (message.end - message.first) * size
    if len(payload) != expected:
        raise WireError(f"a slice of {len(payload)} bytes that says {expected}")
    if zlib.crc32(payload) != message.crc32:
        raise WireError(f"a slice of block {message.block} whose CRC is wrong")
