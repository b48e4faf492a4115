"""The law of an exchange over pipes: cut after any byte, either way, the next one goes on."""

from __future__ import annotations

import itertools
import os
import shlex
import sys
import threading
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.daemons import wait_until
from support.exchange import MakeSite, add, digest, maker, to
from support.laws import examples
from support.sshd import ssh_server

from cmfd.errors import RemoteError
from cmfd.merge.layout import INCOMING, PARTIAL_SUFFIX
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer
from cmfd.sync.messages import AskMany, AskPack, Block, Offer, Take
from cmfd.sync.peer import BLOCK_BYTES
from cmfd.sync.remotes import Remote, parse
from cmfd.sync.resources import SMALL_BYTES
from cmfd.sync.ssh import through_ssh
from cmfd.sync.stdio import Pipe, StdioPeer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.sync.peer import Blocks

# Questions and lists are short, packs are long.
BYTES = st.one_of(st.integers(0, 1_500), st.integers(0, 400_000))


class Cut:
    """The end of a wire that is read, and of which there is no more after so many bytes."""

    def __init__(self, file: IO[bytes], n_bytes: int | None) -> None:
        self._file = file
        self._n_left = n_bytes

    def read(self, n_bytes: int) -> bytes:
        """Read; at the cut, whoever writes is told that nobody reads."""
        if self._file.closed:
            return b""
        if self._n_left is not None and n_bytes >= self._n_left:
            n_bytes, self._n_left = self._n_left, 0
        elif self._n_left is not None:
            self._n_left -= n_bytes
        data = self._file.read(n_bytes) if n_bytes else b""
        if self._n_left == 0:
            self._file.close()
        return data


class Noting(Pipe):
    """A wire that notes which packs go over it, by digest, and how many bytes of large ones."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], whom: str) -> None:
        super().__init__(incoming, outgoing, whom)
        self.asked: list[str] = []
        self.n_bytes: Counter[str] = Counter()

    def say(self, message: object) -> None:
        """Note what is sent, or asked for."""
        match message:
            case Take(digest=one) | Offer(digest=one) | AskPack(digest=one):
                self.asked.append(one)
            case AskMany(digests):
                self.asked += digests
            case Block(data):
                self.n_bytes[self.asked[-1]] += len(data)
        super().say(message)  # type: ignore[arg-type] # whatever it is


@contextmanager
def wire(there: Site, *, questions: int | None, answers: int | None) -> Iterator[Noting]:
    """Have a site answer at the other end of two pipes that end after so many bytes."""
    ends = [os.pipe(), os.pipe()]
    (there_in, here_out), (here_in, there_out) = ends
    asked, answer = os.fdopen(there_in, "rb"), os.fdopen(there_out, "wb")

    def serving() -> None:
        with suppress(BrokenPipeError), asked, answer, suppress(RemoteError):
            serve(SitePeer(there), Pipe(Cut(asked, questions), answer, "the client"))  # type: ignore[arg-type] # reads as one

    server = threading.Thread(target=serving)
    server.start()
    ask, told = os.fdopen(here_out, "wb"), os.fdopen(here_in, "rb")
    try:
        with suppress(BrokenPipeError), told, ask:
            yield Noting(Cut(told, answers), ask, "the server")  # type: ignore[arg-type] # as above
    finally:
        server.join(60)
        assert not server.is_alive()


def come(site: Site) -> set[str]:
    """Return which packs came to a site, merged or not."""
    return {pack.stem for pack in (*site.merged_packs(), *site.inbox.glob("*.db"))}


def begun(site: Site) -> dict[str, int]:
    """Return how much there is of packs that did not come whole."""
    found = (site.path / INCOMING).glob("*")
    return {one.name.removesuffix(PARTIAL_SUFFIX): one.stat().st_size for one in found}


def is_tidy(site: Site) -> bool:
    """Say whether nothing is left of what was cut."""
    return not (begun(site) or list(site.inbox.glob("*")) or site.quarantine.exists())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Site]:
    """Make two sites."""
    make = maker(tmp_path_factory.mktemp("cuts"))
    return make("here"), make("there")


_runs = itertools.count()


@pytest.mark.slow
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cuts=st.lists(st.tuples(st.booleans(), BYTES), min_size=1, max_size=6),
    n_new=st.integers(1, 3),
    pulls=st.booleans(),
    small_bytes=st.sampled_from([0, SMALL_BYTES]),
    promised_bytes=st.sampled_from([0, SMALL_BYTES]),
    block_bytes=st.sampled_from([5_000, BLOCK_BYTES]),
)
def test_what_is_cut_anywhere_goes_on(  # noqa: PLR0917 - hypothesis's
    both: tuple[Site, Site],
    cuts: list[tuple[bool, int]],
    n_new: int,
    pulls: bool,  # noqa: FBT001 - hypothesis's
    small_bytes: int,
    promised_bytes: int,
    block_bytes: int,
) -> None:
    """All comes, once; what came before the cut is not sent again; and nothing is left over."""
    here, there = both
    act, source, target = (pull, there, here) if pulls else (push, here, there)
    new = [next(_runs) for _ in range(n_new)]
    add(source, *new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmfd.sync.far.SMALL_BYTES", small_bytes)
        patch.setattr("cmfd.sync.exchange._PROMISED_BYTES", promised_bytes)
        patch.setattr("cmfd.sync.stdio.BLOCK_BYTES", block_bytes)
        patch.setattr("cmfd.sync.local.BLOCK_BYTES", block_bytes)
        for at_answers, n_bytes in [*cuts, (False, -1)]:
            limit = None if n_bytes < 0 else n_bytes
            before, parts = come(target), begun(target)
            questions, answers = (None, limit) if at_answers else (limit, None)
            with (
                wire(there, questions=questions, answers=answers) as pipe,
                nullcontext() if limit is None else suppress(RemoteError),
            ):
                act(here, to(there), StdioPeer(pipe))
            if not promised_bytes:  # a few may go along with the first question, come what may
                assert not before & set(pipe.asked)
            for one, n_sent in pipe.n_bytes.items():
                size_bytes = source.merged(one).stat().st_size
                assert n_sent <= size_bytes - parts.get(one, 0)
    assert digest(here) == digest(there)
    assert len(list(target.merged_packs())) == len(list(source.merged_packs()))
    assert is_tidy(here)
    assert is_tidy(there)


KILLS = """
import os, subprocess, sys
n_left = int(sys.argv[1])
ssh = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, bufsize=0)
while n_left and (data := os.read(0, min(n_left, 1 << 16))):
    ssh.stdin.write(data)
    n_left -= len(data)
