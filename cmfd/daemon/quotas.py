"""
What each user of a node may have of its daemon, so that none can starve another.

Law: of what there is to give, whoever comes finds half of what the others left; and who has had
more than his rate waits, while everybody else goes on. In a daemon for one user, all is his.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmfd.daemon.options import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.daemon.options import Options

BURST_NS = SECOND_NS
"""Who was quiet for so long may be as much faster for a while."""


@dataclass(eq=False)
class Usage:
    """
    What one user has.

    Attributes
    ----------
    clients : int
        Sessions that are open.
    held_bytes : int
        What these are promised, and what is held of those that are over.
    paid_ns : int
        By then his rate will have paid for what he sent.
    stored_bytes : int
        What the store has of him, as far as it is known.
    """

    clients: int = 0
    held_bytes: int = 0
    paid_ns: int = 0
    stored_bytes: int = 0


class Quotas:
    """
    The usage of every user, and what it allows.

    Parameters
    ----------
    options : Options
        May be replaced at any time.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.table: dict[int, Usage] = {}

    def of(self, uid: int) -> Usage:
        """Return what a user has."""
        if uid not in self.table:
            self.table[uid] = Usage()
        return self.table[uid]

    # -- what there is to give -------------------------------------------------------------

    def share_bytes(self, uid: int, held_bytes: int) -> int:
        """Return how much of the budget a user may hold, all users holding `held_bytes`."""
        budget_bytes = self.options.limits.budget_bytes
        if not self.options.system:
            return budget_bytes
        return (budget_bytes - (held_bytes - self.of(uid).held_bytes)) // 2

    def n_users(self) -> int:
        """Return how many users have clients here."""
        return sum(bool(usage.clients) for usage in self.table.values())

    # -- how fast --------------------------------------------------------------------------

    def took(self, uid: int, n_bytes: int, now_ns: int) -> None:
        """Note that something of a user was taken in."""
        rate = self.options.user_bytes_per_s
        if self.options.system and rate:
            usage = self.of(uid)
            usage.paid_ns = max(usage.paid_ns, now_ns - BURST_NS) + n_bytes * SECOND_NS // rate

    def may_send(self, uid: int, now_ns: int) -> bool:
        """Tell whether a user's turn has come to send more."""
        usage = self.table.get(uid)
        return usage is None or (usage.paid_ns <= now_ns and not self.is_full(uid))

    def next_ns(self, uids: Iterable[int], now_ns: int) -> int | None:
        """Return when the turn of one of these comes who has to wait for it; None: not by time."""
        dues = [self.of(uid).paid_ns for uid in uids if not self.is_full(uid)]
        return min((due for due in dues if due > now_ns), default=None)

    # -- how much --------------------------------------------------------------------------

    def stored(self, uid: int, n_bytes: int) -> None:
        """Note that the store has more of a user."""
        self.of(uid).stored_bytes += n_bytes

    def seen(self, stored_bytes: dict[int, int]) -> None:
        """Take what the store says that it has of each user."""
        for uid in {*self.table, *stored_bytes}:
            self.of(uid).stored_bytes = stored_bytes.get(uid, 0)

    def is_full(self, uid: int) -> bool:
        """Tell whether the store has as much of a user as it may."""
        limit = self.options.user_stored_bytes
        if not self.options.system or not limit:
            return False
        usage = self.table.get(uid)
        return usage is not None and usage.stored_bytes >= limit

    def full(self) -> tuple[int, ...]:
        """Return the users of whom nothing more is taken."""
        return tuple(uid for uid in self.table if self.is_full(uid))

    # -- who may come ----------------------------------------------------------------------

    def refusal(self, uid: int) -> str:
        """Say why a user's process is not served now, or nothing."""
        limit = self.options.user_clients
        if self.is_full(uid):
            return (
                f"this node keeps {self.of(uid).stored_bytes} bytes of user {uid} already "
                f"(quota_stored_bytes is {self.options.user_stored_bytes}); the journal keeps what "
                "is logged until some of that is published"
            )
        if self.options.system and limit and self.of(uid).clients >= limit:
            return (
                f"user {uid} has {limit} processes here already (quota_clients); the journal keeps "
                "what is logged, and is taken in when one of them or this one has ended"
            )
        return ""

    def check(self) -> None:
        """Assert the invariants."""
        for usage in self.table.values():
            assert min(usage.clients, usage.held_bytes, usage.stored_bytes) >= 0
