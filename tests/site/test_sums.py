"""Sums are what the rows say: whatever was merged, in which order, how often, and after reindex."""

from __future__ import annotations

import random
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.packs import an_id, write_pack
from support.summed import busy_content, stored, summed

from cmfd.errors import StoreError
from cmfd.merge.absorb import absorb_files
from cmfd.merge.batch import merge_site
from cmfd.merge.reindex import reindex
from cmfd.query.index import open_index
from cmfd.store.connection import connect
from cmfd.store.site import SiteStore
from cmfd.store.sums import bring_up_to_date


def sums_of(index: Path) -> dict[str, set[Any]]:
    """Return the sums of an index, which are those of its rows."""
    with closing(connect(index, readonly=True)) as db:
        found = stored(db)
        for name, rows in summed(db).items():
            assert found[name] == rows, name
        return found


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 60))
def test_sums_are_those_of_the_rows_in_any_order(seed: int, n_packs: int, n_rows: int) -> None:
    """Made anew with a pack, after it or at the end, of packs that come again and contradict."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        contents = [busy_content(rng, n_rows) for _ in range(n_packs)]
        packs = [write_pack(root, content, node=str(i)) for i, content in enumerate(contents)]
        order = packs + rng.choices(packs, k=2)
        rng.shuffle(order)
        with closing(SiteStore(root / "index.db")) as index:
            for pack in order:
                index.absorb_group([(pack, pack.stem)], sum_up=rng.random() < 0.5)
                if rng.random() < 0.5:
                    index.sum_up()
            index.sum_up()
        sums_of(root / "index.db")


@pytest.mark.sqlite
def test_what_was_said_of_a_run_before_it_was_known_is_in_its_sums(tmp_path: Path) -> None:
    """The packs of a clone come in any order: a late fact's may come before that of its run."""
    run, origin = an_id("run", 1), an_id("proc", 0)
    said = write_pack(tmp_path, {"fact": [(run, "slurm.account", 5, origin, "str", "physics")]})
    row = (run, 1, origin, 1000, "c", "1", 0, "ann", "", "true", "/")
    known = write_pack(tmp_path, {"run": [row]})
    with closing(SiteStore(tmp_path / "index.db")) as index:
        for pack in (said, known):
            index.absorb(pack, pack.stem)
            index.sum_up()
    assert len(sums_of(tmp_path / "index.db")["run_sum"]) == 1


@pytest.mark.sqlite
def test_who_reads_while_a_merge_is_on_its_way_has_sums_that_are_up_to_date(
    tmp_path: Path,
) -> None:
    """A merger that was killed has made no sums: reports make them, and the file is not touched."""
    rng = random.Random(3)
    first, second = (write_pack(tmp_path / str(i), busy_content(rng, 80)) for i in range(2))
    merge_site(tmp_path / "site", [first])
    index = tmp_path / "site" / "index.db"
    with closing(SiteStore(index)) as store:
        store.absorb(second, second.stem)
    before = index.read_bytes()
    with open_index(tmp_path / "site") as db:
        bring_up_to_date(db)
        read = stored(db)
        for name, rows in summed(db).items():
            assert read[name] == rows, name
    assert index.read_bytes() == before
    merge_site(tmp_path / "site")
    assert sums_of(index) == read


@pytest.mark.sqlite
def test_a_rebuilt_index_has_the_same_sums(tmp_path: Path) -> None:
    """They are of the rows, which are of the packs; and no content: the digest knows none."""
    rng = random.Random(5)
    packs = [write_pack(tmp_path / str(i), busy_content(rng, 80)) for i in range(3)]
    merge_site(tmp_path / "site", packs)
    index = tmp_path / "site" / "index.db"
    sizes = {name: len(rows) for name, rows in sums_of(index).items()}
    with closing(SiteStore(index)) as store:
        digest = store.digest()
    reindex(tmp_path / "site")
    assert {name: len(rows) for name, rows in sums_of(index).items()} == sizes
    with closing(connect(index)) as db:
        db.execute("DELETE FROM run_energy")
        db.execute("DELETE FROM energy_hour")
    with closing(SiteStore(index, readonly=True)) as store:
        assert store.digest() == digest


@pytest.mark.sqlite
def test_a_merge_of_few_packs_waits_for_the_disk_once(tmp_path: Path) -> None:
    """Packs and their sums are one transaction: each has five waits, long ones on some disks."""
    pack = write_pack(tmp_path, busy_content(random.Random(7), 80))
    index, told = tmp_path / "site" / "index.db", list[str]()
    merge_site(tmp_path / "site")
    with closing(SiteStore(index)) as store:
        store._db.set_trace_callback(told.append)
        assert list(absorb_files(store, [pack])) == [(pack, True)]
        store.sum_up()
    assert told.count("COMMIT") == 1
    assert sums_of(index)["run_sum"]


@pytest.mark.sqlite
def test_sums_that_fail_are_not_blamed_on_a_pack(tmp_path: Path) -> None:
    """It is taken, and the merge says what is wrong, until that is put right."""
    pack = write_pack(tmp_path, busy_content(random.Random(8), 80))
    index = tmp_path / "site" / "index.db"
    merge_site(tmp_path / "site")
    with closing(connect(index)) as db:
        db.execute("CREATE TRIGGER no BEFORE INSERT ON run_sum BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(StoreError, match="damaged: no"):
        merge_site(tmp_path / "site", [pack])
    with closing(connect(index)) as db:
        db.execute("DROP TRIGGER no")
    assert merge_site(tmp_path / "site").absorbed == 0
    assert sums_of(index)["run_sum"]
