"""What the state machine goes by, derived from the settings; times in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmfd.slurm.spool import DIRECTORY as JOBS

if TYPE_CHECKING:
    from cmfd.config import Settings

SECOND_NS = 1_000_000_000
LEDGER_USED_NS = 86_400 * SECOND_NS
"""A site to which no run was published for so long gets no more of a user's node's ledger."""


@dataclass(frozen=True)
class Limits:
    """
    How much the daemon holds in memory.

    Attributes
    ----------
    budget_bytes : int
        The most that all clients together may make it hold: never exceeded.
    in_flight_bytes : int
        What it aims at. Bytes in flight over bytes stored per second is the
        time that an acknowledgement takes, so this keeps it short under load.
    least_window_bytes, first_window_bytes, greatest_window_bytes : int
        Credit of one client: at least (or none), in its Welcome, at most. The
        least must hold the largest record; the greatest bounds a frame.
    batch_bytes : int
        Commit as soon as that much is pending.
    """

    budget_bytes: int = 64 << 20
    in_flight_bytes: int = 6 << 20
    least_window_bytes: int = 64 << 10
    first_window_bytes: int = 256 << 10
    greatest_window_bytes: int = 4 << 20
    batch_bytes: int = 1 << 20


@dataclass(frozen=True)
class Options:
    """
    Parameters of a `NodeState`.

    Attributes
    ----------
    own_uid : int
        Who the daemon runs as.
    system : bool
        Everybody on the node is welcome, not only `own_uid` and root.
    host : str
        This node's name.
    default_site : str
        Where runs go that name no site; in a service for all users: where all go.
    user_clients, user_bytes_per_s, user_stored_bytes : int
        In a service for all users: what one of them may have; 0: any number.
    told_of_jobs : bool
        Root tells of every job that begins on this node.
    all_jobs : bool
        Record every job that root tells of, also one that logs nothing.
    energy : bool
        Energy is read; whoever asks for a seal waits for it.
    merge : bool
        Start a merge of a site after packs were published to it unasked.
    idle_ns : int
        End after so long with nothing to do; 0: never.
    """

    own_uid: int
    host: str
    default_site: str = ""
    system: bool = False
    user_clients: int = 0
    user_bytes_per_s: int = 0
    user_stored_bytes: int = 0
    told_of_jobs: bool = False
    all_jobs: bool = True
    energy: bool = False
    merge: bool = False
    commit_interval_ns: int = SECOND_NS // 10
    checkpoint_interval_ns: int = 600 * SECOND_NS
    grace_ns: int = 2 * SECOND_NS
    idle_ns: int = 0
    limits: Limits = field(default_factory=Limits)


def options_from(
    settings: Settings, *, own_uid: int, host: str, default_site: str, merge: bool
) -> Options:
    """Translate the settings."""
    return Options(
        own_uid=own_uid,
        host=host,
        default_site=str(settings.system_site) if settings.system else default_site,
        system=settings.system,
        user_clients=settings.quota_clients,
        user_bytes_per_s=settings.quota_bytes_per_s,
        user_stored_bytes=settings.quota_stored_bytes,
        told_of_jobs=settings.system and (settings.node_dir / JOBS).exists(),
        all_jobs=settings.system_jobs,
        energy=settings.energy,
        merge=merge,
        commit_interval_ns=round(settings.commit_interval_s * SECOND_NS),
        checkpoint_interval_ns=round(settings.checkpoint_interval_s * SECOND_NS),
        grace_ns=round(settings.seal_grace_s * SECOND_NS),
        idle_ns=round(settings.idle_s * SECOND_NS),
    )
