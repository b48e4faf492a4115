"""Packs and indices of earlier releases: packs are kept for ever, and so each format merges."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.energy import a_row
from support.oracle import rows_of
from support.packs import an_id, small_run, write_pack

from cmfd.errors import StoreError
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site
from cmfd.query.energy import rows
from cmfd.query.index import open_index
from cmfd.query.runs import recent
from cmfd.store import staging
from cmfd.store.migrations import SCHEMAS, version_of
from cmfd.store.pack import finish, open_pack
from cmfd.store.site import SiteStore

FIXTURES = Path(__file__).parents[1] / "store" / "fixtures"
PAST_PACKS = range(1, len(SCHEMAS["pack"]))
PAST_SITES = range(1, len(SCHEMAS["site"]))


def from_fixture(name: str, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript((FIXTURES / name).read_text("utf-8"))
    return path


@pytest.mark.parametrize("version", PAST_PACKS)
def test_a_pack_of_every_past_format_merges_with_new_ones(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one group or alone, before or after, copied or in place: the content is the same."""
    old = finish(from_fixture(f"pack-{version}.sql", tmp_path / "old.db"))
    new = write_pack(
        tmp_path,
        small_run(1) | {"delivery": [(an_id("run", 1), "n1", 7, an_id("proc", 1), 1, 0, 0)]},
    )
    digests = set()
    for name, groups in {
        "together": [[old, new]], "before": [[old], [new]], "after": [[new], [old]],
        "in place": [[old, new]],
    }.items():  # fmt: skip
        if name == "in place":
            monkeypatch.setattr(staging, "MOST_BYTES", 0)
        with closing(SiteStore(tmp_path / f"{name}.db")) as index:
            for group in groups:
                assert index.absorb_group([(p, p.stem) for p in group]) == [True] * len(group)
            digests.add(index.digest())
    assert len(digests) == 1
    found = rows_of(tmp_path / "together.db")
    assert {row[5] for row in found["run"]} == {"4711", "1"}
    assert {row[1] for row in found["delivery"]} >= {"n1"}


@pytest.mark.parametrize("version", PAST_PACKS)
def test_a_past_format_must_be_exactly_itself(tmp_path: Path, version: int) -> None:
    """What calls itself an old pack may have no table of a new one."""
    path = from_fixture(f"pack-{version}.sql", tmp_path / "old.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE later (later)")
    with pytest.raises(StoreError, match="foreign"):
        open_pack(finish(path))


@pytest.mark.sqlite
@pytest.mark.parametrize("version", PAST_SITES)
def test_an_index_of_every_past_schema_goes_on(tmp_path: Path, version: int) -> None:
    """Readers are told what to do; the next merge brings it up to date with all it held."""
    site = init_site(tmp_path / "site")
    from_fixture(f"site-{version}.sql", site.index)
    with pytest.raises(StoreError, match="cmfd merge"), open_index(site.path):
        pass
    new = write_pack(tmp_path / "packs", small_run(1) | {"energy": [tuple(a_row(uj=7))]})
    assert merge_site(site.path, [new]).absorbed == 1
    with open_index(site.path) as db:
        energies = [row.uj for row in rows(db)]
        assert 7 in energies
        assert db.execute("SELECT sum(uj) FROM run_energy").fetchone() == (sum(energies),)
        assert version_of(db) == len(SCHEMAS["site"])
        assert {run.job for run in recent(db)} == {"4711", "1"}
