"""
The loop: take in what happens, let the state decide, have it carried out.

Nothing is decided here. The loop sleeps until a message, a process's end, a
signal or the worker wakes it, or the state's next deadline: a daemon with
nothing to do uses no processor time at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections import deque
from typing import TYPE_CHECKING

import zmq

from cmfd.daemon.border import attempt
from cmfd.daemon.receive import stimulus_from
from cmfd.daemon.stimuli import Malformed, StopAsked, Tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cmfd.daemon.perform import Performer
    from cmfd.daemon.state import NodeState
    from cmfd.daemon.stimuli import Stimulus
    from cmfd.daemon.watch import Watch
    from cmfd.daemon.worker import Worker

log = logging.getLogger(__name__)

BURST = 32
"""Messages taken in before what is due is done: bounds how late a commit is."""
LOGGED_AT_FIRST = 20
LOGGED_EVERY = 1000
"""Of bad messages, the first few are logged, then one in so many: a flood must not fill a disk."""


class Alarm:
    """A pipe that signals and other threads wake the loop by."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._listens = False

    def fileno(self) -> int:
        """Return what to poll."""
        return self._reader

    def ring(self) -> None:
        """Wake the loop; from any thread."""
        with contextlib.suppress(OSError):  # full: it is about to wake; closed: it has ended
            os.write(self._writer, b"\0")

    def listen_to(self, *numbers: signal.Signals) -> None:
        """Have these signals wake the loop, which reads their numbers."""
        # In this order: one that comes in between must be heard, too.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._listens = True
        for number in numbers:
            signal.signal(number, lambda *_: None)  # else it would end the process

    def heard(self) -> set[int]:
        """Return the signals since the last call."""
        try:
            return set(os.read(self._reader, 4096)) - {0}
        except BlockingIOError:
            return set()

    def close(self) -> None:
        """Close the pipe."""
        if self._listens:
            signal.set_wakeup_fd(-1)
        reader, writer = self._reader, self._writer
        self._reader = self._writer = -1  # first: a thread that rings later must hit no other file
        os.close(reader)
        os.close(writer)


class Loop:
    """
    The daemon's only loop.

    Parameters
    ----------
    state : NodeState
        Decides.
    performer : Performer
        Carries out.
    socket : zmq.Socket
        Where clients speak.
    watch, worker, alarm
        What else can wake it.
    reload : callable
        Returns the stimulus that a SIGHUP is, or None if the new settings cannot be used.
    """

    def __init__(  # noqa: PLR0913 - all that can wake it
        self,
        state: NodeState,
        performer: Performer,
        socket: zmq.Socket[bytes],
        *,
        watch: Watch,
        worker: Worker,
        alarm: Alarm,
        reload: Callable[[], Stimulus | None],
    ) -> None:
        self._state = state
        self._performer = performer
        self._socket = socket
        self._watch = watch
        self._worker = worker
        self._alarm = alarm
        self._reload = reload
        self._n_bad = 0
        self._poller = zmq.Poller()
        for source in (socket, watch.fileno(), alarm.fileno()):
            self._poller.register(source, zmq.POLLIN)

    def run(self, first: Iterable[Stimulus]) -> str:
        """Run until the state asks to end; returns why it did."""
        self._take_in(first)
        while not self._performer.exit_reason:
            ready = dict(self._poller.poll(self._timeout_ms()))
            # Messages first: a process that said goodbye and ended did so in that order.
            if self._socket in ready:
                self._receive()
            if self._watch.fileno() in ready:
                self._take_in(self._performer.ended())
            if self._alarm.fileno() in ready:
                self._take_in(self._woken())
            self._take_in([Tick()])
        return self._performer.exit_reason

    def _timeout_ms(self) -> int | None:
        deadline_ns = self._state.deadline_ns()
        if deadline_ns is None:
            return None
        # Rounded up: to wake a little early would be to spin until it is time.
        return max(0, -((time.monotonic_ns() - deadline_ns) // 1_000_000))

    def _take_in(self, stimuli: Iterable[Stimulus]) -> None:
        """Let the state handle what happened, and all that follows from it."""
        happened = deque(stimuli)
        while happened:
            stimulus = happened.popleft()
            for effect in self._state.handle(stimulus, time.monotonic_ns()):
                happened += self._performer.perform(effect)

    def _receive(self) -> None:
        for _ in range(BURST):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            error = attempt(self._take_in_message, frames)
            if error is not None:
                # A bug of ours, but the message brought it out, and its sender may be anybody.
                self._bad(Malformed(frames[0].bytes, None, f"cannot be handled: {error!r}"))

    def _take_in_message(self, frames: list[zmq.Frame]) -> None:
        # Every frame but the first, which names the connection, knows its peer.
        address = str(frames[-1].get("Peer-Address"))
        stimulus = stimulus_from(frames[0].bytes, address, [frame.bytes for frame in frames[1:]])
        if isinstance(stimulus, Malformed):
            self._bad(stimulus)
        else:
            self._take_in([stimulus])

    def _bad(self, stimulus: Malformed) -> None:
        self._n_bad += 1
        if self._n_bad <= LOGGED_AT_FIRST or self._n_bad % LOGGED_EVERY == 0:
            log.warning(
                "message %d that was dropped, from %s: %s",
                self._n_bad, stimulus.peer, stimulus.reason,
            )  # fmt: skip
        self._take_in([stimulus])

    def _woken(self) -> list[Stimulus]:
        stimuli: list[Stimulus] = []
        for number in sorted(self._alarm.heard()):
            if number == signal.SIGCHLD:
                stimuli += self._performer.merges_ended()
            elif number == signal.SIGHUP:
                reloaded = self._reload()
                stimuli += [reloaded] if reloaded is not None else []
            else:
                stimuli.append(StopAsked(signal.Signals(number).name))
        return [*stimuli, *self._worker.results(), *self._performer.energy_read()]
