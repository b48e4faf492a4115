"""A daemon's state on a test bench: stimuli in, effects out, a clock that the test turns."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, TypeVar

from cmfd.daemon.effects import Commit, Effect, Introduce, Send
from cmfd.daemon.options import SECOND_NS, Limits, Options
from cmfd.daemon.state import NodeState
from cmfd.daemon.stimuli import CommitFailed, Committed, Introduced, Received, Stimulus, Tick
from cmfd.wire.endpoint import Peer
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    AnyMessage,
    Bye,
    Flush,
    Hello,
    SealRequest,
    Slice,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.daemon.batch import Range
    from cmfd.store.node import JournalSlice

OWN_UID = 1000
PEER = Peer(OWN_UID, OWN_UID, 4242)
EPOCH = bytes(16)
POINT_BYTES = 32
T = TypeVar("T")

SMALL = Limits(
    budget_bytes=16_384,
    in_flight_bytes=4096,
    least_window_bytes=512,
    first_window_bytes=1024,
    greatest_window_bytes=4096,
    batch_bytes=4096,
)
"""Limits that a test can reach with a handful of slices."""


def instance(number: int) -> bytes:
    """Return an instance id."""
    return number.to_bytes(16, "big")


def of_type(effects: Sequence[Effect], kind: type[T]) -> list[T]:
    """Return the effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def said(effects: Sequence[Effect], kind: type[T], route: bytes | None = None) -> list[T]:
    """Return the messages of one kind that were sent (to one route)."""
    return [
        send.message
        for send in of_type(effects, Send)
        if isinstance(send.message, kind) and route in (None, send.route)
    ]


class Bench:
    """
    A `NodeState` with a clock.

    Commits are answered by the test, so that it can let them fail or tarry.
    """

    def __init__(self, limits: Limits = SMALL, **options: object) -> None:
        self.now_ns = 1_000 * SECOND_NS
        chosen = {"own_uid": OWN_UID, "host": "node1", "limits": limits, **options}
        self.options = Options(**chosen)  # type: ignore[arg-type]  # as the test says
        self.state = NodeState(self.options, EPOCH, self.now_ns)

    def give(self, stimulus: Stimulus) -> list[Effect]:
        """Let something happen now."""
        effects = self.state.handle(stimulus, self.now_ns)
        self.state.check()
        return effects

    def tick(self, after_s: float = 0.0) -> list[Effect]:
        """Let time pass."""
        self.now_ns += round(after_s * SECOND_NS)
        return self.give(Tick())

    def until(self, kind: type[T]) -> T:
        """Let time pass, from deadline to deadline, until an effect of this kind is asked for."""
        for _ in range(100):
            deadline_ns = self.state.deadline_ns()
            assert deadline_ns is not None, "nothing will ever happen"
            self.now_ns = max(self.now_ns, deadline_ns)
            for found in of_type(self.give(Tick()), kind):
                return found
        raise AssertionError(f"no {kind.__name__}")

    def receive(
        self, message: AnyMessage, route: bytes = b"a", peer: Peer = PEER, payload: bytes = b""
    ) -> list[Effect]:
        """Let a message arrive."""
        return self.give(Received(route, peer, message, payload))

    def hello(
        self,
        number: int = 1,
        route: bytes = b"a",
        peer: Peer = PEER,
        committed: Sequence[Range] = (),
        owner: int | None = None,
    ) -> list[Effect]:
        """Let a client introduce itself, whose journal is where it says."""
        hello = Hello(protocol=PROTOCOL_VERSION, instance=instance(number), journal=f"/j/{number}")
        effects = self.receive(hello, route, peer)
        for asked in of_type(effects, Introduce):
            found = Introduced(
                asked.route, asked.peer, asked.instance, asked.journal, list(committed), owner
            )
            effects += self.give(found)
        return effects

    def slice(
        self, first: int, end: int, route: bytes = b"a", block: int = 1, peer: Peer = PEER
    ) -> list[Effect]:
        """Let points arrive."""
        payload = bytes(POINT_BYTES * (end - first))
        message = Slice(
            block=block, kind=2, record_bytes=POINT_BYTES, first=first, end=end,
            crc32=zlib.crc32(payload),
        )  # fmt: skip
        return self.receive(message, route, peer, payload)

    def flush(self, token: int, route: bytes = b"a") -> list[Effect]:
        """Let a client ask for a commit."""
        return self.receive(Flush(token=token), route)

    def bye(self, route: bytes = b"a") -> list[Effect]:
        """Let a client say goodbye."""
        return self.receive(Bye(), route)

    def ask(
        self, run: bytes, route: bytes = b"x", peer: Peer = PEER, site: str = ""
    ) -> list[Effect]:
        """Let somebody ask for a run to be sealed."""
        return self.receive(SealRequest(run=run, site=site), route, peer)

    def commit(self, after_s: float = 1.0) -> Commit:
        """Let time pass until a commit is asked for."""
        commits = of_type(self.tick(after_s), Commit)
        assert len(commits) == 1
        return commits[0]

    def committed(
        self, commit: Commit, unusable: Sequence[tuple[JournalSlice, str]] = ()
    ) -> list[Effect]:
        """Let a commit succeed."""
        return self.give(Committed(commit.number, 1_000_000, tuple(unusable)))

    def failed(self, commit: Commit, reason: str = "disk full") -> list[Effect]:
        """Let a commit fail."""
        return self.give(CommitFailed(commit.number, reason))

    def store(self, after_s: float = 1.0) -> list[Effect]:
        """Let time pass, and the commit that is due succeed."""
        return self.committed(self.commit(after_s))


def acked(effects: Sequence[Effect], route: bytes | None = None) -> list[Range]:
    """Return every range that was acknowledged."""
    return [found for ack in said(effects, Ack, route) for found in ack.committed]
