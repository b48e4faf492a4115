"""
What can happen to a daemon: the only things that `NodeState.handle` takes.

Some come from outside (a message, a process that ended, a signal), the others
are what became of an effect that the state asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.daemon.options import Options
    from cmfd.store.interpret import SealedPack
    from cmfd.store.node import JournalSlice, RunStanding
    from cmfd.wire.endpoint import Peer
    from cmfd.wire.messages import AnyMessage


@dataclass(frozen=True)
class Received:
    """A well-formed message arrived; a slice's payload has the length and CRC it says."""

    route: bytes
    """ZeroMQ's name for the connection: where an answer goes."""
    peer: Peer
    message: AnyMessage
    payload: bytes = b""


@dataclass(frozen=True)
class Malformed:
    """Something arrived that is no message of a client; it was dropped."""

    route: bytes
    peer: Peer | None
    reason: str


@dataclass(frozen=True)
class Introduced:
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


@dataclass(frozen=True)
class Vanished:
    """A connection takes no more messages: it is closed, or its client does not read."""

    route: bytes


@dataclass(frozen=True)
class FoundJournal:
    """A journal that was there when the daemon started."""

    instance: bytes
    uid: int
    journal: str


@dataclass(frozen=True)
class Started:
    """The daemon is up: these journals were there, these instances are open in the store."""

    journals: tuple[FoundJournal, ...]


@dataclass(frozen=True)
class ProcessExited:
    """The process behind an instance ended (or had, when it was to be watched)."""

    instance: bytes
    at_ns: int = 0
    """When, in UTC; 0: not known."""


@dataclass(frozen=True)
class Unwatchable:
    """The kernel does not tell when the process behind an instance ends."""

    instance: bytes


@dataclass(frozen=True)
class JournalHeld:
    """The journal's lock is held: its process lives."""

    instance: bytes


@dataclass(frozen=True)
class JournalPiece:
    """Part of a dead process's journal, read in order; its lock is now the daemon's."""

    instance: bytes
    slices: tuple[JournalSlice, ...]
    last: bool
    touched_ns: int = 0
    """When the file was last written to, in UTC."""
    problem: str = ""
    """With the last piece: why the file should stay, or empty."""


@dataclass(frozen=True)
class JournalGone:
    """There is no journal: its process removed it when everything was committed."""

    instance: bytes


@dataclass(frozen=True)
class JournalUnreadable:
    """The journal cannot be read; it stays where it is."""

    instance: bytes
    reason: str


@dataclass(frozen=True)
class Committed:
    """Batch `number` is on disk, but for slices that the store cannot take."""

    number: int
    took_ns: int
    unusable: tuple[tuple[JournalSlice, str], ...] = ()


@dataclass(frozen=True)
class CommitFailed:
    """Nothing of batch `number` is on disk."""

    number: int
    reason: str


@dataclass(frozen=True)
class RunsSeen:
    """The answer to `LookAtRuns`: every run of which not everything is published."""

    standings: tuple[RunStanding, ...]


@dataclass(frozen=True)
class LookFailed:
    """The store could not say how runs stand."""

    reason: str


@dataclass(frozen=True)
class Published:
    """A run was sealed, and its pack (none if there was nothing) is in the site's inbox."""

    run: bytes
    site: Path
    sealed: SealedPack | None
    pack: Path | None
    """Where the site has it."""


@dataclass(frozen=True)
class PublishFailed:
    """A run could not be sealed, or its pack (`outbox`, if it got that far) not published."""

    run: bytes
    reason: str
    outbox: SealedPack | None = None


@dataclass(frozen=True)
class MergeEnded:
    """A merge of a site that the daemon had started ended."""

    site: Path
    exit_code: int


@dataclass(frozen=True)
class Reloaded:
    """The settings were read again."""

    options: Options


@dataclass(frozen=True)
class StopAsked:
    """A signal asks the daemon to end."""

    reason: str


@dataclass(frozen=True)
class Tick:
    """Time has passed, or a burst of messages was taken in: do what is due."""


Stimulus = Union[  # noqa: UP007 - as for effects

    Received, Malformed, Introduced, Vanished, Started, ProcessExited, Unwatchable, JournalHeld,
    JournalPiece, JournalGone, JournalUnreadable, Committed, CommitFailed, RunsSeen, LookFailed,
    Published, PublishFailed, MergeEnded, Reloaded, StopAsked, Tick,
]  # fmt: skip
