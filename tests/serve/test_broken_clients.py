"""Slow, broken and hostile clients: each is left after a while, and nobody else notices."""

from __future__ import annotations

import json
import random
import socket
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from support.daemons import wait_until
from support.exchange import MakeSite, add, digest, to
from support.serving import Served, served

from cmfd.serve.body import Pace
from cmfd.serve.connection import MOST_OF_ONE, Connection
from cmfd.serve.service import USUAL
from cmfd.sync.exchange import push
from cmfd.sync.peer import MOST_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.merge.layout import Site


@contextmanager
def connected(hub: Served) -> Iterator[socket.socket]:
    """Connect to a server without any manners."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=30) as wire:
        yield wire


def head(hub: Served, first: str, **headers: str) -> bytes:
    """Return the head of a request."""
    lines = [f"{first} HTTP/1.1", "Host: hub", f"Authorization: Bearer {hub.token}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def until_closed(wire: socket.socket) -> bytes:
    """Read until the server has enough."""
    said = b""
    with suppress(ConnectionResetError):
        while data := wire.recv(1 << 16):
            said += data
    return said


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a server little patience."""
    monkeypatch.setattr(Connection, "asks_s", 0.5)
    monkeypatch.setattr(Connection, "takes_s", 0.5)


@pytest.mark.usefixtures("hasty")
def test_who_does_not_ask_is_left(make_site: MakeSite) -> None:
    """Nothing, half a head, or a byte now and then; a new byte buys no time."""
    with served(make_site("hub", 1)) as hub, ExitStack() as stack:
        wires = [stack.enter_context(connected(hub)) for _ in range(20)]
        for number, wire in enumerate(wires):
            wire.sendall(head(hub, "GET /v1/about")[: 5 * number])
        with connected(hub) as slow:
            slow.settimeout(0.05)
            for byte in head(hub, "GET /v1/about") * 100:
                try:
                    slow.sendall(bytes([byte]))
                    if not slow.recv(1):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            else:
                pytest.fail("it was never left")
        assert hub("GET", "/v1/about")[0] == 200
        assert [until_closed(wire) for wire in wires] == [b""] * 20


@pytest.mark.usefixtures("hasty")
def test_who_does_not_take_the_answer_is_left(make_site: MakeSite) -> None:
    """However many; others are answered meanwhile."""
    site = make_site("hub", 1)
    packs = list(site.merged_packs())
    with packs[0].open("ab") as file:  # as large as nothing in between can hold
        file.truncate(64 << 20)
    with served(site) as hub, ExitStack() as stack:
        wires = [stack.enter_context(connected(hub)) for _ in range(5)]
        for wire in wires:
            wire.sendall(head(hub, f"GET /v1/packs/{packs[0].stem}"))
        assert hub("GET", "/v1/about")[0] == 200
        wait_until(lambda: not hub.server.server_state.connections, "all are left")
        assert all(len(until_closed(wire)) < 64 << 20 for wire in wires)


def test_a_body_that_comes_too_slowly_is_told_and_kept(make_site: MakeSite) -> None:
    """The next try goes on from there."""
    site, a = make_site("hub"), make_site("a", 1)
    (pack,) = a.merged_packs()
    data = pack.read_bytes()
    limits = USUAL._replace(pace=Pace(0.5, 1 << 20))
    with served(site, limits=limits) as hub:
        with connected(hub) as wire:
            wire.sendall(head(hub, f"PUT /v1/packs/{pack.stem}", Content_Length=str(len(data))))
            wire.sendall(data[:30_000])
            said = until_closed(wire)
        assert b" 408 " in said
        offset = json.loads(hub("GET", f"/v1/incoming/{pack.stem}")[1])["offset"]
        assert offset == 30_000
        rest = {"Content_Range": f"bytes 30000-{len(data) - 1}/{len(data)}"}
        assert hub("PUT", f"/v1/packs/{pack.stem}", data[30_000:], **rest)[0] == 204
        assert hub("POST", "/v1/merge")[0] == 200
    assert digest(a) == digest(site)


