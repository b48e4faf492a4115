"""
What the state may ask for: the only things that reach the world.

`cmfd.daemon.perform` carries them out; what becomes of one comes back as a
stimulus, which its docstring names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.store.interpret import SealedPack
    from cmfd.store.node import JournalSlice
    from cmfd.wire.endpoint import Peer
    from cmfd.wire.messages import AnyMessage


@dataclass(frozen=True)
class Send:
    """Send a message; `Vanished` if the connection takes none any more."""

    route: bytes
    message: AnyMessage


@dataclass(frozen=True)
class Report:
    """Send the status document; what only the world knows is added to it."""

    route: bytes
    document: dict[str, object]


@dataclass(frozen=True)
class Introduce:
    """Look up an instance and inspect its journal; `Introduced`."""

    route: bytes
    peer: Peer
    instance: bytes
    journal: str
    """As the client named it: not to be trusted."""


@dataclass(frozen=True)
class Watch:
    """Tell when a process ends; `ProcessExited` then, or `Unwatchable` at once."""

    instance: bytes
    pid: int


@dataclass(frozen=True)
class Unwatch:
    """Do not watch the process behind an instance any longer."""

    instance: bytes


@dataclass(frozen=True)
class ReadJournal:
    """
    Take the next piece of a journal if its process is dead.

    `JournalPiece`, `JournalHeld`, `JournalGone` or `JournalUnreadable`. The
    lock is kept from the first piece until `LeaveJournal`.
    """

    instance: bytes
    journal: str
    uid: int


@dataclass(frozen=True)
class LeaveJournal:
    """Let go of a journal that was read whole; `remove` it: all of it is committed."""

    instance: bytes
    remove: bool


@dataclass(frozen=True)
class Ended:
    """`instance` has ended: what still runs in it is lost."""

    instance: bytes
    at_ns: int
    """UTC; 0: now."""


@dataclass(frozen=True)
class SealMark:
    """Of `run`, everything up to `upto` was published."""

    run: bytes
    upto: int
    final: bool


@dataclass(frozen=True)
class Commit:
    """Write all of this in one transaction; `Committed` or `CommitFailed`."""

    number: int
    slices: tuple[JournalSlice, ...]
    ended: tuple[Ended, ...] = ()
    sealed: tuple[SealMark, ...] = ()


@dataclass(frozen=True)
class LookAtRuns:
    """Ask the store which runs are not published whole; `RunsSeen`."""


@dataclass(frozen=True)
class Purge:
    """Drop runs from the node store that were published long enough ago."""


@dataclass(frozen=True)
class Seal:
    """
    Seal a run and publish its pack, on the worker thread.

    `Published` or `PublishFailed`. With `outbox`, the pack was sealed before
    and only has to be published.
    """

    run: bytes
    site: Path
    final: bool
    outbox: SealedPack | None = None


@dataclass(frozen=True)
class StartMerge:
    """Start ``cmfd merge`` of a site as a process of its own; `MergeEnded`."""

    site: Path


@dataclass(frozen=True)
class Announce:
    """Tell the service manager how the daemon stands."""

    state: str


@dataclass(frozen=True)
class Exit:
    """End the loop; all that had to be stored is."""

    reason: str


Effect = Union[  # noqa: UP007 - the formatter would put a member on each line

    Send, Report, Introduce, Watch, Unwatch, ReadJournal, LeaveJournal, Commit, LookAtRuns, Purge,
    Seal, StartMerge, Announce, Exit,
]  # fmt: skip
