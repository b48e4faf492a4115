"""The thread that carries a journal to a daemon, against a socket that says anything."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest
import zmq

from cmfd.client.journal import JournalWriter
from cmfd.client.sender import Sender
from cmfd.wire import endpoint
from cmfd.wire.messages import (
    Ack,
    Hello,
    Param,
    Refused,
    Slice,
    Unknown,
    Welcome,
    decode_message,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T")
PATIENCE_MS = 20_000
WELCOME = encode(Welcome(protocol=1, epoch=bytes(16), credit_bytes=1 << 20, committed=[]))


@dataclass
class Conversation:
    """A sender, what it carries, what it complained of, and the other end of its socket."""

    sender: Sender
    journal: JournalWriter
    complaints: list[str]
    router: zmq.Socket[bytes]
    route: bytes = b""

    def hear(self, kind: type[T]) -> T:
        """Wait for a message of a kind."""
        while self.router.poll(PATIENCE_MS):
            self.route, head, *_ = self.router.recv_multipart()
            message = decode_message(head)
            if isinstance(message, kind):
                return message
        raise AssertionError(f"no {kind.__name__}")

    def answer(self, *answers: bytes) -> None:
        """Say anything to the sender's next hello."""
        self.hear(Hello)
        for data in answers:
            self.router.send_multipart([self.route, data])

    def serve(self) -> None:
        """Acknowledge what it sends next."""
        got = self.hear(Slice)
        ack = Ack(committed=[(got.block, got.first, got.end)], credit_bytes=1 << 20)
        self.router.send_multipart([self.route, encode(ack)])


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Conversation]:
    """Start a sender that has something to say."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.bind(f"ipc://{tmp_path}/s")
    journal = JournalWriter(tmp_path, bytes(16), limit_bytes=1 << 20)
    journal.append(Param(at_ns=1, execution=bytes(16), key="k", type="int", value=1))
    complaints: list[str] = []
    sender = Sender(journal, f"ipc://{tmp_path}/s", 0.05, on_refused=complaints.append)
    sender.start()
    yield Conversation(sender, journal, complaints, router)
    sender.stop()
    router.close()
    context.term()
    journal.close(remove=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", [b"no message", encode(Refused(reason="not today")), encode(Unknown())]
)
def test_a_daemon_that_says_something_else_is_asked_again(talk: Conversation, first: bytes) -> None:
    """Whatever it says, the thread goes on, and sends all once it is welcome."""
    talk.answer(first)
    talk.answer(WELCOME)
    talk.serve()

    assert talk.sender.drain(PATIENCE_MS / 1000, PATIENCE_MS / 1000)


@pytest.mark.slow
def test_who_took_the_name_of_a_daemon_is_not_believed(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledged by it, a journal would be removed; the kernel says whose it is."""
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    monkeypatch.setattr(endpoint, "ROOT_UID", 12_346)
    talk.answer(WELCOME)
    talk.hear(Hello)

    assert "neither you nor root" in talk.complaints[0]
    assert not talk.sender.connected


def test_each_who_waits_is_told_of_what_he_wrote_himself(talk: Conversation) -> None:
    """An earlier wait that was given up tells nothing of what was written after it."""
    assert not talk.sender.drain(0.0, 0.0)
    talk.answer(WELCOME)
    talk.serve()
    assert talk.sender.drain(PATIENCE_MS / 1000, PATIENCE_MS / 1000)

    talk.journal.append(Param(at_ns=1, execution=bytes(16), key="k", type="int", value=2))
    assert not talk.sender.drain(0.1, 0.1)


def test_nobody_waits_for_a_sender_that_has_failed(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that flushes now and then would wait as long for each."""
    talk.answer(WELCOME)
    talk.serve()
    assert talk.sender.drain(PATIENCE_MS / 1000, PATIENCE_MS / 1000)

    def fail(_budget_bytes: int) -> None:
        raise MemoryError

    monkeypatch.setattr(talk.journal, "unsent", fail)
    talk.sender.join(PATIENCE_MS / 1000)
    assert not talk.sender.is_alive()
    assert not talk.sender.connected


@pytest.mark.slow
def test_a_sender_that_gets_no_new_connection_tries_again(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may have no descriptors left when its daemon falls silent, and some later."""
    talk.answer(WELCOME)
    talk.serve()
    assert talk.sender.drain(PATIENCE_MS / 1000, PATIENCE_MS / 1000)
    refused = threading.Event()
    real = zmq.Context.socket

    def no_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
        if not refused.is_set():
            refused.set()
            raise zmq.ZMQError(errno.EMFILE)
        return real(context, kind)

    monkeypatch.setattr(zmq.Context, "socket", no_socket)
    talk.sender._stalled = True  # as after some seconds of silence
    talk.sender.wake()
    assert refused.wait(PATIENCE_MS / 1000)
    talk.journal.append(Param(at_ns=1, execution=bytes(16), key="k", type="int", value=2))
    talk.answer(WELCOME)
    talk.serve()
    assert talk.sender.drain(PATIENCE_MS / 1000, PATIENCE_MS / 1000)


def test_waking_a_sender_that_has_ended_does_no_harm(tmp_path: Path) -> None:
    """Not even to a program that lets itself be killed by SIGPIPE, as filters do."""
    program = (
        "import signal, sys; from pathlib import Path\n"
        "from cmfd.client.journal import JournalWriter\n"
        "from cmfd.client.sender import Sender\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "journal = JournalWriter(Path(sys.argv[1]), bytes(16), limit_bytes=1 << 20)\n"
        "sender = Sender(journal, f'ipc://{sys.argv[1]}/s', 0.05)\n"
        "sender.start(); sender.stop(); sender.join(); sender.wake()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=60)