if n_left:
    ssh.stdin.close()
else:
    ssh.kill()
sys.exit(ssh.wait())
"""
"""Runs ssh, and kills it after so many bytes of questions."""


@pytest.mark.slow
def test_an_ssh_that_is_killed_has_lost_nothing(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one, to a real server, at its start, within a pack, and after all was said."""
    here, hub = make_site("here", 1, 2, 3), make_site("hub")
    n_bytes = sum(pack.stat().st_size for pack in here.merged_packs())
    monkeypatch.setattr("cmfd.sync.far.SMALL_BYTES", 0)
    with ssh_server(tmp_path / "sshd") as server:
        options = (
            "-i", str(server.key), "-p", str(server.port), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
        )  # fmt: skip
        remote = Remote("hub", f"127.0.0.1:{hub.path}", command=f"{sys.executable} -m cmfd")

        def pushed(n_said: int) -> None:
            words = (sys.executable, "-c", KILLS, str(n_said), "ssh", *options)
            monkeypatch.setenv("CMFD_SSH", shlex.join(words))
            with through_ssh(remote, parse(remote.url)) as peer:
                push(here, remote, peer)

        for n_said in (1, n_bytes // 3, 2 * n_bytes // 3):
            with pytest.raises(RemoteError):
                pushed(n_said)
        pushed(1 << 30)
    assert digest(here) == digest(hub)
    # One that ssh's end left behind may yet have to notice.
    wait_until(lambda: is_tidy(hub), "nothing is left over", 60)


@pytest.mark.slow
def test_who_is_cut_after_another_brought_the_same_leaves_nothing(make_site: MakeSite) -> None:
    """A process that did not yet hear that its ssh is gone still holds what came of a pack."""
    here, hub = make_site("here", 1), make_site("hub")
    (pack,) = here.merged_packs()
    size_bytes = pack.stat().st_size

    def lost(offset: int) -> Blocks:
        yield pack.read_bytes()[offset:9_000]
        push(here, to(hub), SitePeer(hub))
        raise RemoteError("the connection was cut")

    with pytest.raises(RemoteError):
        SitePeer(hub).write(pack.stem, size_bytes, lost)
    assert digest(here) == digest(hub)
    assert is_tidy(hub)


@pytest.mark.slow
def test_of_two_that_are_cut_one_is_gone_on_from(make_site: MakeSite) -> None:
    """And what nobody would find again is not kept."""
    here, hub = make_site("here", 1), make_site("hub")
    (pack,) = here.merged_packs()

    def cut(offset: int) -> Blocks:
        yield pack.read_bytes()[offset:8_000]
        raise RemoteError("the connection was cut")

    def cut_later(offset: int) -> Blocks:
        yield pack.read_bytes()[offset:9_000]
        with pytest.raises(RemoteError):
            SitePeer(hub).write(pack.stem, pack.stat().st_size, cut)
        yield from cut(8_000)

    with pytest.raises(RemoteError):
        SitePeer(hub).write(pack.stem, pack.stat().st_size, cut_later)
    assert begun(hub) == {pack.stem: 9_000}


@pytest.mark.slow
def test_who_is_cut_while_another_brings_the_same_leaves_nothing_either(
    make_site: MakeSite,
) -> None:
    """He cannot know yet that nobody will go on from there: who has all of it sees to that."""
    here, hub = make_site("here", 1), make_site("hub")
    (pack,) = here.merged_packs()
    size_bytes = pack.stat().st_size

    holds, is_cut = threading.Event(), threading.Event()

    def cut(offset: int) -> Blocks:
        yield pack.read_bytes()[offset:8_000]
        holds.set()
        is_cut.wait(60)
        raise RemoteError("the connection was cut")

    def whole(_offset: int) -> Blocks:
        is_cut.set()
        first.join(60)
        yield pack.read_bytes()

    def write_and_be_cut() -> None:
        with suppress(RemoteError):
            SitePeer(hub).write(pack.stem, size_bytes, cut)

    first = threading.Thread(target=write_and_be_cut)
    first.start()
    assert holds.wait(60)
    SitePeer(hub).write(pack.stem, size_bytes, whole)
    assert not begun(hub)
