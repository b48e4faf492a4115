"""The exchange over pipes: what comes from the other side is believed in nothing."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.exchange import MakeSite, add, digest, to

from cmfd.errors import FilterError, NotFoundError, PackError, RemoteError, StoreError
from cmfd.merge import signatures
from cmfd.merge.layout import INCOMING
from cmfd.sync.exchange import pull, push, standing
from cmfd.sync.local import SitePeer
from cmfd.sync.messages import AskLacks, Block, Sorry
from cmfd.sync.peer import MOST_DIGESTS, Place, Wanted
from cmfd.sync.stdio import MOST_BYTES, Pipe, StdioPeer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.merge.layout import Site
    from cmfd.sync.peer import Blocks


@contextmanager
def over_pipes(peer: SitePeer, kind: type[Pipe] = Pipe) -> Iterator[StdioPeer]:
    """Yield a peer as who is at the other end of two pipes sees it."""
    ends = [os.pipe(), os.pipe()]
    (there_in, here_out), (here_in, there_out) = ends
    with (
        os.fdopen(there_in, "rb") as questions, os.fdopen(here_out, "wb") as ask,
        os.fdopen(here_in, "rb") as answers, os.fdopen(there_out, "wb") as answer,
    ):  # fmt: skip
        server = threading.Thread(target=serve, args=(peer, Pipe(questions, answer, "the client")))
        server.start()
        try:
            yield StdioPeer(kind(answers, ask, "the server"))
        finally:
            ask.close()
            server.join(60)
            assert not server.is_alive()


@pytest.mark.slow
def test_both_ways_over_pipes(make_site: MakeSite) -> None:
    """As between directories: equal digests, only what is new, and how far they are apart."""
    a, b = make_site("a", 1, 2, 3), make_site("b", 3, 4)
    with over_pipes(SitePeer(b)) as peer:
        assert standing(a, to(b), peer).ahead == 2
        assert pull(a, to(b), peer).n_packs == 1
        assert push(a, to(b), peer).n_packs == 2
        assert standing(a, to(b), peer).behind == 0
    assert digest(a) == digest(b)
    with over_pipes(SitePeer(b)) as peer:
        assert push(a, to(b), peer).n_packs == 0


class Waiting(Pipe):
    """A wire that counts how often it waits for an answer after a question."""

    n_waits = 0
    asks = False

    def say(self, message: object) -> None:
        """Ask."""
        self.asks = True
        super().say(message)  # type: ignore[arg-type] # whatever it is

    def hear(self) -> object:  # type: ignore[override] # as above
        """Wait, unless the answer is to what was asked before the one before."""
        self.n_waits += self.asks
        self.asks = False
        return super().hear()


@pytest.mark.slow
def test_a_push_of_something_new_waits_once(make_site: MakeSite) -> None:
    """If an earlier one is kept in mind, although others pushed meanwhile; else twice."""
    a, b = make_site("a", 1, 2), make_site("b")
    for runs, n_waits in (([], 2), ([100], 1), ([101, 102], 1), ([], 1)):
        add(a, *runs)
        add(b, *(run + 100 for run in runs))
        with over_pipes(SitePeer(b), Waiting) as peer:
            push(a, to(b), peer)
            assert isinstance(peer._pipe, Waiting)
            assert peer._pipe.n_waits == n_waits
    pull(a, to(b), SitePeer(b))
    assert digest(a) == digest(b)


@pytest.mark.slow
def test_small_packs_come_together(make_site: MakeSite) -> None:
    """However many a pull brings, it does not wait for each; one that is gone is told."""
    a, b = make_site("a"), make_site("b", *range(12))
    gone = next(b.merged_packs())
    gone.unlink()
    with over_pipes(SitePeer(b), Waiting) as peer:
        done = pull(a, to(b), peer)
        assert isinstance(peer._pipe, Waiting)
        assert peer._pipe.n_waits < 8
    assert [one for one, _ in done.left_out] == [gone.stem]
    assert done.n_packs == 11


def test_what_is_no_pack_is_refused_by_name_and_the_rest_is_taken(make_site: MakeSite) -> None:
    """Whatever it goes along with; all is told with the merge, and the wire still works."""
    a, b = make_site("a", 1), make_site("b")
    (good,) = a.merged_packs()
    bad = "0" * 64
    with over_pipes(SitePeer(b)) as peer:
        data = good.read_bytes()
        for name in (bad, good.stem):
            peer.write(name, len(data), lambda _: (block for block in [data]))
        taken = peer.merge()
        assert taken.absorbed == 1
        assert list(taken.refused) == [bad]
        assert peer.about().n_packs == 1
    assert digest(b) == digest(a)


def test_a_site_of_another_release_is_told(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before what it does not understand is looked for in what it answers."""
    a, b = make_site("a", 1), make_site("b")
    about = SitePeer.about
    monkeypatch.setattr(
        SitePeer,
        "about",
        lambda peer, guess=None: msgspec.structs.replace(about(peer, guess), protocol=1),
    )
    with over_pipes(SitePeer(b)) as peer, pytest.raises(RemoteError, match="speaks version 1"):
        push(a, to(b), peer)


