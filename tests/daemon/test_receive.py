"""What arrives at the socket: messages, and everything else that could."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd.daemon.receive import stimulus_from
from cmfd.daemon.stimuli import Malformed, Received
from cmfd.wire.endpoint import Peer
from cmfd.wire.journal import EVENTS, POINTS, ROWS
from cmfd.wire.messages import Ack, Bye, Slice, Welcome, encode

ADDRESS = "localhost:1000:100:42"
PEER = Peer(1000, 100, 42)
PAYLOAD = bytes(range(64))


def a_slice(**changes: Any) -> Slice:
    """Return the head of two points, with changes."""
    head = Slice(
        block=1, kind=POINTS, record_bytes=32, first=3, end=5, crc32=zlib.crc32(PAYLOAD)
    )  # fmt: skip
    return msgspec.structs.replace(head, **changes)


@pytest.mark.parametrize(
    "head",
    [
        a_slice(),
        a_slice(kind=ROWS, group=1),
        a_slice(kind=EVENTS, record_bytes=1, first=0, end=64),
    ],
)
def test_a_slice_that_fits_together_is_taken(head: Slice) -> None:
    """With its payload, and the peer that the kernel names."""
    found = stimulus_from(b"r", ADDRESS, [encode(head), PAYLOAD])

    assert found == Received(b"r", PEER, head, PAYLOAD)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (a_slice(crc32=1), "CRC"),
        (a_slice(end=6), "says 96"),
        (a_slice(end=3), "units"),
        (a_slice(first=-2, end=0), "units"),
        (a_slice(first=1 << 40, end=(1 << 40) + 2), "units"),
        (a_slice(block=-1), "units"),
        (a_slice(group=1 << 32), "units"),
        (a_slice(kind=9), "kind 9"),
        (a_slice(record_bytes=0), "records of 0"),
        (a_slice(record_bytes=40), "records of 40"),
        (a_slice(kind=ROWS, record_bytes=24), "records of 24"),
        (a_slice(kind=ROWS, record_bytes=33), "records of 33"),
        (a_slice(kind=EVENTS, record_bytes=32), "records of 32"),
    ],
)
def test_a_slice_that_does_not_fit_together_is_dropped(head: Slice, reason: str) -> None:
    """Nothing behind the border has to think of it."""
    found = stimulus_from(b"r", ADDRESS, [encode(head), PAYLOAD])

    assert isinstance(found, Malformed)
    assert found.peer == PEER
    assert reason in found.reason


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "no frames"),
        ([b""], "no message"),
        ([b"GET / HTTP/1.1"], "no message"),
        ([b"\x91" * 100_000], "no message"),
        ([encode(a_slice())], "in 1 frames"),
        ([encode(Bye()), b"more"], "in 2 frames"),
        ([msgspec.msgpack.encode({"t": "slice"})], "missing required field"),
        ([msgspec.msgpack.encode({"t": "hello", "protocol": "one"})], "Expected `int`"),
        ([encode(Ack(committed=[], credit_bytes=1))], "Ack is not for clients"),
        (
            [encode(Welcome(protocol=1, epoch=b"", credit_bytes=1, committed=[]))],
            "Welcome is not for clients",
        ),
    ],
)
def test_what_is_no_message_of_a_client_is_dropped(frames: list[bytes], reason: str) -> None:
    """It is named, and its sender with it."""
    found = stimulus_from(b"r", ADDRESS, frames)

    assert isinstance(found, Malformed)
    assert found.peer == PEER
    assert reason in found.reason


@pytest.mark.parametrize("address", ["", "127.0.0.1", "localhost:a:b:c"])
def test_a_peer_without_credentials_is_not_believed(address: str) -> None:
    """A connection that is not local has none."""
    found = stimulus_from(b"r", address, [encode(Bye())])

    assert isinstance(found, Malformed)
    assert found.peer is None


def test_fields_of_a_later_release_are_passed_over() -> None:
    """Old and new releases understand each other."""
    newer = msgspec.msgpack.encode({"t": "bye", "since": 5})

    assert stimulus_from(b"r", ADDRESS, [newer]) == Received(b"r", PEER, Bye())


@given(st.lists(st.binary(max_size=64), max_size=3))
def test_no_bytes_whatever_bring_the_reader_down(frames: list[bytes]) -> None:
    """A fuzzer on the socket is only counted."""
    assert isinstance(stimulus_from(b"r", ADDRESS, frames), Malformed)


@given(st.data())
def test_no_changed_byte_makes_a_slice_of_other_content(data: st.DataObject) -> None:
    """Either the head does not fit the payload any more, or nothing that matters changed."""
    frames = [bytearray(encode(a_slice())), bytearray(PAYLOAD)]
    frame = data.draw(st.sampled_from(frames))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))

    found = stimulus_from(b"r", ADDRESS, [bytes(part) for part in frames])

    if isinstance(found, Received):
        assert isinstance(found.message, Slice)
        assert found.payload == PAYLOAD
