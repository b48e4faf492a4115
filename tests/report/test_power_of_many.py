"""Pages of reports show what all of their runs drew, minute by minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.energy import E_NS, Metered
from support.sites import ASite

from cmfd.cli.main import cli
from cmfd.query.index import open_index
from cmfd.query.periods import EVER
from cmfd.query.power import Drawn, drawn
from cmfd.query.selection import Selection, choose
from cmfd.report.costs.power import power_of

if TYPE_CHECKING:
    from pathlib import Path

MINUTE_NS = 60_000_000_000
W_MINUTE_UJ = 60_000_000


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Make a site: run 1 draws 100 W for 6 minutes, run 2, on another node, 50 W for the last 3."""
    metered = Metered().spend(0, {1: 100 * W_MINUTE_UJ, "idle": W_MINUTE_UJ}, n_buckets=6)
    metered.spend(3, {2: 50 * W_MINUTE_UJ}, node="n2", component="gpu", n_buckets=3)
    return ASite(tmp_path / "site").take(*metered.contents())


@pytest.mark.parametrize(
    ("node", "n_steps", "minutes", "cpu_w", "gpu_w"),
    [
        (None, 6, 1, [100] * 6, [50] * 3),
        (None, 3, 2, [100] * 3, [25, 50]),
        ("n2", 3, 1, [], [50] * 3),
    ],
)
def test_power_is_that_of_all_chosen_runs(
    site: ASite, *, node: str | None, n_steps: int, minutes: int, cpu_w: list[int], gpu_w: list[int]
) -> None:
    """Of no idle time, of the node that was asked for, in as many steps as can be told apart."""
    with open_index(site.path) as db:
        choose(db, Selection(node=node))
        rows = drawn(db, n_steps, node, EVER)

    assert {row.dur_ns for row in rows} == {minutes * MINUTE_NS}
    found = {
        name: [row.uj / W_MINUTE_UJ / minutes for row in rows if row.component == name]
        for name in ("cpu", "gpu")
    }
    assert found == {"cpu": cpu_w, "gpu": gpu_w}
    assert max(row.t0_ns + row.dur_ns for row in rows) == E_NS + 6 * MINUTE_NS


def test_the_page_of_a_report_has_it(site: ASite) -> None:
    """Other formats do not wait for it."""
    words = ["report", "energy", "--by", "user", "--site", str(site.path), "--format"]
    page = CliRunner().invoke(cli, [*words, "html"], catch_exceptions=False).stdout
    other = CliRunner().invoke(cli, [*words, "json"], catch_exceptions=False).stdout

    assert "Power over time" in page
    assert '"power": null' in other


def test_the_last_step_ends_with_the_energy() -> None:
    """What is drawn adds up to what was spent, also of a run of seconds."""
    rows = [Drawn("n1", "cpu", E_NS, 90_000_000_000, 900_000_000)]
    found = power_of(rows, None)

    assert found is not None
    assert found.began_ns == [E_NS, E_NS + MINUTE_NS]
    assert found.ended_ns == E_NS + 90_000_000_000
    assert found.components_w == {"cpu": [10.0, 10.0]}


def test_nothing_is_drawn_of_no_energy(tmp_path: Path) -> None:
    """No run has any."""
    metered = Metered().spend(0, {"idle": W_MINUTE_UJ})
    some = ASite(tmp_path / "site").take(*metered.contents())
    with open_index(some.path) as db:
        choose(db, Selection())
        assert drawn(db, 10, None, EVER) == []
