"""Many at one site at once: pushers, pullers, mergers; whoever loses a race loses nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.exchange import add, digest, packs_of, to

from cmfd.merge.batch import merge_site
from cmfd.merge.lock import merge_lock
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer

if TYPE_CHECKING:
    from pathlib import Path

    from support.exchange import MakeSite

N_PUSHERS = 3


def test_a_push_during_a_merge_leaves_its_packs_to_the_merger(make_site: MakeSite) -> None:
    """It says who that is; the next push has nothing more to send, and has them merged."""
    a, hub = make_site("a", 1, 2), make_site("hub", 3)
    held, done = threading.Event(), threading.Event()

    def merge() -> None:
        with merge_lock(hub.lock):
            held.set()
            done.wait(60)

    merger = threading.Thread(target=merge)
    merger.start()
    assert held.wait(60)
    first = push(a, to(hub), SitePeer(hub))
    done.set()
    merger.join()
    assert first.taken is not None
    assert (first.n_packs, first.taken.absorbed, first.taken.waiting) == (2, 0, 2)
    assert first.taken.busy_holder
    again = push(a, to(hub), SitePeer(hub))
    assert again.n_packs == 0
    assert again.taken is not None
    assert again.taken.absorbed == 2
    pull(a, to(hub), SitePeer(hub))
    assert digest(a) == digest(hub)


def test_who_may_only_put_packs_there_leaves_the_merge_to_the_operator(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait in the inbox, and that is said; nothing else of the site is touched."""
    a, hub = make_site("a", 1), make_site("hub", 2)
    before = digest(hub)
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode: path != hub.path and access(path, mode))
    done = push(a, to(hub), SitePeer(hub))
    assert done.taken is not None
    assert (done.n_packs, done.taken.absorbed, done.taken.waiting) == (1, 0, 1)
    assert digest(hub) == before
    monkeypatch.undo()
    assert merge_site(hub.path).absorbed == 1


@pytest.mark.slow
def test_pushers_pullers_and_operators_at_once_end_in_equal_sites(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Real processes: each pushes runs of its own and runs that others have, too; two merge."""
    hub = make_site("hub", 1000)
    sites = [make_site(f"site{number}", number, 100, 101) for number in range(N_PUSHERS)]
    for _ in range(2):
        commands = [("push", str(hub.path), "--site", str(site.path)) for site in sites]
        commands += [("pull", str(hub.path), "--site", str(site.path)) for site in sites]
        given = packs_of(tmp_path / "given", 200, 201)
        commands += [("merge", "--site", str(hub.path), str(given))] * 2
        running = [
            subprocess.Popen(
                (sys.executable, "-m", "cmfd", *words), stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
            )
            for words in commands
        ]  # fmt: skip
        for words, process in zip(commands, running, strict=True):
            told, _ = process.communicate(timeout=300)
            # A merger that finds another at work leaves its packs to that one, and says so.
            assert process.returncode in (0, 11), (words, told)
        for number, site in enumerate(sites):
            add(site, 300 + number)
    for _ in range(2):
        for site in sites:
            push(site, to(hub), SitePeer(hub))
            pull(site, to(hub), SitePeer(hub))
    merge_site(hub.path)
    assert {digest(site) for site in sites} == {digest(hub)}
