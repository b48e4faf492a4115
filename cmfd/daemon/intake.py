"""
What clients send on its way to the disk: sessions, credit, and group commits.

Laws. A range is acknowledged only after a commit of exactly that range. What
all clients together may have sent without its being on disk never exceeds the
budget. When the store cannot write, nothing is dropped: the batch is tried
again for ever, nobody is granted anything new, and so nothing grows.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from cmfd.daemon.batch import Batch, Session
from cmfd.daemon.effects import Effect, Ended, LedgerMark, SealMark, Send
from cmfd.daemon.options import SECOND_NS
from cmfd.daemon.quotas import Quotas
from cmfd.wire.journal import EVENTS, POINTS
from cmfd.wire.messages import Ack, Flushed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cmfd.daemon.figures import Figures
    from cmfd.daemon.options import Options
    from cmfd.daemon.stimuli import CommitFailed, Committed
    from cmfd.store.jobs import JobWord
    from cmfd.store.node import JournalSlice
    from cmfd.wire.endpoint import Peer
    from cmfd.wire.messages import Slice

log = logging.getLogger(__name__)

FIRST_RETRY_NS = SECOND_NS // 4
LONGEST_RETRY_NS = 30 * SECOND_NS
_STUCK_FAILURES = 3
ACTIVE_NS = SECOND_NS
"""Credit is shared among the clients that sent something within this time."""


class Intake:
    """
    Sessions and the two batches: one being gathered, one being written.

    Parameters
    ----------
    options : Options
        May be replaced at any time.
    figures : Figures
        Where to count.
    """

    def __init__(self, options: Options, figures: Figures) -> None:
        self.options = options
        self.figures = figures
        self.quotas = Quotas(options)
        self.by_route: dict[bytes, Session] = {}
        self.by_instance: dict[bytes, Session] = {}
        self.pending = Batch(1)
        self.writing: Batch | None = None
        self.stored = 0
        """Number of the last batch on disk; numbers are given in order."""
        self.problem = ""
        """Why the last commit failed, until one succeeds."""
        self._failures = 0
        self._retry_ns = 0
        self._sessions = 0
        self._promised_bytes = 0
        self._orphaned_bytes = 0  # held of sessions that are over
        self._waiting: dict[int, dict[int, Session]] = {}
        """Those with no credit, each user's first come first."""

    # -- sessions --------------------------------------------------------------------------

    def open(self, route: bytes, peer: Peer, instance: bytes, journal: str, now_ns: int) -> Session:
        """Begin a session, in place of one that the route or the instance had."""
        for known in (self.by_route.get(route), self.by_instance.get(instance)):
            if known is not None:
                self.close(known)
        self._sessions += 1
        session = Session(self._sessions, route, instance, peer.uid, peer.pid, journal)
        self.by_route[route] = session
        self.by_instance[instance] = session
        usage = self.quotas.of(peer.uid)
        usage.clients += 1
        if self.problem:
            self._wait(session)
        else:
            share = self.options.limits.in_flight_bytes // self.quotas.n_users() // usage.clients
            self._grant(session, min(share, self.options.limits.first_window_bytes), now_ns)
        return session

    def close(self, session: Session) -> None:
        """End a session; what it sent is stored all the same."""
        if self.by_route.get(session.route) is not session:
            return
        del self.by_route[session.route]
        del self.by_instance[session.instance]
        self._wait_no_longer(session)
        self._promised_bytes -= session.promised_bytes
        self._orphaned_bytes += session.unacked_bytes
        usage = self.quotas.of(session.uid)
        usage.clients -= 1
        usage.held_bytes += session.unacked_bytes - session.promised_bytes

    def _wait(self, session: Session) -> None:
        self._waiting.setdefault(session.uid, {})[session.number] = session

    def _wait_no_longer(self, session: Session) -> None:
        waiting = self._waiting.get(session.uid)
        if waiting is not None:
            waiting.pop(session.number, None)
            if not waiting:
                del self._waiting[session.uid]

    def refuse(self, session: Session, reason: str) -> list[Effect]:
        """Cut a session off."""
        self.close(session)
        self.figures.counts.refused += 1
        log.warning("instance %s (pid %d): %s", session.instance.hex(), session.pid, reason)
        return [Send(session.route, Refused(reason=reason))]

    # -- credit ----------------------------------------------------------------------------

    def _grant(self, session: Session, wished_bytes: int, now_ns: int) -> None:
        """Set a session's window as near to the wish as there is room; 0: it must wait."""
        limits = self.options.limits
        usage = self.quotas.of(session.uid)
        share = self.quotas.share_bytes(session.uid, self._promised_bytes + self._orphaned_bytes)
        others = usage.held_bytes - session.promised_bytes
        # Beyond the first window only half of the share is given, so that a newcomer
        # nearly always finds something left.
        room = max(
            share // 2 - others,
            min(limits.first_window_bytes, share - others),
            session.promised_bytes,
        )
        if not self.quotas.may_send(session.uid, now_ns):
            room = 0
        window = min(max(wished_bytes, limits.least_window_bytes), room)
        session.window_bytes = window if window >= limits.least_window_bytes else 0
        grown_bytes = max(session.window_bytes - session.promised_bytes, 0)
        session.promised_bytes += grown_bytes
        usage.held_bytes += grown_bytes
        self._promised_bytes += grown_bytes
        if session.window_bytes:
            self._wait_no_longer(session)
        else:
            self._wait(session)

    def _wishes(self, now_ns: int) -> Callable[[int], int]:
        """Return what tells how much each session of a user should have now."""
        limits = self.options.limits
        since_ns = now_ns - ACTIVE_NS
        active = Counter(
            session.uid for session in self.by_route.values() if session.active_ns > since_ns
        )
        each_bytes = limits.in_flight_bytes // max(len(active), 1)
        return lambda uid: min(each_bytes // max(active[uid], 1), limits.greatest_window_bytes)

    def grant_waiting(self, now_ns: int) -> list[Effect]:
        """Let go on those who had to wait for credit, as far as there is some now."""
        if self.problem:
            return []
        effects: list[Effect] = []
        for uid in list(self._waiting):
            if self.quotas.may_send(uid, now_ns):
                effects += self._grant_some(list(self._waiting[uid].values()), now_ns)
        return effects

    def _grant_some(self, waiting: list[Session], now_ns: int) -> list[Effect]:
        """Let as many of a user's sessions go on as there is room for."""
        effects: list[Effect] = []
        for session in waiting:
            self._grant(session, self.options.limits.least_window_bytes, now_ns)
            if not session.window_bytes:
                break
            ack = Ack(committed=[], credit_bytes=session.window_bytes)
            effects.append(Send(session.route, ack))
        return effects

    # -- taking in -------------------------------------------------------------------------

    def slice(self, session: Session, message: Slice, payload: bytes, now_ns: int) -> list[Effect]:
        """Take a slice, unless its sender was not granted that much."""
        size = len(payload)
        if session.unacked_bytes + size > session.promised_bytes:
            self.figures.counts.overruns += 1
            return self.refuse(
                session,
                f"{session.unacked_bytes + size} bytes sent on a credit of "
                f"{session.promised_bytes}; the journal keeps them, say hello again",
            )
        session.unacked_bytes += size
        session.active_ns = now_ns
        self.quotas.took(session.uid, size, now_ns)
        self._count(message, size)
        self.pending.add(session, message, payload, now_ns)
        # Half a window: its sender would soon have to stop and wait.
        urgent = (
            session.unacked_bytes * 2 >= session.window_bytes
            or self.pending.n_bytes >= self.options.limits.batch_bytes
        )
        self.pending.wanted_by(now_ns if urgent else now_ns + self.options.commit_interval_ns)
        return []

    def _count(self, message: Slice, size: int) -> None:
        counts = self.figures.counts
        counts.slices_received += 1
        counts.bytes_received += size
        if message.kind == POINTS:
            counts.values_received += message.end - message.first
        elif message.kind != EVENTS:
            # Beside its values a row has time, step, the valid word and the mark.
            columns = (message.record_bytes - 24) // 8
            counts.values_received += columns * (message.end - message.first)

    def flush(self, session: Session, token: int, now_ns: int) -> list[Effect]:
        """Answer when all that the session sent so far is on disk."""
        for batch in (self.pending, self.writing):
            if batch is not None and session.number in batch.shares:
                batch.shares[session.number].flushes.append(token)
                self.hurry(now_ns)
                return []
        return [Send(session.route, Flushed(token=token))]

    def pieces(self, items: Sequence[JournalSlice], now_ns: int) -> int:
        """Take slices read from a journal; returns the batch that they are in."""
        self.pending.add_pieces(items)
        for item in items:
            self.quotas.took(item.uid, len(item.payload), now_ns)
        self.pending.wanted_by(now_ns)
        return self.pending.number

    def end(self, ended: Ended, now_ns: int) -> None:
        """Write that an instance has ended, together with the rest of it."""
        self.pending.ended.append(ended)
        self.pending.wanted_by(now_ns)

    def mark(self, mark: SealMark, now_ns: int) -> None:
        """Write that a run was published."""
        self.pending.sealed.append(mark)
        self.pending.wanted_by(now_ns)

    def mark_ledger(self, mark: LedgerMark, now_ns: int) -> None:
        """Write that the node's ledger was published."""
        self.pending.ledgers.append(mark)
        self.pending.wanted_by(now_ns)

    def tell(self, word: JobWord, now_ns: int) -> None:
        """Write what root says of a job."""
        self.pending.jobs.append(word)
        self.pending.wanted_by(now_ns)

    # -- group commit ----------------------------------------------------------------------

    def hurry(self, now_ns: int) -> int:
        """Commit what there is now; returns the batch after which all of it is on disk."""
        if self.pending.due_ns is not None:
            self.pending.wanted_by(now_ns)
            return self.pending.number
        return self.writing.number if self.writing is not None else self.stored

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to write."""
        return self.writing is None and self.pending.due_ns is None

    def deadline_ns(self) -> int | None:
        """Return when `commit_due` has something to do; None: not by itself."""
        if self.writing is not None:
            return self._retry_ns if self.problem else None
        return self.pending.due_ns

    def commit_due(self, now_ns: int) -> list[Effect]:
        """Ask for the commit that is due."""
        deadline_ns = self.deadline_ns()
        if deadline_ns is None or now_ns < deadline_ns:
            return []
        if self.writing is None:
            self.writing = self.pending
            self.pending = Batch(self.writing.number + 1)
        self._retry_ns = now_ns + LONGEST_RETRY_NS  # not again before this one is answered
        return [self.writing.effect(self.options.host)]

    def committed(self, stimulus: Committed, now_ns: int) -> tuple[Batch, list[Effect]]:
        """Acknowledge a batch; returns it, for who else waits for it."""
        batch = self.writing
        assert batch is not None
        assert batch.number == stimulus.number
        self.writing = None
        self.stored = batch.number
        self._recovered()
        self._count_commit(batch, stimulus)
        effects = self._cut_off(stimulus.unusable)
        wish_of = self._wishes(now_ns)
        for share in batch.shares.values():
            session = share.session
            self.quotas.stored(session.uid, share.n_bytes)
            if self.by_route.get(session.route) is not session:
                self._orphaned_bytes -= share.n_bytes
                self.quotas.of(session.uid).held_bytes -= share.n_bytes
                continue
            session.unacked_bytes -= share.n_bytes
            self._grant(session, wish_of(session.uid), now_ns)
            self.figures.ack.add(now_ns - share.since_ns)
            effects.append(
                Send(
                    session.route, Ack(committed=share.ranges(), credit_bytes=session.window_bytes)
                )
            )
            effects += [Send(session.route, Flushed(token=token)) for token in share.flushes]
        for item in batch.pieces:
            self.quotas.stored(item.uid, len(item.payload))
        return batch, effects + self._refuse_full() + self.grant_waiting(now_ns)

    def _refuse_full(self) -> list[Effect]:
        """Cut off whoever has had all that may be kept of him: he is told why, and others go on."""
        full = self.quotas.full()
        return [
            effect
            for session in (list(self.by_route.values()) if full else ())
            if session.uid in full
            for effect in self.refuse(session, self.quotas.refusal(session.uid))
        ]

    def _recovered(self) -> None:
        if self.problem:
            log.info("the node store can be written again")
        self.problem = ""
        self._failures = 0

    def _count_commit(self, batch: Batch, stimulus: Committed) -> None:
        counts = self.figures.counts
        counts.commits += 1
        counts.slices_committed += batch.n_slices - len(stimulus.unusable)
        counts.bytes_committed += batch.n_bytes
        counts.slices_unusable += len(stimulus.unusable)
        self.figures.commit.add(stimulus.took_ns)

    def _cut_off(self, unusable: Sequence[tuple[JournalSlice, str]]) -> list[Effect]:
        """Refuse the senders of what the store cannot take: it must not be acknowledged."""
        effects: list[Effect] = []
        for item, reason in unusable:
            log.error(
                "journal %s keeps units [%d, %d) of block %d, which cannot be stored: %s",
                item.journal, item.first, item.end, item.block, reason,
            )  # fmt: skip
            session = self.by_instance.get(item.instance)
            if session is not None:
                effects += self.refuse(session, f"block {item.block} cannot be stored: {reason}")
        return effects

    def failed(self, stimulus: CommitFailed, now_ns: int) -> list[Effect]:
        """Keep the batch and try again later, ever more rarely."""
        assert self.writing is not None
        assert self.writing.number == stimulus.number
        self.figures.counts.commits_failed += 1
        if stimulus.reason != self.problem:
            log.error(
                "the node store cannot be written: %s; nothing is acknowledged, journals keep "
                "what is logged, and it is tried again",
                stimulus.reason,
            )
        self.problem = stimulus.reason
        self._retry_ns = now_ns + min(FIRST_RETRY_NS << min(self._failures, 16), LONGEST_RETRY_NS)
        self._failures += 1
        return []

    @property
    def is_stuck(self) -> bool:
        """Whether the store could not be written several times in a row: a full disk, mostly."""
        return self._failures >= _STUCK_FAILURES

    @property
    def piece_bytes(self) -> int:
        """How much is held of what was read from journals."""
        return self.pending.piece_bytes + (self.writing.piece_bytes if self.writing else 0)

    @property
    def marking(self) -> bool:
        """Whether a mark of what was published is not on disk yet."""
        return bool(self.pending.sealed or (self.writing is not None and self.writing.sealed))

    # -- for people and tests --------------------------------------------------------------

    def document(self, uids: set[int] | None) -> list[dict[str, object]]:
        """Describe the clients; `uids`: only theirs."""
        return [
            {
                "instance": session.instance.hex(),
                "uid": session.uid,
                "pid": session.pid,
                "credit_bytes": session.window_bytes,
                "queued_bytes": session.unacked_bytes,
            }
            for session in self.by_route.values()
            if uids is None or session.uid in uids
        ]

    @property
    def waiting_uids(self) -> list[int]:
        """Users some of whose processes have no credit."""
        return list(self._waiting)

    @property
    def queued_bytes(self) -> int:
        """Payload bytes that are held and not on disk."""
        return self.pending.n_bytes + (self.writing.n_bytes if self.writing else 0)

    def check(self) -> None:
        """Assert the invariants."""
        sessions = list(self.by_route.values())
        assert {id(session) for session in sessions} == {
            id(session) for session in self.by_instance.values()
        }
        assert sum(session.promised_bytes for session in sessions) == self._promised_bytes
        assert self._promised_bytes + self._orphaned_bytes <= self.options.limits.budget_bytes
        for session in sessions:
            assert 0 <= session.unacked_bytes <= session.promised_bytes
            assert session.window_bytes <= session.promised_bytes
            waits = session.number in self._waiting.get(session.uid, ())
            assert (session.window_bytes == 0) == waits
        assert all(self._waiting.values())
        users = self.quotas.table.values()
        assert sum(usage.clients for usage in users) == len(sessions)
        assert (
            sum(usage.held_bytes for usage in users) == self._promised_bytes + self._orphaned_bytes
        )
        self.quotas.check()
        batches = [batch for batch in (self.pending, self.writing) if batch is not None]
        held = sum(batch.client_bytes for batch in batches)
        assert held == sum(s.unacked_bytes for s in sessions) + self._orphaned_bytes
        assert held == sum(share.n_bytes for b in batches for share in b.shares.values())
        pending = self.pending
        if pending.n_slices or pending.ended or pending.sealed or pending.ledgers or pending.jobs:
            assert self.pending.due_ns is not None, "what is pending is never forgotten"
