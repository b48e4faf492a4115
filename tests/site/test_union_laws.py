"""Merging is a set union: whatever the packs, the order, the repetitions and the sites."""

from __future__ import annotations

import random
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.mergers import digest_of
from support.oracle import connection_to, rows_of, union
from support.packs import random_content, write_pack
from support.postgres import new_index

from cmfd.merge.batch import merge_site
from cmfd.store import staging
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from cmfd.store.absorbing import Store

seeds = st.integers(0, 2**32)


@settings(max_examples=examples(30), deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 40))
def test_any_order_with_repetitions_gives_the_union(seed: int, n_packs: int, n_rows: int) -> None:
    """Law 5: and the union is what the rules of the schema say, not merely the same every time."""
    rng = random.Random(seed)
    contents = [random_content(rng, n_rows) for _ in range(n_packs)]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        packs = [write_pack(root, content, node=str(i)) for i, content in enumerate(contents)]
        digests = set()
        for number in range(3):
            order = packs + rng.choices(packs, k=2)
            rng.shuffle(order)
            with new_index(root / f"index{number}.db") as index:
                index.absorb_group([(pack, pack.stem) for pack in order[:3]])
                for pack in order:
                    index.absorb_group([(pack, pack.stem)])
                digests.add(index.digest())
                assert rows_of(index) == union(contents)
                assert spans_are_right(index)
        assert len(digests) == 1


@settings(max_examples=examples(15), deadline=None)
@given(seeds, st.integers(1, 8), st.integers(1, 3))
def test_sites_that_forward_packs_to_each_other_end_up_equal(
    seed: int, n_packs: int, n_sites: int
) -> None:
    """Whoever told whom, in whatever order and how often: all know the same."""
    rng = random.Random(seed)
    contents = [random_content(rng, 20) for _ in range(n_packs)]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        packs = [write_pack(root / "packs", c, node=str(i)) for i, c in enumerate(contents)]
        sites = [root / f"site{number}" for number in range(n_sites)]
        for pack in packs:
            merge_site(rng.choice(sites), [pack])
        for _ in range(n_sites):
            forward(rng.choice(sites), rng.choice(sites))
        for here in sites:
            for there in rng.sample(sites, n_sites):
                forward(there, here)
        assert len({digest_of(site) for site in sites}) == 1
        assert rows_of(sites[0] / "index.db") == union(contents)


@pytest.mark.sqlite
@settings(max_examples=examples(5), deadline=None)
@given(seeds, st.integers(1, 6), st.integers(1, 40))
def test_packs_that_memory_has_no_room_for_are_taken_alike(
    seed: int, n_packs: int, n_rows: int
) -> None:
    """In place or copied before: the same rows, and each pack is about the same."""
    rng = random.Random(seed)
    contents = [random_content(rng, n_rows) for _ in range(n_packs)]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        packs = [write_pack(root, content, node=str(i)) for i, content in enumerate(contents)]
        found = []
        for most_bytes in (1 << 30, 0):
            index = root / f"index{most_bytes}.db"
            with patch.object(staging, "MOST_BYTES", most_bytes), closing(SiteStore(index)) as site:
                assert site.absorb_group([(pack, pack.stem) for pack in packs]) == [True] * n_packs
                found.append((site.digest(), *map(partial(_of_packs, site), ("run", "about"))))
            assert rows_of(index) == union(contents)
        assert found[0] == found[1]


def _of_packs(site: SiteStore, what: str) -> list[tuple[object, ...]]:
    with closing(connection_to(site)) as db:
        return db.execute(f"SELECT * FROM pack_{what} ORDER BY 1, 2").fetchall()


def spans_are_right(index: Store) -> bool:
    """Say whether what questions about energy go by is what the rows say."""
    with closing(connection_to(index)) as db:
        said = db.execute("SELECT * FROM energy_span ORDER BY meter_id, run_id").fetchall()
        return (
            said
            == db.execute(
                "SELECT meter_id, run_id, min(t0_ns), max(t0_ns + dur_ns) FROM energy"
                " GROUP BY meter_id, run_id ORDER BY meter_id, run_id"
            ).fetchall()
        )


def forward(there: Path, here: Path) -> None:
    """Merge all packs of one site into another, if it has any."""
    merge_site(here, [there] if any(there.glob("packs/*/*.db")) else [])
