"""Fetching and pushing between sites in directories."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest
from support.exchange import MakeSite, add, digest, to

from cmfd.errors import NotFoundError, PackError, RemoteError, StoreError
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import INCOMING, Site, init_site, open_site
from cmfd.merge.reindex import reindex
from cmfd.sync import remotes
from cmfd.sync.connect import connect
from cmfd.sync.exchange import Exchanged, fetch, pull, push, standing
from cmfd.sync.local import SitePeer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.sync.peer import Blocks


class Counting(SitePeer):
    """A peer that notes which packs it was asked about, and sent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.asked: list[str] = []
        self.sent: list[tuple[str, int]] = []

    def lacks(self, digests: Sequence[str]) -> list[str]:
        self.asked += digests
        return super().lacks(digests)

    def read(self, digest: str, offset: int) -> Blocks:
        for block in super().read(digest, offset):
            self.sent.append((digest, len(block)))
            yield block


def test_what_one_has_the_other_gets_and_their_digests_are_equal(make_site: MakeSite) -> None:
    """Both ways, and a second time there is nothing to do."""
    a, b = make_site("a", 1, 2, 3), make_site("b", 3, 4)
    assert pull(a, to(b), SitePeer(b)).n_packs == 1
    sent = push(a, to(b), SitePeer(b))
    assert sent.n_packs == 2
    assert sent.taken is not None
    assert sent.taken.absorbed == 2
    assert digest(a) == digest(b)
    assert push(a, to(b), SitePeer(b)) == Exchanged(str(b.path))
    assert fetch(a, to(b), SitePeer(b)).n_packs == 0


def test_what_is_fetched_waits_for_a_merge(make_site: MakeSite) -> None:
    """As with git: the index changes when it is told to."""
    a, b = make_site("a", 1), make_site("b", 2)
    before = digest(a)
    fetch(a, to(b), SitePeer(b))
    assert digest(a) == before
    assert SitePeer(a).n_waiting() == 1
    merge_site(a.path)
    assert digest(a) != before


@pytest.mark.slow
def test_only_what_is_new_is_asked_about(make_site: MakeSite) -> None:
    """A push to a site that has all but one pack asks about that one."""
    a, hub = make_site("a", *range(20)), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    add(a, 100)
    peer = Counting(hub)
    assert push(a, to(hub), peer).n_packs == 1
    assert len(peer.asked) == 1


def test_all_can_be_compared_again(make_site: MakeSite) -> None:
    """A pack whose file was lost is sent again, and is there again."""
    a, hub = make_site("a", 1, 2), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    (lost, *_) = hub.merged_packs()
    lost.unlink()
    assert push(a, to(hub), SitePeer(hub)).n_packs == 0
    assert push(a, to(hub), SitePeer(hub), everything=True).n_packs == 1
    assert lost.exists()
    assert digest(a) == digest(hub)


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("lose", ["remote", "own"])
def test_what_a_site_that_was_put_back_from_a_copy_lacks_comes_again(
    make_site: MakeSite, tmp_path: Path, lose: str
) -> None:
    """To whom it was pushed, or who fetched it: the next exchange notices."""
    a, hub = make_site("a", 1), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    shutil.copytree(hub.path, tmp_path / "copy")
    add(a, 2, 3)
    if lose == "remote":
        push(a, to(hub), SitePeer(hub))
    else:
        pull(hub, to(a, "a"), SitePeer(a))
        shutil.copytree(hub.path / "remotes", tmp_path / "copy" / "remotes")
    shutil.rmtree(hub.path)
    (tmp_path / "copy").rename(hub.path)
    if lose == "remote":
        assert push(a, to(hub), SitePeer(hub)).n_packs == 2
    else:
        assert pull(hub, to(a, "a"), SitePeer(a)).n_packs == 2
    assert digest(a) == digest(hub)


