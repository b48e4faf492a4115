"""
What clients may say, and what each is answered.

Law: a user is who the kernel says. An instance belongs to the user who first
brought it; nobody else may speak for it, nor on its connection.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cmfd.daemon.effects import Effect, Introduce, Report, Send
from cmfd.daemon.transitions import TransitionError
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Bye,
    Flush,
    Hello,
    Refused,
    SealRequest,
    Slice,
    StatusRequest,
    Unknown,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cmfd.daemon.batch import Session
    from cmfd.daemon.options import Options
    from cmfd.daemon.runs import Runs
    from cmfd.daemon.stimuli import Introduced, Malformed, Received, Vanished

    Answer = Callable[[Received, Any, int], list[Effect]]

log = logging.getLogger(__name__)


class Reception:
    """
    The daemon's side of the conversation with its clients.

    Parameters
    ----------
    options : Options
        May be replaced at any time.
    epoch : bytes
        16 bytes made anew at each start.
    runs : Runs
        With it, the other parts of the state.
    describe : callable
        Returns the status document for a user.
    """

    def __init__(
        self,
        options: Options,
        epoch: bytes,
        runs: Runs,
        describe: Callable[[int], dict[str, object]],
    ) -> None:
        self.options = options
        self.epoch = epoch
        self.runs = runs
        self.intake = runs.intake
        self.instances = runs.instances
        self.figures = runs.figures
        self.describe = describe
        self.closed = False
        """Nothing new is taken in: the daemon ends."""
        self._answers: Mapping[type, Answer] = {
            Hello: self._hello,
            Flush: self._flush,
            Bye: self._bye,
            StatusRequest: self._status,
            SealRequest: self._seal,
        }

    def slice(self, stimulus: Received, message: Slice, now_ns: int) -> list[Effect]:
        """Take values or records, from whoever introduced himself."""
        if self.closed:
            return []  # not acknowledged, so its journal keeps it
        session = self._session(stimulus)
        if session is None:
            return [Send(stimulus.route, Unknown())]
        return self.intake.slice(session, message, stimulus.payload, now_ns)

    def received(self, stimulus: Received, now_ns: int) -> list[Effect]:
        """Answer any message but a slice."""
        uid = stimulus.peer.uid
        if not self.options.system and uid not in (self.options.own_uid, 0):
            reason = f"this daemon serves user {self.options.own_uid}, you are user {uid}"
            return self._refuse(stimulus.route, reason)
        return self._answers[type(stimulus.message)](stimulus, stimulus.message, now_ns)

    def malformed(self, stimulus: Malformed, now_ns: int) -> list[Effect]:
        """Count it; the loop has logged it, with its sender."""
        del now_ns
        self.figures.counts.malformed += 1
        session = self.intake.by_route.get(stimulus.route)
        if session is None:
            return []
        # It may have been a slice, which a later flush would count as sent: begin anew.
        self.intake.close(session)
        return [Send(stimulus.route, Unknown())]

    def vanished(self, stimulus: Vanished, now_ns: int) -> list[Effect]:
        """Forget a connection; its process may live on, and come back."""
        del now_ns
        self.figures.counts.vanished += 1
        session = self.intake.by_route.get(stimulus.route)
        if session is not None:
            self.intake.close(session)
        return []

    def introduced(self, stimulus: Introduced, now_ns: int) -> list[Effect]:
        """Welcome a client, now that its journal was looked at."""
        route, peer = stimulus.route, stimulus.peer
        if stimulus.owner not in (None, peer.uid):
            return self._refuse(route, "this instance is not yours")
        if stimulus.problem:
            return self._refuse(route, stimulus.problem)
        try:
            effects = self.instances.hello(stimulus)
        except TransitionError:
            return self._refuse(route, "nobody held this journal's lock, so it was taken over")
        session = self.intake.open(route, peer, stimulus.instance, stimulus.journal, now_ns)
        log.info("instance %s: pid %d says hello", session.instance.hex(), session.pid)
        welcome = Welcome(
            protocol=PROTOCOL_VERSION,
            epoch=self.epoch,
            credit_bytes=session.window_bytes,
            committed=stimulus.committed,
        )
        return [Send(route, welcome), *effects]

    def _refuse(self, route: bytes, reason: str) -> list[Effect]:
        self.figures.counts.refused += 1
        return [Send(route, Refused(reason=reason))]

    def _session(self, stimulus: Received) -> Session | None:
        """Return the sender's session; a route that another user speaks on is not its."""
        session = self.intake.by_route.get(stimulus.route)
        if session is not None and session.uid == stimulus.peer.uid:
            return session
        self.figures.counts.unknown += 1
        return None

    def _hello(self, stimulus: Received, message: Hello, now_ns: int) -> list[Effect]:
        del now_ns
        if self.closed:
            return []  # the next daemon will answer
        if message.protocol != PROTOCOL_VERSION:
            return self._refuse(
                stimulus.route,
                f"protocol {message.protocol}, this daemon speaks {PROTOCOL_VERSION}: "
                "use the same release of cmfd for both",
            )
        known = self.instances.table.get(message.instance)
        if len(message.instance) != 16 or (known is not None and known.uid != stimulus.peer.uid):
            return self._refuse(stimulus.route, "this instance is not yours")
        if message.instance not in self.intake.by_instance:
            reason = self.intake.quotas.refusal(stimulus.peer.uid)
            if reason:
                return self._refuse(stimulus.route, reason)
        return [Introduce(stimulus.route, stimulus.peer, message.instance, message.journal)]

    def _flush(self, stimulus: Received, message: Flush, now_ns: int) -> list[Effect]:
        if self.closed:
            return []  # slices before it were dropped
        session = self._session(stimulus)
        if session is None:
            return [Send(stimulus.route, Unknown())]
        return self.intake.flush(session, message.token, now_ns)

    def _bye(self, stimulus: Received, message: Bye, now_ns: int) -> list[Effect]:
        del message, now_ns
        session = self._session(stimulus)
        if session is not None:
            self.intake.close(session)
            # It removes its journal now, unless something is left in it: the file will tell.
            self.instances.alarm(session.instance, restless=True)
        return []

    def _status(self, stimulus: Received, message: StatusRequest, now_ns: int) -> list[Effect]:
        del message, now_ns
        return [Report(stimulus.route, self.describe(stimulus.peer.uid), stimulus.peer.uid)]

    def _seal(self, stimulus: Received, message: SealRequest, now_ns: int) -> list[Effect]:
        self.runs.ask(stimulus.route, stimulus.peer, message, now_ns)
        return []
