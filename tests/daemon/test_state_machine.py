"""
The laws of the daemon under any order of events.

A small world of clients with journals, a store and processes is played against
the state. Clients keep to the protocol; everything else may happen at any
time: commits fail, connections break, processes die, the daemon is killed and
started anew over the same store and journals.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.bench import OWN_UID, POINT_BYTES, SMALL, Bench
from support.laws import examples

from cmfd.daemon import effects as e
from cmfd.daemon.stimuli import (
    CommitFailed,
    Committed,
    FoundJournal,
    Introduced,
    JournalGone,
    JournalHeld,
    JournalPiece,
    JournalsFound,
    ProcessExited,
    Received,
    RunsSeen,
    Started,
    Stimulus,
    StoredSeen,
    Vanished,
)
from cmfd.store.node import JournalSlice
from cmfd.wire.endpoint import Peer
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    AnyMessage,
    Bye,
    Flush,
    Flushed,
    Hello,
    Refused,
    Slice,
    Unknown,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Unit = tuple[bytes, int]
"""An instance and a slot of its only block."""


@dataclass(eq=False)
class Client:
    """A process with a journal, as `cmfd.client` keeps to the protocol."""

    instance: bytes
    peer: Peer
    route: bytes = b""
    alive: bool = True
    file: bool = True
    logged: int = 0
    connected: bool = False
    credit_bytes: int = 0
    sent: set[int] = field(default_factory=set)
    acked: set[int] = field(default_factory=set)
    token: int = 0
    sent_at_flush: dict[int, set[int]] = field(default_factory=dict)

    @property
    def unacked_bytes(self) -> int:
        """What is under way, as this client counts it."""
        return len(self.sent - self.acked) * POINT_BYTES


class Node(RuleBasedStateMachine):
    """Everything on one node, played in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: dict[bytes, Client] = {}
        self.on_disk: set[Unit] = set()
        self.stored_slices: list[JournalSlice] = []
        self.ended: set[bytes] = set()
        self.disk_full = False
        self.locked: dict[bytes, int] = {}  # journals the daemon has open, and what it read
        self.inbox: list[Stimulus] = []
        self.n_routes = 0
        self.committing: list[e.Commit] = []
        self.reading: list[e.ReadJournal] = []

    def _bench(self) -> Bench:
        return Bench(SMALL)

    def _uid(self, number: int) -> int:
        del number
        return OWN_UID

    @initialize()
    def start(self) -> None:
        """Start the first daemon."""
        self.bench = self._bench()
        self._give(Started(()))

    # -- the world carries out effects -----------------------------------------------------

    def _give(self, stimulus: Stimulus) -> None:
        for effect in self.bench.give(stimulus):
            self._perform(effect)

    def _perform(self, effect: e.Effect) -> None:
        acts: Mapping[type, Callable[..., None]] = {
            e.Send: self._deliver,
            e.Introduce: self._introduce,
            e.Commit: self.committing.append,
            e.ReadJournal: self.reading.append,
            e.LeaveJournal: self._leave,
            e.FindJournals: lambda _: self._give(JournalsFound(self._files())),
            e.LookAtRuns: lambda _: self._give(RunsSeen(())),
            e.Purge: lambda _: self._give(StoredSeen({})),
        }
        if type(effect) in acts:
            acts[type(effect)](effect)

    def _introduce(self, effect: e.Introduce) -> None:
        slots = sorted(slot for owner, slot in self.on_disk if owner == effect.instance)
        committed = [(1, slot, slot + 1) for slot in slots]
        self._give(
            Introduced(effect.route, effect.peer, effect.instance, effect.journal, committed, None)
        )

    def _leave(self, effect: e.LeaveJournal) -> None:
        client = self.clients[effect.instance]
        assert client.instance in self.locked, "only what was read is removed"
        for slot in range(client.logged):
            assert (client.instance, slot) in self.on_disk, "removed before all of it is on disk"
        del self.locked[client.instance]
        client.file = not effect.remove

    def _deliver(self, effect: e.Send) -> None:
        for client in self.clients.values():
            if client.route == effect.route and client.alive:
                self._hear(client, effect.message)

    def _hear(self, client: Client, message: AnyMessage) -> None:
        if isinstance(message, Welcome):
            client.connected = True
            client.credit_bytes = message.credit_bytes
            client.acked = {
                slot for _, first, end in message.committed for slot in range(first, end)
            }
            client.sent = set(client.acked)
            client.sent_at_flush.clear()
            self._assert_on_disk(client, client.acked)
        elif isinstance(message, Ack):
            new = {slot for _, first, end in message.committed for slot in range(first, end)}
            assert new <= client.sent, "acknowledged what was never sent"
            client.acked |= new
            client.credit_bytes = message.credit_bytes
            self._assert_on_disk(client, new)
        elif isinstance(message, Flushed):
            self._assert_on_disk(client, client.sent_at_flush.pop(message.token))
        elif isinstance(message, (Unknown, Refused)):
            client.connected = False

    def _assert_on_disk(self, client: Client, slots: set[int]) -> None:
        for slot in slots:
            assert (client.instance, slot) in self.on_disk, "acknowledged before it is on disk"

    # -- clients ---------------------------------------------------------------------------

    def _say(self, client: Client, message: AnyMessage, payload: bytes = b"") -> None:
        self._give(Received(client.route, client.peer, message, payload))

    @rule()
    def appear(self) -> None:
        """Let a process start, and make its journal."""
        if len(self.clients) < 6:
            number = len(self.clients) + 1
            instance = number.to_bytes(16, "big")
            uid = self._uid(number)
            self.clients[instance] = Client(instance, Peer(uid, uid, number))

    def _pick(self, data: strategies.DataObject, *, connected: bool = False) -> Client | None:
        fit = [c for c in self.clients.values() if c.alive and (c.connected or not connected)]
        return data.draw(strategies.sampled_from(fit)) if fit else None

    @rule(data=strategies.data(), n_units=strategies.integers(1, 40))
    def log(self, data: strategies.DataObject, n_units: int) -> None:
        """Let a process log; that reaches its journal only."""
        client = self._pick(data)
        if client is not None:
            client.logged += n_units

    @rule(data=strategies.data(), same=strategies.booleans())
    def hello(self, data: strategies.DataObject, same: bool) -> None:  # noqa: FBT001 - as below
        """Let a process connect, or connect again, or say hello again where it is."""
        client = self._pick(data)
        if client is not None:
            if not (same and client.route):
                self.n_routes += 1
                client.route = self.n_routes.to_bytes(4, "big")
            client.connected = False
            hello = Hello(protocol=PROTOCOL_VERSION, instance=client.instance, journal="/j")
            self._say(client, hello)

    @rule(data=strategies.data(), most=strategies.integers(1, 20))
    def send(self, data: strategies.DataObject, most: int) -> None:
        """Let a process send what it may, in slices of any size."""
        client = self._pick(data, connected=True)
        while client is not None and client.connected and self._send_one(client, most):
            pass

    def _send_one(self, client: Client, most: int) -> bool:
        unsent = sorted(set(range(client.logged)) - client.sent)
        room = (client.credit_bytes - client.unacked_bytes) // POINT_BYTES
        if not unsent or room < 1:
            return False
        first = end = unsent[0]
        while end in unsent and end - first < min(most, room):
            end += 1
        payload = bytes((end - first) * POINT_BYTES)
        client.sent |= set(range(first, end))
        head = Slice(
            block=1, kind=2, record_bytes=POINT_BYTES, first=first, end=end,
            crc32=zlib.crc32(payload),
        )  # fmt: skip
        overruns = self.bench.state.figures.counts.overruns
        self._say(client, head, payload)
        assert self.bench.state.figures.counts.overruns == overruns, "who keeps to it is not cut"
        return True

    @rule(data=strategies.data())
    def flush(self, data: strategies.DataObject) -> None:
        """Let a process ask when all it sent is on disk."""
        client = self._pick(data, connected=True)
        if client is not None:
            client.token += 1
            client.sent_at_flush[client.token] = set(client.sent)
            self._say(client, Flush(token=client.token))

    @rule(data=strategies.data())
    def bye(self, data: strategies.DataObject) -> None:
        """Let a process end, and remove its journal if all of it is acknowledged."""
        client = self._pick(data, connected=True)
        if client is not None:
            self._say(client, Bye())
            client.alive = client.connected = False
            client.file = client.acked != set(range(client.logged))
            self.inbox.append(ProcessExited(client.instance, 1))

    @rule(data=strategies.data())
    def kill(self, data: strategies.DataObject) -> None:
        """Let a process be killed."""
        client = self._pick(data)
        if client is not None:
            client.alive = client.connected = False
            self.inbox.append(ProcessExited(client.instance, 1))

    @rule(data=strategies.data())
    def cut(self, data: strategies.DataObject) -> None:
        """Let a connection break, and the daemon hear of it."""
        client = self._pick(data, connected=True)
        if client is not None:
            client.connected = False
            self._give(Vanished(client.route))

    # -- the world ---------------------------------------------------------------------------

    @rule(seconds=strategies.sampled_from([0.0, 0.01, 0.2, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        for effect in self.bench.tick(seconds):
            self._perform(effect)

    @precondition(lambda self: self.inbox)
    @rule()
    def notice(self) -> None:
        """Let the kernel tell of an end."""
        self._give(self.inbox.pop(0))

    @precondition(lambda self: self.committing)
    @rule()
    def commit(self) -> None:
        """Carry out a commit."""
        commit = self.committing.pop(0)
        if self.disk_full:
            self._give(CommitFailed(commit.number, "disk full"))
            return
        for item in commit.slices:
            new = {(item.instance, slot) for slot in range(item.first, item.end)}
            self.on_disk |= new
        self.stored_slices += commit.slices
        for ended in commit.ended:
            assert not self.clients[ended.instance].alive, "ended a process that lives"
            self.ended.add(ended.instance)
        self._give(Committed(commit.number, 1))

    @rule(full=strategies.booleans())
    def fill_disk(self, full: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        """Fill the disk, or empty it."""
        self.disk_full = full

    @precondition(lambda self: self.reading)
    @rule(n_units=strategies.integers(1, 30))
    def read(self, n_units: int) -> None:
        """Look at a journal."""
        instance = self.reading.pop(0).instance
        client = self.clients[instance]
        if not client.file:
            self._give(JournalGone(instance))
        elif client.alive:
            self._give(JournalHeld(instance))
        else:
            first = self.locked.setdefault(instance, 0)
            end = min(first + n_units, client.logged)
            self.locked[instance] = end
            piece = JournalSlice(
                instance, client.peer.uid, "/j", "node1", 1, 2, POINT_BYTES, 0, first, end,
                bytes((end - first) * POINT_BYTES),
            )  # fmt: skip
            slices = (piece,) if end > first else ()
            self._give(JournalPiece(instance, slices, end == client.logged))

    @rule()
    def restart(self) -> None:
        """Kill the daemon, and start another one."""
        self.committing.clear()
        self.reading.clear()
        self.inbox.clear()
        self.locked.clear()
        self.bench = self._bench()
        for client in self.clients.values():
            client.connected = False
        self._give(Started(self._files()))

    def _files(self) -> tuple[FoundJournal, ...]:
        files = (client for client in self.clients.values() if client.file)
        return tuple(FoundJournal(client.instance, client.peer.uid, "/j") for client in files)

    # -- laws --------------------------------------------------------------------------------

    @invariant()
    def memory_is_bounded(self) -> None:
        """Hold no more of clients than the budget, whatever they do."""
        if hasattr(self, "bench"):
            intake = self.bench.state.intake
            assert intake.queued_bytes - intake.piece_bytes <= SMALL.budget_bytes

    def teardown(self) -> None:
        """Let everything settle: all that was logged is on disk, and all journals are gone."""
        if not hasattr(self, "bench"):
            return
        self.disk_full = False
        for _ in range(4000):
            if self._settled():
                break
            self._settle()
        self.bench.state.check()
        for client in self.clients.values():
            for slot in range(client.logged):
                assert (client.instance, slot) in self.on_disk, "lost"
            if client.alive:
                assert client.acked == set(range(client.logged)), "never acknowledged"
            else:
                assert not client.file, "a dead process's journal stayed"

    def _settled(self) -> bool:
        return (
            not (self.inbox or self.committing or self.reading)
            and self.bench.state.intake.quiet
            and all(
                c.acked == set(range(c.logged)) if c.alive else not c.file
                for c in self.clients.values()
            )
        )

    def _settle(self) -> None:
        for client in self.clients.values():
            if client.alive and not client.connected:
                self.n_routes += 1
                client.route = self.n_routes.to_bytes(4, "big")
                hello = Hello(protocol=PROTOCOL_VERSION, instance=client.instance, journal="/j")
                self._say(client, hello)
            while client.alive and client.connected and self._send_one(client, 1000):
                pass
        if self.inbox:
            self.notice()
        if self.reading:
            self.read(1000)
        if self.committing:
            self.commit()
        self.wait(40.0)


class SharedNode(Node):
    """The same with a daemon for several users, each of whom may only have so much."""

    def _bench(self) -> Bench:
        return Bench(
            SMALL,
            system=True,
            user_clients=6,
            user_bytes_per_s=40 * POINT_BYTES,
            user_stored_bytes=100 * POINT_BYTES,
        )

    def _uid(self, number: int) -> int:
        return 2000 + number % 3


TestNode = Node.TestCase
TestNode.settings = settings(max_examples=examples(60), stateful_step_count=60, deadline=None)
TestSharedNode = SharedNode.TestCase
TestSharedNode.settings = TestNode.settings
