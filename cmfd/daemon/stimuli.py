"""
What can happen to a daemon: the only things that `NodeState.handle` takes.

Some come from outside (a message, a process that ended, a signal), the others
are what became of an effect that the state asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.daemon.effects import LedgerMark
    from cmfd.daemon.options import Options
    from cmfd.slurm.spool import JobNote
    from cmfd.slurm.tasks import Task
    from cmfd.store.energy import Measured
    from cmfd.store.interpret import SealedPack
    from cmfd.store.node import JournalSlice, RunStanding
    from cmfd.wire.endpoint import Peer
    from cmfd.wire.messages import AnyMessage


class Received(msgspec.Struct, frozen=True):
    """A well-formed message arrived; a slice's payload has the length and CRC it says."""

    route: bytes
    """ZeroMQ's name for the connection: where an answer goes."""
    peer: Peer
    message: AnyMessage
    payload: bytes = b""


class Malformed(msgspec.Struct, frozen=True):
    """Something arrived that is no message of a client; it was dropped."""

    route: bytes
    peer: Peer | None
    reason: str


class Introduced(msgspec.Struct, frozen=True):
    """The answer to `Introduce`."""

    route: bytes
    peer: Peer
    instance: bytes
    journal: str
    """Where the journal is on this node; empty when it cannot be seen from here."""
    committed: list[tuple[int, int, int]]
    owner: int | None
    """User who the node store says the instance belongs to, if it knows it."""
    problem: str = ""
    """Why this client is not to be served, or empty."""


class Vanished(msgspec.Struct, frozen=True):
    """A connection takes no more messages: it is closed, or its client does not read."""

    route: bytes


class FoundJournal(msgspec.Struct, frozen=True):
    """A journal that was there before its process said hello."""

    instance: bytes
    uid: int
    journal: str


class Started(msgspec.Struct, frozen=True):
    """The daemon is up: these journals were there, these instances are open in the store."""

    journals: tuple[FoundJournal, ...]


class JournalsFound(msgspec.Struct, frozen=True):
    """The answer to `FindJournals`: all that are there."""

    journals: tuple[FoundJournal, ...]


class JobSeen(msgspec.Struct, frozen=True):
    """A note of the job spool that is new."""

    name: str
    """Of its file, without the ending."""
    note: JobNote
    ended: bool
    """The job has left the node."""
    tasks: tuple[Task, ...] = ()
    """What was told of its tasks, once it has."""


class JobsFound(msgspec.Struct, frozen=True):
    """What root told of jobs since the last time; it comes before what it may bear on."""

    jobs: tuple[JobSeen, ...]


class ProcessExited(msgspec.Struct, frozen=True):
    """The process behind an instance ended (or had, when it was to be watched)."""

    instance: bytes
    at_ns: int = 0
    """When, in UTC; 0: not known."""


class Unwatchable(msgspec.Struct, frozen=True):
    """The kernel does not tell when the process behind an instance ends."""

    instance: bytes


class JournalHeld(msgspec.Struct, frozen=True):
    """The journal's lock is held: its process lives."""

    instance: bytes


class JournalPiece(msgspec.Struct, frozen=True):
    """Part of a dead process's journal, read in order; its lock is now the daemon's."""

    instance: bytes
    slices: tuple[JournalSlice, ...]
    last: bool
    touched_ns: int = 0
    """When the file was last written to, in UTC."""
    problem: str = ""
    """With the last piece: why the file should stay, or empty."""


class JournalGone(msgspec.Struct, frozen=True):
    """There is no journal: its process removed it when everything was committed."""

    instance: bytes


class JournalUnreadable(msgspec.Struct, frozen=True):
    """The journal cannot be read; it stays where it is."""

    instance: bytes
    reason: str


class Committed(msgspec.Struct, frozen=True):
    """Batch `number` is on disk, but for slices that the store cannot take."""

    number: int
    took_ns: int
    unusable: tuple[tuple[JournalSlice, str], ...] = ()


class CommitFailed(msgspec.Struct, frozen=True):
    """Nothing of batch `number` is on disk."""

    number: int
    reason: str


class StoredSeen(msgspec.Struct, frozen=True):
    """How much the store has of each user, once what may go is gone: the answer to `Purge`."""

    bytes_by_uid: dict[int, int]


class RunsSeen(msgspec.Struct, frozen=True):
    """The answer to `LookAtRuns`: every run of which not everything is published."""

    standings: tuple[RunStanding, ...]


class LookFailed(msgspec.Struct, frozen=True):
    """The store could not say how runs stand."""

    reason: str


class Published(msgspec.Struct, frozen=True):
    """A run was sealed, and its pack (none if there was nothing) is in the site's inbox."""

    run: bytes
    site: Path
    sealed: SealedPack | None
    pack: Path | None
    """Where the site has it."""
    ledger: LedgerMark | None = None
    """With a run's last pack, what was new in the node's ledger of energy went there as well."""


class PublishFailed(msgspec.Struct, frozen=True):
    """A run could not be sealed, or its pack (`outbox`, if it got that far) not published."""

    run: bytes
    reason: str
    outbox: SealedPack | None = None


class EnergyRead(msgspec.Struct, frozen=True):
    """What came of `ReadEnergy`, or of a time having passed: what is to be stored."""

    number: int
    measured: Measured
    memory: bytes
    """What the next daemon must know to go on from there; empty: what it knew before."""
    waiting: frozenset[bytes] = frozenset()
    """Runs of which more is to come."""


class EnergyStored(msgspec.Struct, frozen=True):
    """The answer to `StoreEnergy`: it is on disk."""

    number: int


class EnergyFailed(msgspec.Struct, frozen=True):
    """The other answer to `StoreEnergy`: nothing of it is."""

    number: int
    reason: str


class LedgersSealed(msgspec.Struct, frozen=True):
    """The answer to `SealLedgers`: what sites have now."""

    marks: tuple[LedgerMark, ...]


class MergeEnded(msgspec.Struct, frozen=True):
    """A merge of a site that the daemon had started ended."""

    site: Path
    exit_code: int


class Reloaded(msgspec.Struct, frozen=True):
    """The settings were read again."""

    options: Options


class StopAsked(msgspec.Struct, frozen=True):
    """A signal asks the daemon to end."""

    reason: str


class Tick(msgspec.Struct, frozen=True):
    """Time has passed, or a burst of messages was taken in: do what is due."""


Stimulus = Union[  # noqa: UP007 - as for effects
    Received, Malformed, Introduced, Vanished, Started, JournalsFound, JobsFound, ProcessExited,
    Unwatchable, JournalHeld, JournalPiece, JournalGone, JournalUnreadable, Committed,
    CommitFailed, RunsSeen, LookFailed, Published, PublishFailed, MergeEnded, Reloaded,
    EnergyRead, EnergyStored, EnergyFailed, LedgersSealed, StopAsked, StoredSeen, Tick,
]  # fmt: skip
