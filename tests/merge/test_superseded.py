"""Packs whose content later ones repeat: they go, and nothing goes with them, at any site."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.exchange import to
from support.journals import EXECUTION, RUN, T0_NS, Journal
from support.mergers import digest_of
from support.packs import damage_pack, small_run, write_pack

from cmfd.merge.batch import merge_site
from cmfd.merge.gc import gc
from cmfd.merge.layout import open_site
from cmfd.merge.reindex import reindex
from cmfd.merge.verify import verify
from cmfd.store.interpret import seal
from cmfd.store.node import NodeStore
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer
from cmfd.wire.messages import ExecutionBegin, Param, ProcessBegin, RunBegin, Series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.sync.exchange import Exchanged

MINUTE_NS = 60 * 10**9


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """
    Seal a run on a node four times.

    In each interval it says a parameter and logs some values. After the second the process fills a
    block and begins another one: the third is the last pack that has the first block.
    """
    place = tmp_path_factory.mktemp("node")
    journal = Journal(block_bytes=1024)
    journal.events(
        RunBegin(at_ns=T0_NS, run=RUN),
        ExecutionBegin(at_ns=T0_NS, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
        ProcessBegin(at_ns=T0_NS, execution=EXECUTION, host="n1"),
        Series(at_ns=T0_NS, id=1, execution=EXECUTION, name="loss"),
    )
    packs, n_logged = [], 0
    with closing(NodeStore(place / "node.db")) as store:
        for number, n_values in enumerate((5, 5, 30, 5)):
            at_ns = T0_NS + number * MINUTE_NS
            journal.events(
                Param(at_ns=at_ns, execution=EXECUTION, key=f"p{number}", type="int", value=number)
            )
            for step in range(n_logged, n_logged + n_values):
                journal.point(1, float(step), step=step, at_ns=at_ns + step)
            n_logged += n_values
            store.append(journal.slices())
            store.commit()
            pack = seal(
                place / "node.db", RUN, place / "out", final=number == 3, now_ns=at_ns + MINUTE_NS,
                cluster="c", node="n1",
            )  # fmt: skip
            assert pack is not None
            store.mark_sealed(RUN, pack.upto, final=pack.final, at_ns=at_ns + MINUTE_NS)
            store.commit()
            packs.append(pack.path)
    return packs


@pytest.fixture
def site(tmp_path: Path, checkpoints: list[Path]) -> Path:
    """Merge them, and a pack of another run."""
    merge_site(tmp_path / "site", [*checkpoints, write_pack(tmp_path / "packs", small_run(1))])
    return tmp_path / "site"


def kept(site: Path) -> set[str]:
    """Return the packs that a site has."""
    return {path.stem for path in open_site(site).merged_packs()}


@pytest.mark.slow
def test_checkpoints_go_that_say_nothing_that_later_ones_do_not(
    site: Path, checkpoints: list[Path]
) -> None:
    """What has values of its own stays; told first, and removed when asked."""
    before, had = digest_of(site), kept(site)
    needless = {pack.stem for pack in checkpoints[:2]}
    assert gc(site, remove=True).leftovers == []
    assert {one.path.stem for one in gc(site, packs=True).leftovers} == needless
    assert kept(site) == had

    gc(site, packs=True, remove=True)

    assert kept(site) == had - needless
    assert gc(site, packs=True).leftovers == []
    assert verify(site, deep=True).problems == []
    assert reindex(site) == []
    assert digest_of(site) == before
    assert verify(site, deep=True).problems == []


def test_what_came_again_goes_again(site: Path, checkpoints: list[Path]) -> None:
    """From an old inbox, or a copy; with an index that knows it, and with one that does not."""
    gc(site, packs=True, remove=True)
    before, had = digest_of(site), kept(site)
    merge_site(site, checkpoints)
    assert kept(site) == had
    reindex(site)
    merge_site(site, checkpoints)
    gc(site, packs=True, remove=True)
    assert (digest_of(site), kept(site)) == (before, had)


@pytest.mark.parametrize("act", [push, pull])
def test_sites_do_not_bring_each_other_what_is_superseded(
    tmp_path: Path, site: Path, checkpoints: list[Path], act: Callable[..., Exchanged]
) -> None:
    """One that has all, one that removed some and made its index anew, one that has nothing yet."""
    full, new = tmp_path / "full", tmp_path / "new"
    merge_site(full, checkpoints)
    merge_site(new)
    gc(site, packs=True, remove=True)
    reindex(site)
    had = kept(site)
    for _ in range(2):
        for one, other in ((full, site), (site, full), (new, site), (site, new)):
            done = act(open_site(one), to(open_site(other), other.name), SitePeer(open_site(other)))
            assert done.left_out == []
    assert kept(site) == kept(new) == had
    assert len({digest_of(one) for one in (site, full, new)}) == 1


@pytest.mark.parametrize("damage", ["gone", "broken"])
def test_what_is_superseded_by_what_was_lost_comes_again(
    tmp_path: Path, site: Path, checkpoints: list[Path], damage: str
) -> None:
    """From a site that still has it, once the index is made of what is left."""
    other = tmp_path / "other"
    merge_site(other, checkpoints[:2])
    gc(site, packs=True, remove=True)
    for pack in checkpoints[2:]:
        lost = open_site(site).merged(pack.stem)
        if damage == "gone":
            lost.unlink()
        else:
            damage_pack(lost, b"broken")
    refused = reindex(site, force=damage == "gone")
    assert len(refused) == (0 if damage == "gone" else 2)
    there = open_site(other)
    assert pull(open_site(site), to(there), SitePeer(there)).n_packs == 2
    push(open_site(site), to(there), SitePeer(there))
    assert digest_of(site) == digest_of(other)


def test_a_pack_that_nobody_can_read_stays(site: Path, checkpoints: list[Path]) -> None:
    """And stands for no other."""
    last = open_site(site).merged(checkpoints[-1].stem)
    damage_pack(last, b"broken")
    gc(site, packs=True, remove=True)
    assert last.exists()
    assert open_site(site).merged(checkpoints[2].stem).exists()
