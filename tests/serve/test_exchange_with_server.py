"""The exchange with a real server: as with a directory, in few requests, whatever is cut."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, cast

import pytest
from support.daemons import wait_until
from support.exchange import MakeSite, add, digest, to
from support.packs import an_id, small_run, write_pack
from support.serving import Served, cutting, served, token_for

from cmfd.errors import FilterError, NotFoundError, PackError, RemoteError
from cmfd.merge import signatures
from cmfd.merge.batch import merge_site
from cmfd.merge.lock import merge_lock
from cmfd.merge.receipts import Receiver
from cmfd.serve.answers import Refusal
from cmfd.serve.body import Body
from cmfd.serve.service import Service
from cmfd.sync import remotes
from cmfd.sync.exchange import pull, push, standing
from cmfd.sync.http import Answer, Wire
from cmfd.sync.https import HttpsPeer
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Signed, Wanted
from cmfd.sync.resources import SMALL_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.sync.peer import Blocks


def asked(hub: Served) -> int:
    """Return how many requests for metadata were answered so far, but this one."""
    status, figures = hub("GET", "/metrics")
    assert status == 200
    counts = [
        float(line.rpartition(" ")[2])
        for line in figures.decode().splitlines()
        if line.startswith("cmfd_serve_requests_total") and 'operation="metrics"' not in line
    ]
    return int(sum(counts))


def large(site: Site, *numbers: int) -> None:
    """Merge runs whose packs go alone, and in many blocks."""
    packs = site.path.parent / f"large-{site.path.name}-{numbers}"
    for number in numbers:
        content = dict(small_run(number))
        # Nothing in it is alike: it is as long on the wire.
        content["chunk"] = [
            (*row[:-1], cast("bytes", row[-1]) + os.urandom(SMALL_BYTES))
            for row in content["chunk"][:2]
        ]
        write_pack(packs, content)
    merge_site(site.path, [packs])


@pytest.fixture
def hub(make_site: MakeSite) -> Iterator[tuple[Site, Served]]:
    """Serve an empty site."""
    site = make_site("hub")
    with served(site) as server:
        yield site, server


def test_both_ways(make_site: MakeSite, hub: tuple[Site, Served]) -> None:
    """As between directories: equal digests, only what is new, and how far they are apart."""
    b, server = hub
    add(b, 3, 4)
    a = make_site("a", 1, 2, 3)
    with server.peer() as peer:
        assert standing(a, to(b), peer).ahead == 2
        assert pull(a, to(b), peer).n_packs == 1
        assert push(a, to(b), peer).n_packs == 2
        assert standing(a, to(b), peer).behind == 0
    assert digest(a) == digest(b)
    with server.peer() as peer:
        assert push(a, to(b), peer).n_packs == 0


@pytest.mark.slow
def test_a_push_of_something_new_is_one_request(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """However much the site has, and although others pushed meanwhile; so is one of nothing."""
    b, server = hub
    a, c = make_site("a", *range(5)), make_site("c", 20)
    for run in (10, 11):
        for other in (a, c):
            with server.peer() as peer:
                push(other, to(b), peer)
        add(a, run)
        before = asked(server)
        with server.peer() as peer:
            assert push(a, to(b), peer).n_packs == 1
        assert asked(server) - before == 1
    before = asked(server)
    with server.peer() as peer:
        assert push(a, to(b), peer).n_packs == 0
    assert asked(server) - before == 1
    assert digest(b) != digest(a)
    with server.peer() as peer:
        pull(a, to(b), peer)
    assert digest(b) == digest(a)


@pytest.mark.slow
def test_what_goes_along_with_the_first_question_is_told_as_always(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """What others brought does not count, what is refused is named, and nothing is lost."""
    b, server = hub
    a, c = make_site("a", 1), make_site("c", 2)
    for other in (a, c):
        with server.peer() as peer:
            push(other, to(b), peer)
    add(a, 2)  # as c brought it
    add(a, 3)
    with server.peer() as peer:
        done = push(a, to(b), peer)
    assert done.n_packs == 1
    assert done.taken is not None
    assert done.taken.absorbed == 1
    (b.path / "rules.toml").write_text('[[allow]]\nwho = ["token:nobody"]\n')
    add(a, 4)
    with server.peer() as peer:
        done = push(a, to(b), peer)
    ((_, reason),) = done.left_out
    assert "token:all may push nothing here" in reason
    (b.path / "rules.toml").unlink()
    with server.peer() as peer:
        assert not push(a, to(b), peer).left_out
    assert digest(a) == digest(b)


@pytest.mark.slow
def test_small_packs_come_and_go_together(make_site: MakeSite, hub: tuple[Site, Served]) -> None:
    """Where the way is long, their number matters little; a lost one is told all the same."""
    b, server = hub
    a, c = make_site("a", *range(25)), make_site("c", 3, 4, 70)
    with server.peer() as peer:
        push(a, to(b), peer)
        n_requests = asked(server)
        assert n_requests < 10
        names = (one.stem for one in a.merged_packs() if not c.merged(one.stem).exists())
        gone = b.merged(next(names))
        gone.unlink()
        done = pull(c, to(b), peer)
        assert [one for one, _ in done.left_out] == [gone.stem]
        assert done.n_packs == 22
        assert asked(server) - n_requests < 10
    with server.peer() as peer:
        push(a, to(b), peer, everything=True)
        pull(c, to(b), peer, everything=True)
        push(c, to(b), peer)
    assert digest(c) == digest(b)


def test_a_large_pack_goes_on_where_it_was_cut(
    make_site: MakeSite, hub: tuple[Site, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one push: who comes back asks how much has arrived, and sends the rest."""
    b, server = hub
    a = make_site("a")
    large(a, 1)
    told: list[int] = []
    n_come = HttpsPeer._n_come

    def asked(peer: HttpsPeer, digest: str) -> int:
        told.append(n_come(peer, digest))
        return told[-1]

    monkeypatch.setattr(HttpsPeer, "_n_come", asked)
    with cutting(server.port, 700_000, 600_000, 500_000) as port, server.peer(through=port) as peer:
        assert push(a, to(b), peer).n_packs == 1
    assert digest(a) == digest(b)
    # Of what was on its way when the connection was cut, some may come after the question.
    assert told[0] == 0 < told[-1]