def test_an_index_that_is_made_anew_meanwhile_hides_nothing(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pages of the list of its packs."""
    monkeypatch.setattr("cmfd.sync.local._PAGE", 2)
    a = make_site("a")
    for number in range(8):
        add(a, number)
    seen = SitePeer(a).since(None)
    found = {next(seen).place.digest, next(seen).place.digest}
    reindex(a.path)
    found |= {entry.place.digest for entry in seen}
    assert found == {pack.stem for pack in a.merged_packs()}


def test_a_push_that_was_cut_before_the_merge_is_merged_by_the_next(make_site: MakeSite) -> None:
    """Which has nothing to send."""
    a, hub = make_site("a", 1), make_site("hub")
    fetch(hub, to(a), SitePeer(a))
    assert SitePeer(hub).n_waiting() == 1
    done = push(a, to(hub), SitePeer(hub))
    assert done.n_packs == 0
    assert done.taken is not None
    assert done.taken.absorbed == 1
    assert digest(a) == digest(hub)


def test_what_only_has_the_name_of_a_pack_is_none(make_site: MakeSite) -> None:
    """Whoever may write into an inbox keeps nobody's pack out."""
    a, hub = make_site("a", 1), make_site("hub", 2)
    (pack,) = a.merged_packs()
    hub.inbox.mkdir(exist_ok=True)
    (hub.inbox / pack.name).write_text("in the way")
    assert push(a, to(hub), SitePeer(hub)).n_packs == 1
    assert pack.name in {one.name for one in hub.merged_packs()}


def test_what_another_user_left_of_a_pack_is_in_nobodys_way(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only he can go on with it, it is begun again."""
    a, hub = make_site("a", 1), make_site("hub")
    (pack,) = a.merged_packs()

    def opened(path: Path) -> BinaryIO:
        if path.stem == pack.stem:
            raise PermissionError(errno.EACCES, "his")
        return path.open("w+b")

    monkeypatch.setattr("cmfd.sync.local.opened", opened)
    push(a, to(hub), SitePeer(hub))
    assert digest(a) == digest(hub)


def test_an_inbox_that_one_may_not_look_into_keeps_nobody_from_reading(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a site that takes packs from all, and shows them to few."""
    a, hub = make_site("a"), make_site("hub", 1)

    def listed(_path: Path) -> list[str]:
        raise PermissionError(errno.EACCES, "not yours")

    with monkeypatch.context() as patched:
        patched.setattr("cmfd.merge.inbox.os.listdir", listed)
        assert fetch(a, to(hub), SitePeer(hub)).n_packs == 1


def test_others_can_go_on_with_what_was_cut(make_site: MakeSite) -> None:
    """Whatever the umask of who began."""
    a, b = make_site("a"), make_site("b", 1)
    a.path.chmod(0o775)
    cut = Cut(b)
    cut.after_bytes = 100
    before = os.umask(0o077)
    try:
        with pytest.raises(CutError):
            fetch(a, to(b), cut)
    finally:
        os.umask(before)
    (part,) = (a.path / INCOMING).iterdir()
    assert part.stat().st_mode & 0o060 == 0o060


def test_where_nothing_can_be_remembered_all_is_exchanged(make_site: MakeSite) -> None:
    """As from a site that one may only read."""
    a, hub = make_site("a", 1), make_site("hub")
    (a.path / "remotes").write_text("in the way")
    for n_packs in (1, 0):
        assert push(a, to(hub), SitePeer(hub)).n_packs == n_packs
    assert digest(a) == digest(hub)


@pytest.mark.slow
def test_an_index_that_was_made_anew_hides_nothing(make_site: MakeSite) -> None:
    """Its packs have other numbers then."""
    a, hub = make_site("a", *range(6)), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    add(a, 50, 51)
    reindex(a.path)
    assert push(a, to(hub), SitePeer(hub)).n_packs == 2
    assert digest(a) == digest(hub)


def test_another_site_at_the_same_place_gets_all(make_site: MakeSite, tmp_path: Path) -> None:
    """What was remembered is of the one that was there."""
    a, hub = make_site("a", 1, 2), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    hub.path.rename(tmp_path / "gone")
    again = init_site(hub.path)
    assert push(a, to(again), SitePeer(again)).n_packs == 2


def test_late_facts_of_a_run_arrive_with_the_next_push(make_site: MakeSite) -> None:
    """Another pack of a run that was pushed already."""
    a, hub = make_site("a", 1), make_site("hub")
    push(a, to(hub), SitePeer(hub))
    add(a, 1, sealed_ns=99)
    assert push(a, to(hub), SitePeer(hub)).n_packs == 1
    assert digest(a) == digest(hub)


class CutError(RemoteError):
    """The wire was cut, as a test wants it."""


class Cut(SitePeer):
    """A peer whose packs end after some bytes."""

    after_bytes: int

    def read(self, digest: str, offset: int) -> Blocks:
        yield next(super().read(digest, offset))[: self.after_bytes]
        raise CutError("cut")


@pytest.mark.slow
@pytest.mark.parametrize("after_bytes", [0, 1, 100, 4096, 40000])
def test_an_exchange_that_is_cut_goes_on_where_it_ended(
    make_site: MakeSite, after_bytes: int
) -> None:
    """At any byte: nothing of it is merged, and what came is not sent again."""
    a, b = make_site("a"), make_site("b", 1)
    cut = Cut(b)
    cut.after_bytes = after_bytes
    with pytest.raises(CutError):
        fetch(a, to(b), cut)
    assert SitePeer(a).n_waiting() == 0
    (part,) = (a.path / INCOMING).iterdir()
    assert part.stat().st_size == after_bytes
    whole = Counting(b)
    assert pull(a, to(b), whole).n_packs == 1
    (pack,) = b.merged_packs()
    assert sum(n_bytes for _, n_bytes in whole.sent) == pack.stat().st_size - after_bytes
    assert digest(a) == digest(b)
    assert list((a.path / INCOMING).iterdir()) == []


class Lying(SitePeer):
    """A peer whose packs are others than it says."""

    def read(self, digest: str, offset: int) -> Blocks:
        for block in super().read(digest, offset):
            yield bytes(len(block))


def test_what_is_not_what_it_is_called_is_thrown_away(make_site: MakeSite) -> None:
    """It is said, and the rest comes over; the next time it is asked for again."""
    a, b = make_site("a"), make_site("b", 1, 2)
    done = pull(a, to(b), Lying(b))
    assert done.n_packs == 0
    assert len(done.left_out) == 2
    assert "corrupt" in done.left_out[0][1]
    assert list((a.path / INCOMING).iterdir()) == []
    assert pull(a, to(b), SitePeer(b)).n_packs == 2


class Endless(SitePeer):
    """A peer that sends more than it said."""

    def read(self, _digest: str, _offset: int) -> Blocks:
        while True:
            yield bytes(1 << 16)


def test_who_sends_without_end_is_stopped(make_site: MakeSite) -> None:
    """At the size that was said."""
    a, b = make_site("a"), make_site("b", 1)
    (left_out,) = pull(a, to(b), Endless(b)).left_out
    assert "corrupt" in left_out[1]


@pytest.mark.parametrize(
    ("name", "size_bytes"), [("../../x", 10), ("a" * 64, 0), ("a" * 64, 1 << 60), ("A" * 64, 10)]
)
def test_only_names_of_packs_are_written(make_site: MakeSite, name: str, size_bytes: int) -> None:
    """Nothing outside of the site, and nothing that no pack can be."""
    a = make_site("a")

    def blocks(_offset: int) -> Blocks:
        yield b"x" * 10

    with pytest.raises(PackError):
        SitePeer(a).write(name, size_bytes, blocks)
    assert not (a.path / INCOMING).exists()
    with pytest.raises(NotFoundError):
        list(SitePeer(a).read(name, 0))
    for offset in (-1, 1 << 63):
        with pytest.raises(NotFoundError):
            list(SitePeer(a).read("a" * 64, offset))


def given(site: Site, content: bytes) -> None:
    """Offer bytes to a site under their own digest."""

    def blocks(offset: int) -> Blocks:
        yield content[offset:]

    SitePeer(site).write(hashlib.sha256(content).hexdigest(), len(content), blocks)


def test_what_is_no_pack_inside_is_thrown_away(make_site: MakeSite) -> None:
    """It has the digest that it says, but is no database, or one with a trigger or a view more."""
    a, b = make_site("a", 1), make_site("b", 2)
    before = digest(b)
    (pack,) = a.merged_packs()
    hostile = [b"no pack at all" * 100, pack.read_bytes()[:-4096]]
    for addition in (
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER more AFTER INSERT ON run BEGIN SELECT 1; END",
        "CREATE TABLE more (x)",
    ):
        copy = a.path.parent / "hostile.db"
        shutil.copyfile(pack, copy)
        with closing(sqlite3.connect(copy)) as db:
            db.execute(addition)
        hostile.append(copy.read_bytes())
    for content in hostile:
        with pytest.raises(PackError, match=r"kept apart|thrown away"):
            given(b, content)
    assert SitePeer(b).n_waiting() == 0
    assert digest(b) == before


def test_a_site_is_no_remote_of_itself(make_site: MakeSite) -> None:
    """Nor a copy of its directory: it has the same id."""
    a = make_site("a", 1)
    with pytest.raises(RemoteError, match="this very site"):
        push(a, to(a), SitePeer(a))


def test_how_far_two_sites_are_apart(make_site: MakeSite) -> None:
    """Packs here that are not there, and there that are not here."""
    a, b = make_site("a", 1, 2, 3), make_site("b", 3, 4)
    stands = standing(a, to(b), SitePeer(b))
    assert (stands.ahead, stands.behind) == (2, 1)
    push(a, to(b), SitePeer(b))
    stands = standing(a, to(b), SitePeer(b))
    assert (stands.ahead, stands.behind) == (0, 1)


def test_two_may_push_the_same_at_once(make_site: MakeSite) -> None:
    """Who comes second begins a copy of his own; one is merged."""
    a, hub = make_site("a", 1), make_site("hub")
    (pack,) = a.merged_packs()
    size_bytes = pack.stat().st_size

    def slow(offset: int) -> Blocks:
        data = pack.read_bytes()[offset:]
        yield data[:1000]
        push(a, to(hub), SitePeer(hub))  # meanwhile
        yield data[1000:]

    SitePeer(hub).write(pack.stem, size_bytes, slow)
    merge_site(hub.path)
    assert digest(a) == digest(hub)
    assert [one.name for one in hub.merged_packs()] == [pack.name]


def test_a_site_that_cannot_be_written_says_so(make_site: MakeSite) -> None:
    """What was to come stays where it is."""
    a, hub = make_site("a", 1), make_site("hub")
    (hub.path / INCOMING).write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"):
        push(a, to(hub), SitePeer(hub))


@pytest.mark.parametrize("has_threads", [True, False])
def test_a_pack_is_in_the_inbox_once_it_is_on_disk(
    make_site: MakeSite,
    monkeypatch: pytest.MonkeyPatch,
    has_threads: bool,  # noqa: FBT001 - pytest's
) -> None:
    """A pack that is sound and that a disk did not take is not taken; the next push goes on."""
    a, hub = make_site("a", 1), make_site("hub")
    sync = os.fsync

    def full(descriptor: int) -> None:
        if INCOMING in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.EIO, "the disk is broken")
        sync(descriptor)

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    if not has_threads:
        monkeypatch.setattr(threading.Thread, "start", none_left)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is broken"):
        push(a, to(hub), SitePeer(hub))
    assert not list(hub.inbox.glob("*"))
    monkeypatch.setattr(os, "fsync", sync)
    push(a, to(hub), SitePeer(hub))
    assert digest(a) == digest(hub)


def test_a_directory_is_reached_by_path_and_url(make_site: MakeSite) -> None:
    """And a place without a site is told."""
    a = make_site("a", 1)
    for url in (str(a.path), f"file://{a.path}"):
        with connect(remotes.Remote("x", url)) as peer:
            assert peer.about().site == open_site(a.path).id
    with (
        pytest.raises(NotFoundError, match="no site"),
        connect(remotes.Remote("x", f"{a.path}/none")),
    ):
        pass
