"""Whatever a report puts together, it adds up to the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.energy import Metered
from support.jobs import a_job
from support.laws import examples
from support.sites import BEGIN_NS, ASite, invoker

from cmfd.merge.batch import merge_site
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.query.selection import Selection
from cmfd.report.costs.asked import Asked
from cmfd.report.costs.build import build
from cmfd.report.costs.groups import NAMES

if TYPE_CHECKING:
    from cmfd.report.costs.model import Report

minutes = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["n1", "n2"]),
        st.sampled_from(["cpu", "dram"]),
        st.dictionaries(
            st.sampled_from([1, 2, 3, "idle", "system"]), st.integers(0, 10**12), min_size=1
        ),
    ),
    max_size=8,
    unique_by=lambda one: one[:3],
)


@pytest.mark.slow
def test_what_is_merged_again_changes_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs that come again, in any order, with an index made anew: each report is the same."""
    monkeypatch.setattr("time.time_ns", lambda: BEGIN_NS + 10**15)
    metered = Metered().spend(0, {1: 7, 2: 10**9, "idle": 13, "system": 5}, n_buckets=4)
    metered.spend(2, {1: 10**10}, node="n2", component="gpu", source="nvml", n_buckets=3)
    contents = metered.contents(a_job(1), a_job(2, "bob", 1001, state="FAILED"))
    site = ASite(tmp_path / "site").take(*contents)
    invoke = invoker(site, tmp_path, monkeypatch)

    def all_reports() -> list[str]:
        every = [("energy", by) for by in NAMES] + [("carbon", "user"), ("runtime", "run")]
        return [invoke("report", about, "--by", by, "--json").stdout for about, by in every]

    before = all_reports()
    packs = sorted((site.path / "packs").glob("*/*.db"))
    assert len(packs) == len(contents)
    for order in (packs, packs[::-1]):
        for number, pack in enumerate(order):
            again = tmp_path / f"again-{number}"
            again.mkdir(exist_ok=True)
            shutil.copy(pack, again)
            merge_site(site.path, [again])
        assert all_reports() == before
    invoke("site", "reindex")
    assert all_reports() == before


def report(site: Path, by: str) -> Report:
    asked = Asked(about="energy", by=by, selection=Selection(), now_ns=0, is_operator=True)
    with open_index(site) as db:
        return build(db, open_site(site), asked)


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None)
@given(spent=minutes)
def test_groups_add_up_to_the_whole_and_the_whole_to_the_counters(
    spent: list[tuple[int, str, str, dict[int | str, int]]],
) -> None:
    """By run, user, month, node or stage: the same energy, and no counter has any left over."""
    metered = Metered()
    for bucket, node, component, shares in spent:
        metered.spend(bucket, shares, node=node, component=component)
    users = {1: "ann", 2: "bob", 3: "ann"}
    jobs = [a_job(number, user) for number, user in users.items()]
    expected = sum(
        uj for *_, shares in spent for whose, uj in shares.items() if isinstance(whose, int)
    )
    moved = sum(uj for *_, shares in spent for uj in shares.values())
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory) / "site").take(*metered.contents(*jobs))
        for by in NAMES:
            made = report(site.path, by)
            energies = [one.energy.energy_j for one in made.groups if one.energy]
            assert sum(energies) == pytest.approx(expected / 1e6, rel=1e-9)
            for part in (made.total, *made.groups):
                assert part is not None
                if part.energy:
                    assert part.energy.low_j <= part.energy.energy_j <= part.energy.high_j
                    assert sum(one.energy_j for one in part.energy.components) == pytest.approx(
                        part.energy.energy_j
                    )
        days = report(site.path, "node").reconciliation
        assert all(day.difference_j == 0 for day in days)
        assert sum(day.counter_j for day in days) == pytest.approx(moved / 1e6, rel=1e-9)
