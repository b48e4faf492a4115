"""
What the state may ask for: the only things that reach the world.

`cmfd.daemon.perform` carries them out; what becomes of one comes back as a
stimulus, which its docstring names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.daemon.stimuli import EnergyRead
    from cmfd.store.interpret import SealedPack
    from cmfd.store.jobs import JobWord
    from cmfd.store.node import JournalSlice
    from cmfd.wire.endpoint import Peer
    from cmfd.wire.messages import AnyMessage


class Send(msgspec.Struct, frozen=True):
    """Send a message; `Vanished` if the connection takes none any more."""

    route: bytes
    message: AnyMessage


class Report(msgspec.Struct, frozen=True):
    """Send the status document; what only the world knows is added to it."""

    route: bytes
    document: dict[str, object]
    uid: int
    """Who asks."""


class Introduce(msgspec.Struct, frozen=True):
    """Look up an instance and inspect its journal; `Introduced`."""

    route: bytes
    peer: Peer
    instance: bytes
    journal: str
    """As the client named it: not to be trusted."""


class Watch(msgspec.Struct, frozen=True):
    """Tell when a process ends; `ProcessExited` then, or `Unwatchable` at once."""

    instance: bytes
    pid: int


class Unwatch(msgspec.Struct, frozen=True):
    """Do not watch the process behind an instance any longer."""

    instance: bytes


class FindJournals(msgspec.Struct, frozen=True):
    """Look for journals of processes that never said hello; `JournalsFound`."""


class FindJobs(msgspec.Struct, frozen=True):
    """Look whether root told something new of jobs; `JobsFound`."""


class ForgetJob(msgspec.Struct, frozen=True):
    """Remove what root told of a job: all that it left on this node is published."""

    name: str


class ReadJournal(msgspec.Struct, frozen=True):
    """
    Take the next piece of a journal if its process is dead.

    `JournalPiece`, `JournalHeld`, `JournalGone` or `JournalUnreadable`. The
    lock is kept from the first piece until `LeaveJournal`.
    """

    instance: bytes
    journal: str
    uid: int


class LeaveJournal(msgspec.Struct, frozen=True):
    """Let go of a journal that was read whole; `remove` it: all of it is committed."""

    instance: bytes
    remove: bool


class Ended(msgspec.Struct, frozen=True):
    """`instance` has ended: what still runs in it is lost."""

    instance: bytes
    at_ns: int
    """UTC; 0: now."""


class SealMark(msgspec.Struct, frozen=True):
    """Of `run`, everything up to `upto` was published."""

    run: bytes
    upto: int
    final: bool


class LedgerMark(msgspec.Struct, frozen=True):
    """Of the node's ledger of energy, a site has everything up to `upto`."""

    site: str
    upto: int
    with_run: bool = False
    """A run's last pack went there just now: the site is in use."""


class Commit(msgspec.Struct, frozen=True):
    """Write all of this in one transaction; `Committed` or `CommitFailed`."""

    number: int
    slices: tuple[JournalSlice, ...]
    ended: tuple[Ended, ...] = ()
    sealed: tuple[SealMark, ...] = ()
    ledgers: tuple[LedgerMark, ...] = ()
    jobs: tuple[JobWord, ...] = ()
    """Written first: who may speak of a run depends on it."""


class LookAtRuns(msgspec.Struct, frozen=True):
    """Ask the store which runs are not published whole; `RunsSeen`."""


class Purge(msgspec.Struct, frozen=True):
    """
    Drop runs from the node store that were published long enough ago; `StoredSeen`.

    Of users who have no more room, also those that were published just now.
    """

    full: tuple[int, ...] = ()


class Owner(msgspec.Struct, frozen=True):
    """Whose a run is, as root or the kernel says."""

    uid: int
    user: str = ""
    """Empty: the worker asks for the name."""
    account: str = ""
    cluster: str = ""


class Seal(msgspec.Struct, frozen=True):
    """
    Seal a run and publish its pack, on the worker thread.

    `Published` or `PublishFailed`. With `outbox`, the pack was sealed before
    and only has to be published.
    """

    run: bytes
    site: Path
    final: bool
    outbox: SealedPack | None = None
    owner: Owner | None = None
    """In a service for all users; then the operator says which site it is, not `site`."""
    job_over: bool = False
    """The batch system said that the run's job has left this node."""
    apart: int | None = None
    """The user, where root tells of jobs and told of none that the run is named after."""


class JobHere(msgspec.Struct, frozen=True):
    """A job that is on this node, as root says; `number` is what SLURM names its group by."""

    run: bytes
    number: str
    uid: int


class ReadEnergy(msgspec.Struct, frozen=True):
    """
    Look who is on the node, and read its energy if that has changed; `EnergyRead`.

    With a `number` that is new, all that there is is read and answered in any case.
    """

    number: int
    jobs: tuple[JobHere, ...]
    processes: dict[bytes, int]
    """Numbers of the processes that have introduced themselves, by instance."""


class StoreEnergy(msgspec.Struct, frozen=True):
    """Write what was measured in one transaction; `EnergyStored` or `EnergyFailed`."""

    number: int
    readings: tuple[EnergyRead, ...]


class SealLedgers(msgspec.Struct, frozen=True):
    """Publish what is new in the node's ledger to all sites that get it; `LedgersSealed`."""


class StartMerge(msgspec.Struct, frozen=True):
    """Start ``cmfd merge`` of a site as a process of its own; `MergeEnded`."""

    site: Path


class Announce(msgspec.Struct, frozen=True):
    """Tell the service manager how the daemon stands."""

    state: str


class Exit(msgspec.Struct, frozen=True):
    """End the loop; all that had to be stored is."""

    reason: str


Effect = Union[  # noqa: UP007 - the formatter would put a member on each line

    Send, Report, Introduce, Watch, Unwatch, FindJournals, FindJobs, ForgetJob, ReadJournal,
    LeaveJournal, Commit, LookAtRuns, Purge, Seal, ReadEnergy, StoreEnergy, SealLedgers,
    StartMerge, Announce, Exit,
]  # fmt: skip