def test_bodies_that_are_not_what_they_say(make_site: MakeSite) -> None:
    """Too long, without end, of another length, no JSON, JSON without bottom: told, not kept."""
    site = make_site("hub")
    zeros = "0" * 64
    limits = USUAL._replace(pack_bytes=1 << 20)
    deep = b"[" * 200_000
    with served(site, limits=limits) as hub:
        for path in ("/v1/greeting", "/v1/since", "/v1/part", "/v1/packs"):
            for body in (b"", b"{", b"null", deep, b'{"digests":' + deep, b"\xff\xfe", b"1" * 5000):
                assert hub("POST", path, body)[0] == 422, (path, body[:20])
            assert hub("POST", path, b" " * (5 << 20))[0] == 413
        many = json.dumps([{"digest": zeros, "data": "YQ=="}] * (MOST_TOGETHER + 1)).encode()
        assert hub("POST", "/v1/packs", many)[0] == 422
        put = f"/v1/packs/{zeros}"
        assert hub("PUT", put, b"x" * (2 << 20))[0] == 413
        assert hub("PUT", put, b"x" * 100)[0] == 422
        for wrong in ("bytes 0-9/10", "bytes 5-3/4", "bytes */100", "bytes 0-99/1" + "0" * 30, "x"):
            assert hub("PUT", put, b"x" * 100, Content_Range=wrong)[0] in {400, 413}
        assert hub("PUT", put, b"x" * 100, Content_Range="bytes 900-999/1000")[0] == 409
        assert hub("PUT", put, b"x" * 100, CMFD_Signature="\x7f!")[0] == 400
        with connected(hub) as wire:  # chunks without end
            wire.sendall(head(hub, "POST /v1/since", Transfer_Encoding="chunked"))
            with suppress(OSError):
                while True:
                    wire.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        assert hub("GET", "/v1/about")[0] == 200
    assert not list(site.path.glob("incoming/*"))
    assert not site.inbox.exists() or not list(site.inbox.iterdir())


def test_noise_is_no_request(make_site: MakeSite) -> None:
    """Any bytes, heads without end, other protocols: the connection is closed, and that is all."""
    chance = random.Random(7)
    noises = [
        chance.randbytes(2000), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", b"GET " + b"/" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", b"\r\n" * 50_000,
    ]  # fmt: skip
    with served(make_site("hub", 1)) as hub:
        for noise in noises:
            with connected(hub) as wire, suppress(OSError):
                wire.sendall(noise)
                wire.shutdown(socket.SHUT_WR)
                assert b" 200 " not in until_closed(wire)
        assert hub("GET", "/v1/about")[0] == 200


def test_one_address_has_so_many_connections(make_site: MakeSite) -> None:
    """More are closed at once, and when some are gone there is room again."""
    with served(make_site("hub", 1)) as hub:
        with ExitStack() as stack:
            wires = [stack.enter_context(connected(hub)) for _ in range(MOST_OF_ONE + 5)]
            assert [until_closed(wire) for wire in wires[-5:]] == [b""] * 5
        wait_until(lambda: not hub.server.server_state.connections, "all are gone")
        assert hub("GET", "/v1/about")[0] == 200


def test_a_client_that_goes_away_while_it_pushes_leaves_a_beginning(make_site: MakeSite) -> None:
    """Which the next push ends; nothing of it is merged before."""
    site, a = make_site("hub"), make_site("a", 1)
    (pack,) = a.merged_packs()
    data = pack.read_bytes()
    with served(site) as hub:
        with connected(hub) as wire:
            wire.sendall(head(hub, f"PUT /v1/packs/{pack.stem}", Content_Length=str(len(data))))
            wire.sendall(data[:-1])
        assert wait_for(site, pack.stem) == len(data) - 1
        with hub.peer() as peer:
            assert push(a, to(site), peer).n_packs == 1
            add(a, 2)
            assert push(a, to(site), peer).n_packs == 1
    assert digest(a) == digest(site)


def wait_for(site: Site, stem: str) -> int:
    """Return the size of what came of a pack, when its writer has let go of it."""
    path = site.path / "incoming" / f"{stem}.part"
    wait_until(lambda: path.exists() and path.stat().st_size, "some of it is there")
    return path.stat().st_size
