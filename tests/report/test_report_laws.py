"""Whatever a report puts together, it adds up to the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.energy import Metered
from support.jobs import a_job
from support.laws import examples
from support.sites import ASite

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