@pytest.mark.slow
def test_more_packs_than_one_answer_has(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists come in pages."""
    monkeypatch.setattr("cmfd.sync.stdio._PAGE", 2)
    a, b = make_site("a", *range(7)), make_site("b")
    with over_pipes(SitePeer(a)) as peer:
        assert [one.place.number for one in peer.since(None)] == list(range(1, 8))
        assert pull(b, to(a), peer).n_packs == 7
    assert digest(a) == digest(b)


@pytest.mark.slow
def test_long_signatures_make_short_lists(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long they are together, no message is too long."""
    monkeypatch.setattr("cmfd.sync.stdio._PAGE_BYTES", 100)
    a, b = make_site("a", *range(5)), make_site("b")
    for pack in a.merged_packs():
        signatures.keep(a, pack.stem, "x" * 90)
    with over_pipes(SitePeer(a)) as peer:
        assert pull(b, to(a), peer).n_packs == 5
        assert len(peer.part(Wanted("", 0)).entries) == 5


def test_who_sends_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody wants is read only up to what a pack can have."""
    monkeypatch.setattr("cmfd.sync.stdio.MOST_PACK_BYTES", 1000)
    sent = io.BytesIO(said(*[Block(b"x" * 100)] * 20))
    blocks = StdioPeer(Pipe(sent, io.BytesIO(), "hpc")).read("a" * 64, 0)
    next(blocks)
    with pytest.raises(RemoteError, match="without end"):
        blocks.close()


def test_what_cannot_be_given_is_told_and_the_wire_still_works(make_site: MakeSite) -> None:
    """A pack that is gone; the next question is answered."""
    a, b = make_site("a"), make_site("b", 1, 2)
    gone, _ = b.merged_packs()
    gone.unlink()
    with over_pipes(SitePeer(b)) as peer:
        with pytest.raises(NotFoundError):
            list(peer.read(gone.stem, 0))
        done = pull(a, to(b), peer)
        assert [one for one, _ in done.left_out] == [gone.stem]
        assert done.n_packs == 1
        assert peer.about().n_packs == 2


@pytest.mark.slow
def test_a_sender_that_lost_a_pack_says_so(make_site: MakeSite) -> None:
    """In place of its bytes; the others are taken."""
    a, b = make_site("a", 1, 2), make_site("b")
    gone, _ = a.merged_packs()
    gone.unlink()
    with over_pipes(SitePeer(b)) as peer:
        done = push(a, to(b), peer)
        assert [one for one, _ in done.left_out] == [gone.stem]
        assert done.n_packs == 1


def test_a_receiver_that_cannot_write_says_so(make_site: MakeSite) -> None:
    """All that is sent to it is read nevertheless, so that the wire still works."""
    a, b = make_site("a", 1), make_site("b")
    (b.path / INCOMING).write_text("in the way")
    with over_pipes(SitePeer(b)) as peer:
        with pytest.raises(StoreError, match="cannot write"):
            push(a, to(b), peer)
        (b.path / INCOMING).unlink()
        assert push(a, to(b), peer).n_packs == 1


def test_more_bytes_than_were_said(make_site: MakeSite) -> None:
    """They are read and thrown away."""
    b = make_site("b")

    def blocks(_offset: int) -> Blocks:
        for _ in range(50):
            yield bytes(1 << 18)

    with over_pipes(SitePeer(b)) as peer:
        with pytest.raises(PackError):
            peer.write("a" * 64, 10, blocks)
        assert peer.about().n_packs == 0


def test_who_wants_no_more_of_a_pack_may_ask_on(make_site: MakeSite) -> None:
    """The rest is read past."""
    b = make_site("b", 1)
    (pack,) = b.merged_packs()
    with over_pipes(SitePeer(b)) as peer:
        blocks = peer.read(pack.stem, 0)
        next(blocks)
        blocks.close()
        assert peer.count_since(None) == 1


def said(*messages: object) -> bytes:
    encoded = [msgspec.msgpack.encode(message) for message in messages]
    return b"".join(struct.pack(">I", len(data)) + data for data in encoded)


@pytest.mark.parametrize(
    "data",
    [
        b"Last login: Mon Nov 23\n",
        struct.pack(">I", MOST_BYTES + 1),
        struct.pack(">I", 100) + b"too short",
        said({"t": "AskForTheMoon"}),
        said({"t": "AskAbout"})[:-1],
        said(["t"]),
        said(Block(b"out of the blue")),
        said(Sorry("", "why?")),
        said(AskLacks(["a" * 64] * (MOST_DIGESTS + 1))),
        said({"t": "AskCount", "place": {"number": "one"}}),
    ],
)
def test_what_is_no_question_ends_it(make_site: MakeSite, data: bytes) -> None:
    """Without an answer, and the site is as it was."""
    site = make_site("a", 1)
    before = digest(site)
    answers = io.BytesIO()
    with pytest.raises(RemoteError):
        serve(SitePeer(site), Pipe(io.BytesIO(data), answers, "somebody"))
    assert answers.getvalue() == b""
    assert digest(site) == before


@pytest.mark.parametrize("data", [b"", b"Welcome to hpc!\n", said({"t": "Answer", "body": 3})])
def test_what_is_no_answer_is_told(data: bytes) -> None:
    """A machine that greets, or has no cmfd."""
    with pytest.raises(RemoteError, match="hpc"):
        StdioPeer(Pipe(io.BytesIO(data), io.BytesIO(), "hpc")).about()


def test_a_place_beyond_all_numbers_is_no_place(make_site: MakeSite) -> None:
    """What another site says may be anything."""
    peer = SitePeer(make_site("a", 1))
    for number in (0, -1, 2, 1 << 62, 1 << 63):
        assert peer.count_since(Place(number, "", 0)) is None
        assert len(list(peer.since(Place(number, "", 0)))) == 1


def serving(site: Site) -> subprocess.Popen[bytes]:
    words = (sys.executable, "-m", "cmfd", "serve-stdio", str(site.path))
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.slow
def test_a_server_that_is_killed_at_any_time_has_lost_nothing(make_site: MakeSite) -> None:
    """Real processes; after the last, all is there."""
    a, b = make_site("a", *range(6)), make_site("b")
    for n_messages in (3, 4, 5, 7, 9):
        server = serving(b)
        pipe = Killing(server, n_messages)
        with pytest.raises(RemoteError):
            push(a, to(b), StdioPeer(pipe))
        with suppress(BrokenPipeError):
            server.communicate()
    server = serving(b)
    assert server.stdin is not None
    assert server.stdout is not None
    push(a, to(b), StdioPeer(Pipe(server.stdout, server.stdin, "b")))
    server.stdin.close()
    assert server.wait(60) == 0
    server.stdout.close()
    assert digest(a) == digest(b)


class Killing(Pipe):
    """A wire to a process that is killed after so many messages."""

    def __init__(self, server: subprocess.Popen[bytes], n_messages: int) -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        super().__init__(server.stdout, server.stdin, "b")
        self.server = server
        self.n_left = n_messages

    def say(self, message: object) -> None:
        """Kill it in time."""
        self.n_left -= 1
        if self.n_left == 0:
            self.server.kill()
            self.server.wait()
        super().say(message)  # type: ignore[arg-type] # whatever it is


@pytest.mark.slow
def test_a_part_over_pipes(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pages; and a filter that nobody understands is told, and the wire still works."""
    monkeypatch.setattr("cmfd.sync.stdio._PAGE", 2)
    a, b = make_site("a", *range(5)), make_site("b")
    with over_pipes(SitePeer(a)) as peer:
        with pytest.raises(FilterError):
            pull(b, to(a), peer, wanted=Wanted("job = ", 0))
        done = pull(b, to(a), peer, wanted=Wanted('job in ("1", "2", "3")', 0))
    assert done.n_packs == 3
    assert done.part is not None
    assert done.part.n_runs == 3


@pytest.mark.slow
def test_late_facts_over_pipes(make_site: MakeSite) -> None:
    """What became known of a run after it was pushed arrives with the next push."""
    a, b = make_site("a", 1), make_site("b")
    with over_pipes(SitePeer(b)) as peer:
        push(a, to(b), peer)
        add(a, 1, sealed_ns=7)
        assert push(a, to(b), peer).n_packs == 1
    assert digest(a) == digest(b)


def test_late_signatures_over_pipes(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pages, each asked for after the one before."""
    monkeypatch.setattr("cmfd.sync.stdio.MOST_SIGNATURES", 2)
    a = make_site("a", *range(5))
    for pack in a.merged_packs():
        signatures.keep(a, pack.stem, f"of {pack.stem}")
    with over_pipes(SitePeer(a)) as peer:
        found = list(peer.signed_since(1))
        peer.take_signatures(found)
        assert list(peer.signed_since(1 << 62)) == []
    assert [one.number for one in found] == [2, 3, 4, 5]
    assert all(one.signature == f"of {one.digest}" for one in found)
