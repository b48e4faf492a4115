"""Where the daemon listens, and who is at the other end."""

from __future__ import annotations

import os
import socket
import stat
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq
from support.daemons import wait_until

from cmfd.errors import DaemonUnavailableError, WireError
from cmfd.wire import control
from cmfd.wire import endpoint as wire_endpoint
from cmfd.wire.endpoint import (
    MAX_SOCKET_PATH_BYTES,
    Peer,
    endpoint,
    listener,
    parse_peer,
    socket_path,
)
from cmfd.wire.messages import Refused, StatusReply, StatusRequest, encode

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def node_dir(short_dir: Path) -> Path:
    """Return a directory whose socket path is short enough."""
    return short_dir


def answering(node_dir: Path, answer: bytes) -> threading.Thread:
    """Listen, and answer one message with these bytes."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint(node_dir))

    def serve() -> None:
        route, *_ = router.recv_multipart()
        router.send_multipart([route, answer])
        router.close()
        context.term()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.fixture
def bound(node_dir: Path) -> Iterator[socket.socket]:
    """Listen, and never answer."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_path(node_dir)))
        server.listen()
        yield server


def test_the_socket_is_in_the_node_directory(node_dir: Path) -> None:
    """There only its owner gets to it."""
    assert socket_path(node_dir) == node_dir / "daemon.sock"
    assert endpoint(node_dir) == f"ipc://{node_dir}/daemon.sock"


def test_a_path_too_long_for_a_socket_gets_a_short_name(tmp_path: Path) -> None:
    """Its directory decides the name, so all processes find it."""
    deep = tmp_path / ("d" * 120)

    path = socket_path(deep)

    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert path.parent == Path("/tmp")
    assert str(os.getuid()) in path.name
    assert path == socket_path(deep)
    assert path != socket_path(tmp_path / ("e" * 120))


def test_libzmq_tells_who_the_peer_is(node_dir: Path) -> None:
    """From the kernel: this very process."""
    context = zmq.Context()
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    router.bind(endpoint(node_dir))
    dealer.connect(endpoint(node_dir))
    dealer.send(b"hello")

    frames = router.recv_multipart(copy=False)

    address = frames[-1].get("Peer-Address")
    context.destroy(linger=0)
    assert parse_peer(str(address)) == Peer(os.getuid(), os.getgid(), os.getpid())


def test_a_peer_without_credentials_is_an_error() -> None:
    """Over tcp, say."""
    with pytest.raises(WireError, match="no credentials"):
        parse_peer("192.0.2.1")


def test_who_listens_is_known_from_the_kernel(node_dir: Path, bound: socket.socket) -> None:
    """So a name that somebody else took first deceives nobody."""
    assert bound.fileno() >= 0
    assert listener(node_dir) == Peer(os.getuid(), os.getgid(), os.getpid())


def test_nobody_listens_without_a_socket(node_dir: Path) -> None:
    """There is no daemon."""
    assert listener(node_dir) is None


def test_nobody_listens_at_a_socket_that_was_left_behind(node_dir: Path) -> None:
    """A killed daemon leaves one."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(socket_path(node_dir)))

    assert stat.S_ISSOCK(socket_path(node_dir).stat().st_mode)
    assert listener(node_dir) is None


def test_a_daemon_that_lets_nobody_in_is_not_waited_for(
    node_dir: Path, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped, while all tasks of a large node end."""
    monkeypatch.setattr(wire_endpoint, "PATIENCE_S", 0.01)
    bound.listen(0)
    with ExitStack() as waiting:
        with suppress(BlockingIOError):
            while True:
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(0)
                client.connect(str(socket_path(node_dir)))
        assert listener(node_dir) is None


def test_a_question_gets_its_answer(node_dir: Path) -> None:
    """Whatever it is; a refusal is an answer."""
    thread = answering(node_dir, encode(Refused(reason="no")))

    assert control.request(node_dir, StatusRequest(), 5) == Refused(reason="no")
    thread.join()


def test_a_question_to_nobody_fails_at_once(node_dir: Path) -> None:
    """It says how to start a daemon."""
    with pytest.raises(DaemonUnavailableError, match="cmfd daemon"):
        control.request(node_dir, StatusRequest(), 60)


def test_a_question_without_an_answer_ends(node_dir: Path, bound: socket.socket) -> None:
    """A daemon that hangs holds up nobody for long."""
    assert bound.fileno() >= 0
    with pytest.raises(DaemonUnavailableError, match="did not answer"):
        control.request(node_dir, StatusRequest(), 0.05)


def test_a_daemon_that_ends_is_not_waited_for(node_dir: Path) -> None:
    """It has the question, and another that comes in its place does not."""

    def ends_and_another_begins() -> None:
        with zmq.Context() as context:
            with context.socket(zmq.ROUTER) as first:
                first.bind(endpoint(node_dir))
                first.recv_multipart()
            with context.socket(zmq.ROUTER) as second:
                second.bind(endpoint(node_dir))
                done.wait()

    done = threading.Event()
    thread = threading.Thread(target=ends_and_another_begins)
    thread.start()
    wait_until(lambda: listener(node_dir) is not None, "the first listens")
    with pytest.raises(DaemonUnavailableError, match="ended before it answered"):
        control.request(node_dir, StatusRequest(), 3600)
    done.set()
    thread.join()


def test_a_daemon_that_ends_before_it_lets_in_is_not_waited_for(
    node_dir: Path, bound: socket.socket
) -> None:
    """As one that is killed while it begins."""
    threading.Timer(0.1, bound.shutdown, (socket.SHUT_RDWR,)).start()
    with pytest.raises(DaemonUnavailableError, match="ended, or lets nobody in"):
        control.request(node_dir, StatusRequest(), 3600)


def test_an_end_is_seen_although_another_daemon_has_let_in_meanwhile(
    node_dir: Path, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where who asks was off the processor."""
    assert bound.fileno() >= 0
    let_in, gone = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED
    monkeypatch.setattr(control, "_events", lambda _: iter((let_in, gone, let_in)))
    with pytest.raises(DaemonUnavailableError, match="ended before it answered"):
        control.request(node_dir, StatusRequest(), 3600)


def test_an_answer_that_cannot_be_read_is_an_error(node_dir: Path) -> None:
    """A daemon of another release."""
    thread = answering(node_dir, b"\xc1")

    with pytest.raises(WireError, match="restart it"):
        control.request(node_dir, StatusRequest(), 5)
    thread.join()


def test_a_listener_of_another_user_is_not_talked_to(
    node_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp anybody may have taken the name."""
    monkeypatch.setattr(control, "listener", lambda _: Peer(os.getuid() + 1, 1, 1))

    with pytest.raises(DaemonUnavailableError, match="nothing was sent"):
        control.request(node_dir, StatusRequest(), 1)


def test_an_answer_may_be_large(node_dir: Path) -> None:
    """The status of hundreds of clients."""
    thread = answering(node_dir, encode(StatusReply(document="x" * 1_000_000)))

    answer = control.request(node_dir, StatusRequest(), 5)

    assert isinstance(answer, StatusReply)
    assert len(answer.document) == 1_000_000
    thread.join()