def test_who_comes_back_at_once_is_told_of_all_that_came(
    make_site: MakeSite, hub: tuple[Site, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came through a connection before it was cut may still be on its way to the disk."""
    server, a = hub[1], make_site("a")
    large(a, 1)
    (pack,) = a.merged_packs()
    part = pack.read_bytes()[:300_000]
    begun, may_go_on = threading.Event(), threading.Event()
    blocks, has_come = Body.blocks, Service.has_come

    def held(body: Body, n_skipped: int) -> Blocks:
        for block in blocks(body, n_skipped):
            begun.set()
            may_go_on.wait()
            yield block

    async def asks(service: Service, digest: str) -> None:
        may_go_on.set()
        await has_come(service, digest)

    monkeypatch.setattr(Body, "blocks", held)
    monkeypatch.setattr(Service, "has_come", asks)
    head = (
        f"PUT /v1/packs/{pack.stem} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {server.token}"
        f"\r\nContent-Length: {pack.stat().st_size}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as cut:
        cut.sendall(head.encode() + part)
    begun.wait()
    _, answer = server("GET", f"/v1/incoming/{pack.stem}")
    assert json.loads(answer)["offset"] == len(part)


def test_a_download_goes_on_where_it_was_cut(make_site: MakeSite, hub: tuple[Site, Served]) -> None:
    """With the bytes that are missing."""
    b, server = hub
    large(b, 1)
    a = make_site("a")
    cuts = 900_000, 900_000, 300_000
    with (
        cutting(server.port, *cuts, answers=True) as port,
        server.peer(through=port) as peer,
    ):
        assert pull(a, to(b), peer).n_packs == 1
    assert digest(a) == digest(b)


@pytest.mark.slow
def test_cut_at_any_byte_the_next_try_ends_what_was_begun(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """Head, body or answer: a push comes through, once, whatever was cut."""
    b, server = hub
    a = make_site("a")
    for number, cut in enumerate((0, 1, 50, 200, 333, 1_000, 5_000, 20_000, 57_000)):
        for answers in (False, True):
            add(a, 2 * number + answers)
            with (
                cutting(server.port, cut, answers=answers) as port,
                server.peer(through=port) as peer,
            ):
                push(a, to(b), peer)
            assert digest(a) == digest(b)


def test_a_part_and_filters_that_cannot_be_understood(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """The error is the one that a directory gives."""
    b, server = hub
    add(b, 1, 2)
    a = make_site("a")
    with server.peer() as peer:
        part = peer.part(Wanted('stage = "train"', 0))
        assert part == SitePeer(b).part(Wanted('stage = "train"', 0))
        with pytest.raises(FilterError):
            peer.part(Wanted("stage ==== ", 0))
        done = pull(a, to(b), peer, wanted=Wanted('stage = "none"', 0))
        assert done.n_packs == 0


def test_what_is_gone_is_told_and_the_rest_comes(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """A pack whose file was lost at the server."""
    b, server = hub
    add(b, 1, 2)
    gone = next(b.merged_packs())
    gone.unlink()
    with server.peer() as peer:
        done = pull(make_site("a"), to(b), peer)
        assert [one for one, _ in done.left_out] == [gone.stem]
        assert done.n_packs == 1
        with pytest.raises(NotFoundError):
            list(peer.read("../../../etc/passwd", 0))


def test_what_is_no_pack_is_refused_by_name(make_site: MakeSite, hub: tuple[Site, Served]) -> None:
    """Small or large, and nothing of it stays; what is sound and goes with it is taken."""
    b, server = hub
    a = make_site("a", 1, 2)
    bad, good = a.merged_packs()
    bad.chmod(0o644)
    os.truncate(bad, bad.stat().st_size)
    with bad.open("r+b") as file:
        file.seek(5000)
        file.write(b"something else")
    with server.peer() as peer:
        done = push(a, to(b), peer)
        assert [one for one, _ in done.left_out] == [bad.stem]
        with pytest.raises(PackError):
            peer.write("0" * 64, 2 * SMALL_BYTES, lambda _: (x for x in [bytes(2 * SMALL_BYTES)]))
    assert [one.stem for one in b.merged_packs()] == [good.stem]
    assert not list(b.path.glob("incoming/*"))


@pytest.mark.slow
def test_many_push_at_once_while_others_merge(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """All of it arrives, whoever merges it."""
    b, server = hub
    sites = [make_site(f"s{number}", *range(10 * number, 10 * number + 4)) for number in range(5)]
    failed: list[BaseException] = []

    def one(site: Site) -> None:
        try:
            with server.peer() as peer:
                push(site, to(b), peer)
        except BaseException as error:  # noqa: BLE001 - it is shown by the test
            failed.append(error)

    threads = [threading.Thread(target=one, args=(site,)) for site in sites]
    for thread in threads:
        thread.start()
    merge_site(b.path)
    for thread in threads:
        thread.join(60)
    assert not failed
    merge_site(b.path)
    everything = make_site(
        "all", *(n for number in range(5) for n in range(10 * number, 10 * number + 4))
    )
    assert digest(b) == digest(everything)


def test_a_push_while_somebody_merges_says_who_has_it(
    make_site: MakeSite, hub: tuple[Site, Served]
) -> None:
    """It waits there, and the other takes it."""
    b, server = hub
    a = make_site("a", 1)
    with merge_lock(b.lock), server.peer() as peer:
        done = push(a, to(b), peer)
    assert done.taken is not None
    assert (done.taken.waiting, bool(done.taken.busy_holder)) == (1, True)
    with server.peer() as peer:
        push(a, to(b), peer)
    assert digest(a) == digest(b)


def test_a_merge_that_takes_long_goes_on_behind_the_answer(
    make_site: MakeSite, hub: tuple[Site, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy waits for minutes; the push says that it is not done, and it gets done."""
    monkeypatch.setattr("cmfd.serve.service.MERGE_ANSWERS_S", 0.0)
    b, server = hub
    a = make_site("a", 1)
    with server.peer() as peer:
        done = push(a, to(b), peer)
    assert done.taken is not None
    assert done.taken.busy_holder == "the server, which goes on with it"
    wait_until(lambda: SitePeer(b).about().n_packs == 1, "it is merged")
    wait_until(lambda: digest(a) == digest(b), "all of it")


@pytest.mark.slow
def test_who_sees_one_pipeline_sees_nothing_else(make_site: MakeSite, tmp_path: Path) -> None:
    """Neither by lists, nor by filters, nor by the name of a pack; not even how many there are."""
    hub = make_site("hub", 1)
    packs = tmp_path / "packs"
    for number, pipelines in ((2, ["heat"]), (3, ["heat", "digits"]), (4, ["heat"])):
        content = dict(small_run(number))
        row = content["execution"][0]
        own = row[0]
        assert isinstance(own, bytes)
        content["execution"] = [
            (bytes([index]) + own[1:], *row[1:5], pipeline, *row[6:])
            for index, pipeline in enumerate(pipelines)
        ]
        write_pack(packs, content)
    merge_site(hub.path, [packs])
    token = token_for(hub, "heat", "read", pipelines=("heat",))
    a = make_site("a")
    with served(hub) as server, server.peer(token) as peer:
        assert peer.about().n_packs == 2
        assert peer.count_since(None) == 2
        entries = list(peer.since(None))
        assert len(entries) == 2
        assert {one.place for one in peer.part(Wanted("", -1)).entries} == {
            one.place for one in entries
        }
        for pack in hub.merged_packs():
            seen = pack.stem in {one.place.digest for one in entries}
            assert server("GET", f"/v1/packs/{pack.stem}", token=token)[0] == (200 if seen else 404)
        assert pull(a, to(hub), peer).n_packs == 2
        assert pull(a, to(hub), peer).n_packs == 0
        with pytest.raises(RemoteError, match="may not push"):
            push(make_site("c", 9), to(hub), peer)


def test_a_filter_tells_nothing_of_what_cannot_be_seen(make_site: MakeSite, tmp_path: Path) -> None:
    """Whether it finds something there makes no difference: else one could guess, bit by bit."""
    hub = make_site("hub", 1)
    content = dict(small_run(2, n_params=2))
    ((*row,),) = content["execution"][:1]
    content["execution"] = [(*row[:5], "heat", *row[6:])]
    packs = tmp_path / "packs"
    write_pack(packs, content)
    note = (an_id("note", 1), an_id("run", 2).hex(), "tag", "x", 1, 0, "ann")
    write_pack(packs, {"note": [note]}, sealed_ns=2)
    merge_site(hub.path, [packs])
    token = token_for(hub, "heat", "read", pipelines=("heat",))
    with served(hub) as server, server.peer(token) as peer:
        own = peer.part(Wanted('job = "2"', 0))
        assert (len(own.entries), own.n_runs) == (2, 1)
        assert peer.part(Wanted('job = "2" or job = "1"', 0)) == own
        assert peer.part(Wanted('job = "2" or job = "1"', -1)) == own
        assert peer.part(Wanted("p1 = 1", 0)) == own
        for name in ("p2", "p3"):  # one of another pipeline's, and one that nobody has
            with pytest.raises(FilterError, match=f"{name} is no field"):
                peer.part(Wanted(f"{name} = 1", 0))


def test_who_pushes_one_pipeline_pushes_nothing_else(make_site: MakeSite) -> None:
    """What else is in a push is left out by name; and the site's own rules hold for tokens."""
    hub, a = make_site("hub"), make_site("a", 1, 2)
    others = token_for(hub, "others", "push", pipelines=("heat",))
    own = token_for(hub, "own", "push", pipelines=("digits", "heat"))
    with served(hub) as server:
        with server.peer(others) as peer:
            done = push(a, to(hub), peer)
            assert len(done.left_out) == 2
            assert all("of pipeline 'digits'" in reason for _, reason in done.left_out)
        rules = hub.path / "rules.toml"
        rules.write_text('[[allow]]\nwho = ["token:others"]\n')
        with server.peer(own) as peer:
            assert "token:own may push nothing" in push(a, to(hub), peer).left_out[0][1]
        rules.unlink()
        with server.peer(own) as peer:
            assert not push(a, to(hub), peer).left_out
    assert digest(a) == digest(hub)


def test_a_refusal_tells_nothing_of_what_cannot_be_seen(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """What only the site knows of a run is not named, nor whether it knows the run at all."""
    hub = make_site("hub", 1)
    told = []
    for number in (1, 99):  # a run of pipeline digits, and one that nobody has
        late = {"fact": [(an_id("run", number), "state", 1 << 60, an_id("proc", 9), "str", "x")]}
        pack = write_pack(tmp_path / "late", late)
        token = token_for(hub, f"heat{number}", "push", pipelines=("heat",))
        with served(hub) as server:
            status, said = server("PUT", f"/v1/packs/{pack.stem}", pack.read_bytes(), token=token)
        assert status == 422
        told.append(json.loads(said)["reason"].replace(pack.stem, "").replace(str(number), ""))
    assert told[0] == told[1]
    assert "of pipeline unknown" in told[0]


def test_a_merge_tells_why_not_to_who_handed_it_over_alone(make_site: MakeSite) -> None:
    """Whose token is for some pipelines is not told what was said of others' packs."""
    hub = make_site("hub", 1)
    token = token_for(hub, "heat", "push", pipelines=("heat",))
    hub.inbox.mkdir(exist_ok=True)
    names = []
    for content in (b"his", b"another's"):
        names.append(hashlib.sha256(content).hexdigest())
        (hub.inbox / f"{names[-1]}.db").write_bytes(content)
    Receiver(hub, "token:heat", "").add(names[0])
    with served(hub) as server:
        status, said = server("POST", "/v1/merge", token=token)
    assert status == 200
    assert list(json.loads(said)["taken"]["refused"]) == names[:1]


def test_rules_hold_where_no_token_is_asked_for(make_site: MakeSite) -> None:
    """Whoever is on the machine may come: that is nobody whom the rules name."""
    hub, a = make_site("hub"), make_site("a", 1)
    rules = hub.path / "rules.toml"
    rules.write_text('[[allow]]\nwho = ["token:*", "user:*"]\n')
    with served(hub, needs_token=False) as server:
        with server.peer("") as peer:
            assert "anyone: may push nothing here" in push(a, to(hub), peer).left_out[0][1]
        rules.write_text('[[allow]]\nwho = ["anyone:"]\n')
        with server.peer("") as peer:
            assert not push(a, to(hub), peer).left_out
    assert digest(a) == digest(hub)


def test_a_pack_that_came_whole_and_was_not_taken_is_taken_with_the_next_push(
    make_site: MakeSite, hub: tuple[Site, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was killed while it looked at a large one keeps nobody from bringing it."""
    monkeypatch.setattr("cmfd.sync.far.SMALL_BYTES", 0)
    b, server = hub
    a = make_site("a", 1)
    (pack,) = a.merged_packs()
    part = b.path / "incoming" / f"{pack.stem}.part"
    part.parent.mkdir()
    part.write_bytes(pack.read_bytes())
    with server.peer() as peer:
        assert push(a, to(b), peer).n_packs == 1
    assert digest(a) == digest(b)


def test_a_large_pack_waits_as_long_as_it_is_told(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every other request does."""
    monkeypatch.setattr("cmfd.sync.far.SMALL_BYTES", 0)
    b, a = make_site("b"), make_site("a", 1)
    with served(b) as server, server.peer() as peer:
        refused = iter([Answer(429, {"Retry-After": "0"}, b"{}")])
        once = peer._wire.whole
        monkeypatch.setattr(
            peer._wire, "whole",
            lambda told: once(told) if told.status != 204 else next(refused, None) or once(told),
        )  # fmt: skip
        assert push(a, to(b), peer).n_packs == 1
    assert digest(a) == digest(b)


def test_a_server_that_wants_a_pack_from_elsewhere_again_and_again_is_left(
    make_site: MakeSite, hub: tuple[Site, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it answers, a push ends."""
    monkeypatch.setattr("cmfd.sync.far.SMALL_BYTES", 0)
    a = make_site("a", 1)

    def refused(_first: int, _offset: int) -> None:
        raise Refusal(409, "Elsewhere", "from byte 7 on", offset=7)

    monkeypatch.setattr("cmfd.serve.handlers._follow_on", refused)
    with hub[1].peer() as peer, pytest.raises(RemoteError, match="from byte 7 on"):
        push(a, to(hub[0]), peer)


def test_a_server_that_says_nothing_of_cmfd_is_told(hub: tuple[Site, Served]) -> None:
    """Some page, some redirect, nobody: each with what to do."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if "moved" in self.path:
                self.send_response(302)
                self.send_header("Location", f"{hub[1].url}/v1/greeting")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", "13")
            self.end_headers()
            self.wfile.write(b"<html>hello</")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            before = asked(hub[1])
            port = other.server_address[1]
            with hub[1].peer(through=port) as peer, pytest.raises(RemoteError, match="not asked"):
                peer.about()
            moved = f"http://127.0.0.1:{port}/moved"
            with (
                closing(Wire(moved, remotes.parse(moved), "secret")) as wire,
                pytest.raises(RemoteError, match=r"elsewhere now.*nothing was sent there"),
            ):
                HttpsPeer(wire).about()
            assert asked(hub[1]) == before
        finally:
            other.shutdown()
            thread.join(30)


def test_what_is_in_the_way_is_json_too(hub: tuple[Site, Served]) -> None:
    """What does not exist, and what cannot be done with it."""
    server = hub[1]
    for method, path, status in (
        ("GET", "/nothing", 404), ("DELETE", "/v1/about", 405), ("POST", "/v1/since", 422)
    ):  # fmt: skip
        found, body = server(method, path, b"[]" if method == "POST" else None)
        assert found == status
        assert json.loads(body)["reason"]


def test_late_signatures_come_and_go(make_site: MakeSite, hub: tuple[Site, Served]) -> None:
    """Of packs that are there already; what is no signature is not kept."""
    b, server = hub
    a, c = make_site("a", 1, 2), make_site("c")
    with server.peer() as peer:
        push(a, to(b), peer)
    first, second = (pack.stem for pack in a.merged_packs())
    signatures.keep(b, first, "of the first")
    with server.peer() as peer:
        assert [one.digest for one in peer.signed_since(0)] == [first]
        pull(c, to(b), peer)
        peer.take_signatures([Signed(1, second, "no signature"), Signed(2, "../x", "")])
    assert signatures.of(b, second) == ""
