"""
The background thread that carries a journal to the node's daemon.

Nothing waits for it: what it has not sent is in the journal, and the daemon
reads the journal itself when this process dies. It sends complete units, keeps
no more unacknowledged bytes under way than the daemon grants, and after any
break asks the daemon what it holds and goes on from there.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
import zlib
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import msgspec

from cmfd.client.descriptors import Held, keep
from cmfd.client.values import legible
from cmfd.client.warn import tell
from cmfd.errors import WireError
from cmfd.forks import no_fork
from cmfd.wire.endpoint import check_daemon
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    Bye,
    Flush,
    Flushed,
    Hello,
    Refused,
    Slice,
    Unknown,
    Welcome,
    decode_message,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import zmq

    from cmfd.client.journal import JournalWriter
    from cmfd.wire.messages import AnyMessage

_HELLO_AGAIN_S = 1.0
_STALLED_S = 5.0  # acknowledgements are due within a commit interval; then ask anew
_LEAVE_S = 0.02
_DESCRIPTORS, _THREADS = 8, 4  # of libzmq's: six and two, and what begins meanwhile


class Sender(threading.Thread):
    """
    Carries one journal to one daemon until `stop`.

    Parameters
    ----------
    journal : JournalWriter
        What to carry.
    endpoint : str
        ZeroMQ address of the daemon.
    interval_s : float
        How often to look for new records.
    on_tick : callable
        Called on this thread about every `interval_s`; must not raise.
    on_refused : callable
        Called with the reason when the daemon does not serve this process.
    service_dir : Path, optional
        The node directory where one daemon serves all users; else only one's own is believed.
    """

    def __init__(  # noqa: PLR0913 - the last two are optional
        self,
        journal: JournalWriter,
        endpoint: str,
        interval_s: float,
        on_tick: Callable[[], None] = lambda: None,
        *,
        on_refused: Callable[[str], None] = lambda _reason: None,
        service_dir: Path | None = None,
    ) -> None:
        super().__init__(name="cmfd-sender", daemon=True)
        self._journal = journal
        self._endpoint = endpoint
        self._interval_s = interval_s
        self._on_tick = on_tick
        self._on_refused = on_refused
        self._service_dir = service_dir
        # Never closed: whoever wakes us late must not write to a file that has its number by
        # then. And no pipe: writing to one that nobody reads may kill a program (SIGPIPE).
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._witness = _witness()
        self._leaving = threading.Event()
        self._welcomed = threading.Event()
        self._waiting: list[threading.Event] = []
        self._reset()
        self._hello_s = 0.0
        self._asked = False  # a hello is under way
        self._stalled = False

    def _reset(self) -> None:
        self._credit_bytes = 0
        self._under_way: dict[tuple[int, int, int], int] = {}
        self._heard_s = time.monotonic()
        self._flush_token = 0
        self._flushed = 0

    @property
    def connected(self) -> bool:
        """Whether the daemon has answered and not fallen silent since."""
        return self._welcomed.is_set()

    # -- called by other threads -----------------------------------------------------------

    def wake(self) -> None:
        """Look for new records now."""
        if self._witness.is_ours:
            with suppress(OSError):  # it was woken more often than can be counted
                os.eventfd_write(self._wake_fd, 1)

    def drain(self, timeout_s: float, connect_s: float) -> bool:
        """
        Wait until the daemon has committed all that was written before this call.

        Parameters
        ----------
        timeout_s : float
            Longest to wait for a daemon that answers.
        connect_s : float
            Longest to wait for a daemon that has not answered yet.

        Returns
        -------
        bool
            Whether all is committed; if not, the journal has it.
        """
        drained = threading.Event()
        self._waiting.append(drained)
        self.wake()
        try:
            return self._welcomed.wait(connect_s) and drained.wait(timeout_s)
        finally:
            with suppress(ValueError):
                self._waiting.remove(drained)

    def stop(self) -> None:
        """End the thread; records not sent stay in the journal."""
        self._leaving.set()
        self.wake()
        self.join(timeout=1.0)

    # -- the thread ------------------------------------------------------------------------

    def run(self) -> None:
        """Connect and carry until told to stop."""
        try:
            while not self._carried():
                self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                self._witness = _witness()
        except Exception as error:  # noqa: BLE001 - law 1: a broken zmq
            tell("sending", error)
        finally:
            self._witness.close()
            self._welcomed.clear()  # whoever waits for the daemon would wait for nobody

    def _carried(self) -> bool:
        """Carry until the end; not so, if the program closed descriptors that it did not open."""
        try:
            self._carry()
        except Exception:
            if self._witness.is_ours:
                raise
            return False
        return True

    def _check_descriptors(self) -> None:
        """
        See that descriptors are still what they were: for another, libzmq ends the process.

        Raises
        ------
        OSError
            They are the program's by now.
        """
        if not self._witness.is_ours:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _carry(self) -> None:
        with no_fork():
            import zmq  # noqa: PLC0415 - 40 ms that no caller should wait for

        if not self._await_daemon() or not self._await_room():
            return
        context = zmq.Context()
        socket = self._connect(context)
        try:
            while not self._leaving.is_set():
                if self._stalled:
                    fresh = self._connected_anew(context)
                    if fresh is None:
                        continue
                    socket.close()
                    socket = fresh
                self._turn(socket)
            if self._welcomed.is_set() and not self._under_way and self._journal.settled:
                self._say(socket, Bye())
                socket.linger = int(_LEAVE_S * 1000)
        finally:
            if self._witness.is_ours:
                socket.close()
                context.term()
            else:
                keep(socket, context)

    def _await_daemon(self) -> bool:
        """Wait until a daemon has been there: libzmq would look for one every second."""
        path = self._endpoint.removeprefix("ipc://")
        while not self._leaving.is_set():
            if os.path.exists(path):  # noqa: PTH110 - asked several times a second
                return True
            self._sleep(self._patience_s)
            self._on_tick()
        return False

    def _await_room(self) -> bool:
        """Wait until libzmq can have what it begins with: without, it aborts the process."""
        while not self._leaving.is_set():
            try:
                _try_room()
            except (OSError, RuntimeError) as error:
                self._check_descriptors()
                tell("sending", error)
            else:
                return True
            self._on_tick()
            self._leaving.wait(_HELLO_AGAIN_S)
        return False

    def _connected_anew(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes] | None:
        """Open another connection; None where no descriptor is left for one just now."""
        import zmq  # noqa: PLC0415 - cached by now

        try:
            return self._connect(context)
        except zmq.ZMQError as error:
            tell("sending", error)
            self._welcomed.clear()
            self._leaving.wait(_HELLO_AGAIN_S)
            return None

    def _connect(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        """Open a connection; what was sent over another is the daemon's to account for."""
        import zmq  # noqa: PLC0415 - cached by now

        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.IMMEDIATE, 1)  # queue nothing for a daemon that is not there
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.connect(self._endpoint)
        self._welcomed.clear()
        self._stalled = self._asked = False
        self._hello_s = 0.0
        self._heard_s = time.monotonic()
        return socket

    def _turn(self, socket: zmq.Socket[bytes]) -> None:
        import zmq  # noqa: PLC0415 - cached by now

        self._check_descriptors()
        # What came since it was asked last, its descriptor does not tell of.
        came = int(socket.get(zmq.EVENTS)) & zmq.POLLIN
        self._sleep(0.0 if came else self._patience_s, int(socket.get(zmq.FD)))
        self._receive(socket, zmq.NOBLOCK)
        self._on_tick()
        self._keep_connected(socket)
        if self._welcomed.is_set() and not self._stalled:
            self._send_new(socket)

    @property
    def _patience_s(self) -> float:
        return 0.02 if self._waiting and not self._welcomed.is_set() else self._interval_s

    def _sleep(self, wait_s: float, *numbers: int) -> None:
        """Wait for one of the descriptors, or to be woken; and have libzmq look at none of them."""
        poller = select.poll()
        for number in (self._wake_fd, *numbers):
            poller.register(number, select.POLLIN)
        poller.poll(round(wait_s * 1000))
        self._check_descriptors()
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def _receive(self, socket: zmq.Socket[bytes], flags: int) -> None:
        import zmq  # noqa: PLC0415 - cached by now

        while True:
            try:
                head, *_ = socket.recv_multipart(flags, copy=False)
            except zmq.Again:
                return
            try:
                check_daemon(str(head.get("Peer-Address")), self._service_dir)
                message = decode_message(head.bytes)
            except (WireError, msgspec.MsgspecError) as error:
                self._on_refused(f"its answer is not believed: {error}")
                continue
            self._heard_s = time.monotonic()
            self._take_answer(message)

    def _take_answer(self, message: AnyMessage) -> None:
        if isinstance(message, Ack):
            self._arrived(message.committed)
            self._credit_bytes = message.credit_bytes
            self._journal.acknowledge(message.committed)
        elif isinstance(message, Flushed):
            self._flushed = message.token
        elif isinstance(message, Welcome):
            self._reset()
            self._asked = False
            self._credit_bytes = message.credit_bytes
            self._journal.resume(message.committed)
            self._welcomed.set()
        elif isinstance(message, Unknown):
            self._welcomed.clear()
            self._hello_s = 0.0
        elif isinstance(message, Refused):
            self._asked = False
            self._welcomed.clear()
            self._on_refused(message.reason)

    def _arrived(self, committed: list[tuple[int, int, int]]) -> None:
        for block, first, end in committed:
            if self._under_way.pop((block, first, end), None) is None:  # joined with others
                inside = [
                    key for key in self._under_way
                    if key[0] == block and first <= key[1] and key[2] <= end
                ]  # fmt: skip
                for key in inside:
                    del self._under_way[key]

    def _keep_connected(self, socket: zmq.Socket[bytes]) -> None:
        now_s = time.monotonic()
        waiting = self._asked or self._under_way or self._flush_token > self._flushed
        if waiting and now_s - self._heard_s > _STALLED_S:
            self._stalled = True
            return
        # Never twice over one connection without an answer: each hello begins a session anew,
        # and what the one before has under way would not be counted.
        may_ask = not self._asked and now_s - self._hello_s > _HELLO_AGAIN_S
        if not self._welcomed.is_set() and may_ask:
            hello = Hello(
                protocol=PROTOCOL_VERSION,
                instance=self._journal.instance,
                journal=legible(str(self._journal.path)),
            )
            if self._say(socket, hello):
                self._asked = True
                self._hello_s = self._heard_s = now_s

    def _send_new(self, socket: zmq.Socket[bytes]) -> None:
        room = self._credit_bytes - sum(self._under_way.values())
        for item in self._journal.unsent(room) if room > 0 else ():
            head = Slice(
                block=item.block,
                kind=item.kind,
                record_bytes=item.record_bytes,
                group=item.group,
                first=item.first,
                end=item.end,
                crc32=zlib.crc32(item.payload),
            )
            if not self._under_way:
                self._heard_s = time.monotonic()  # from here on an answer is due
            self._under_way[item.block, item.first, item.end] = len(item.payload)
            if not self._say(socket, head, item.payload):
                self._welcomed.clear()  # the next Welcome says what really arrived
                return
        self._settle(socket)

    def _settle(self, socket: zmq.Socket[bytes]) -> None:
        waiting = list(self._waiting)  # before looking: they wait for what was written before
        if not waiting:
            return
        if not self._under_way and self._journal.settled:
            for drained in waiting:
                drained.set()
        elif self._under_way and self._flush_token == self._flushed:
            self._flush_token += 1
            self._say(socket, Flush(token=self._flush_token))

    def _say(self, socket: zmq.Socket[bytes], message: AnyMessage, *payload: bytes) -> bool:
        import zmq  # noqa: PLC0415 - cached by now

        self._check_descriptors()
        try:
            socket.send_multipart([encode(message), *payload], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


def _witness() -> Held:
    """Open what cannot be taken for another, as one eventfd can for the next."""
    witness, other = os.pipe()
    os.close(other)
    return Held(witness)


def _try_room() -> None:
    """
    Open as many files and start as many threads as libzmq will.

    Raises
    ------
    OSError, RuntimeError
        There can be no more.
    """
    over = threading.Event()
    n_threads = _THREADS if threading.main_thread().is_alive() else 0  # at its end, Python has none
    threads = [threading.Thread(target=over.wait, daemon=True) for _ in range(n_threads)]
    with ExitStack() as opened:
        for _ in range(_DESCRIPTORS):
            null = Held(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            opened.callback(null.close)
        try:
            for thread in threads:
                thread.start()
        finally:
            over.set()
            for thread in filter(threading.Thread.is_alive, threads):
                thread.join()
