"""What the how-to for reports tells a user to type does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.energy import Metered
from support.factors import HEAD
from support.jobs import a_job
from support.sites import ASite, a_run, set_param

from cmfd.carbon import kept

if TYPE_CHECKING:
    from support.packs import Content

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "reports.md"
TIMEOUT_S = 300
J = 1_000_000

SERIES = f"""{HEAD}
DE,2023-11-14T22:00:00Z,2023-11-14T22:30:00Z,200,average,lifecycle,false,the grid
DE,2023-11-14T22:30:00Z,2023-11-15T00:00:00Z,400,average,lifecycle,false,the grid
"""
FACTORS = """\
name = "november"

[[places]]
nodes = ["*"]
zone = "DE"
order = ["series"]
pue = [{ value = 1.25, source = "metered" }]

[[node_types]]
name = "standard"
nodes = ["n*"]
embodied_kg = 1100.0
lifetime_years = 6.0
source = "the maker"
"""


def a_training(content: Content, number: int, rate: float, accuracy: float) -> Content:
    """Give a run a learning rate, and what it reached."""
    logged = a_run(number, n_ranks=1, accuracy=[0.1, accuracy])
    content |= {"series": logged["series"], "chunk": logged["chunk"]}
    set_param(content, number, "lr", "float", rate)
    set_param(content, number, "samples", "int", 60_000)
    return content


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Return a site with jobs of two users, who shared a node for an hour."""
    site = ASite(tmp_path / "site")
    metered = Metered().spend(
        0, {4711: 18_000 * J, 4712: 9_000 * J, "idle": 6_000 * J, "system": 600 * J}, n_buckets=60
    )
    metered.spend(
        0, {4711: 3_000 * J, 4712: 1_500 * J, "idle": 1_500 * J}, component="dram", n_buckets=60
    )
    ann = a_job(4711, "ann", cpus=64, total_cpu_s=163_584.0, energy_j=2.1e6)
    bob = a_job(4712, "bob", 1001, state="TIMEOUT", account="chemistry", cpus=32)
    jobs = [a_training(ann, 4711, 0.01, 0.95), a_training(bob, 4712, 0.1, 0.91)]
    site.take(*metered.contents(*jobs))
    for name, text in (("grid.csv", SERIES), ("factors.toml", FACTORS)):
        (tmp_path / name).write_text(text, "utf-8")
    kept.add_series(site.path, tmp_path / "grid.csv")
    kept.use(site.path, kept.add_factors(site.path, tmp_path / "factors.toml")[0].id)
    return site.path


@pytest.mark.slow
def test_the_how_to_for_reports_does_what_it_says(
    known: Path, tmp_path: Path, new_user: dict[str, str]
) -> None:
    """Every command, in order, in one shell, on a site of two users."""
    shown = commands_of(HOWTO)
    assert len(shown) > 12

    environment = {**new_user, "CMFD_SITE": str(known), "TZ": "UTC"}
    seen = run_in_one_shell(shown, tmp_path, environment, TIMEOUT_S)

    wrong = what_is_wrong(shown, seen)
    assert not wrong, wrong
