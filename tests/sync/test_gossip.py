"""The law of exchange: whatever was gossiped, once all have exchanged with all, all are equal."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.exchange import digest, packs_of, to
from support.gossip import MOST_CALLS, Mortals, mortals
from support.laws import examples

from cmfd.errors import RemoteError
from cmfd.merge.batch import merge_site
from cmfd.merge.gc import gc
from cmfd.merge.layout import Site, init_site, open_site
from cmfd.merge.reindex import reindex
from cmfd.merge.verify import verify
from cmfd.sync.exchange import fetch, pull, push
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cmfd.sync.exchange import Exchanged
    from cmfd.sync.peer import Blocks, FromOffset, Taken

N_SITES = 4
SITES = st.integers(0, N_SITES - 1)
STEPS = st.lists(
    st.one_of(
        # A run that one of them records; its clock may be off by hours.
        st.tuples(st.just("record"), SITES, st.integers(0, 5), st.integers(-(10**13), 10**13)),
        st.tuples(st.just("push"), SITES, SITES, st.integers(0, 60_000)),
        st.tuples(st.just("pull"), SITES, SITES, st.integers(0, 60_000)),
        st.tuples(st.just("fetch"), SITES, SITES, st.integers(0, 60_000)),
        # A process of its own, which is killed at one of its calls, or ends before.
        st.tuples(
            st.sampled_from(["killed push", "killed pull", "killed merge"]),
            SITES,
            SITES,
            st.integers(1, MOST_CALLS),
        ),
        # Only some runs.
        st.tuples(st.just("push part"), SITES, SITES, st.integers(0, 5)),
        st.tuples(st.just("pull part"), SITES, SITES, st.integers(0, 5)),
        # A copy of a whole site, and what was lost with the disk that had the site itself.
        st.tuples(st.just("copy"), SITES, st.just(0), st.just(0)),
        st.tuples(st.just("put back"), SITES, st.just(0), st.just(0)),
        st.tuples(st.just("reindex"), SITES, st.just(0), st.just(0)),
        # Packs go whose content others have: some say the same at another time.
        st.tuples(st.just("gc"), SITES, st.just(0), st.just(0)),
    ),
    max_size=12,
)
WHOLE = 50_000
"""A wire that carries so many bytes is not cut."""


class Cut(SitePeer):
    """A peer whose wire is cut after some bytes of packs."""

    def __init__(self, site: Site, n_bytes: int) -> None:
        super().__init__(site)
        self.n_left = n_bytes if n_bytes < WHOLE else 1 << 60

    def read(self, digest: str, offset: int) -> Blocks:
        """Yield what gets through."""
        return self._through(super().read(digest, offset))

    def write(
        self, digest: str, size_bytes: int, blocks: FromOffset, *, signature: str = ""
    ) -> None:
        """Take what gets through."""
        cut = lambda offset: self._through(blocks(offset))  # noqa: E731
        super().write(digest, size_bytes, cut, signature=signature)

    def _through(self, blocks: Blocks) -> Blocks:
        for block in blocks:
            yield block[: self.n_left]
            self.n_left -= len(block)
            if self.n_left <= 0:
                raise RemoteError("cut")

    def merge(self) -> Taken:
        """Merge, if the wire is still there."""
        if self.n_left <= 0:
            raise RemoteError("cut")
        return super().merge()


@pytest.fixture(scope="module")
def killer() -> Iterator[Mortals]:
    """Return what starts processes that are killed."""
    with mortals() as found:
        yield found


def do(sites: list[Site], packs: Path, step: tuple[str, int, int, int], killer: Mortals) -> None:
    what, number, second, amount = step
    site = sites[number]
    if what == "record":
        directory = packs_of(packs / f"{number}-{second}-{amount}", second, sealed_ns=amount)
        merge_site(site.path, [directory])
    elif what == "reindex":
        merge_site(site.path)
        reindex(site.path)
    elif what == "gc":
        gc(site.path, packs=True, remove=True)
    elif what in ("copy", "put back"):
        keep(site.path, site.path.with_name(f"{site.path.name}-copy"), what)
    elif what.startswith("killed"):
        if number != second:
            verb = what.removeprefix("killed ")
            killer.act(verb, site.path, sites[second].path, f"r{second}", kill_at=amount)
    elif number != second and what.endswith("part"):
        act = push if what == "push part" else pull
        other = sites[second]
        act(site, to(other, f"r{second}"), SitePeer(other), wanted=Wanted(f'job = "{amount}"', 0))
    elif number != second:
        other = sites[second]
        act = {"push": push, "pull": pull, "fetch": fetch}[what]
        with suppress(RemoteError):
            act(site, to(other, f"r{second}"), Cut(other, amount))


def keep(site: Path, copy: Path, what: str) -> None:
    source, target = (site, copy) if what == "copy" else (copy, site)
    if source.exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        if what == "put back" and open_site(site).database:
            reindex(site, force=True)  # an index on a server is not put back with the packs


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from([push, pull]))
def test_any_gossip_ends_in_equal_sites(
    killer: Mortals, steps: list[tuple[str, int, int, int]], act: Callable[..., Exchanged]
) -> None:
    """Pushes, pulls, parts, cuts, kills, repeats, new indices, losses, clocks hours apart."""
    place = Path(tempfile.mkdtemp())
    try:
        sites = [init_site(place / f"site{number}") for number in range(N_SITES)]
        for site in sites:
            merge_site(site.path)
        for step in steps:
            do(sites, place / "packs", step, killer)
        for _ in range(2):
            for site in sites:
                merge_site(site.path)  # as each command does
                for number, other in enumerate(sites):
                    if other is not site:
                        act(site, to(other, f"r{number}"), SitePeer(other))
        assert len({digest(site) for site in sites}) == 1
        assert [verify(site.path).problems for site in sites] == [[]] * N_SITES
    finally:
        shutil.rmtree(place)
