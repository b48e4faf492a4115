"""Questions about energy: what runs took, when, where, and what became of a counter's joules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.energy import BUCKET_NS, E_NS, Metered, a_row
from support.mergers import digest_of
from support.packs import an_id
from support.sites import ASite, a_run

from cmfd.merge.reindex import reindex
from cmfd.merge.verify import verify
from cmfd.query import energy
from cmfd.query.energy import Which
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from pathlib import Path


def test_owners_add_up_to_the_counter_on_each_day(tmp_path: Path) -> None:
    """Two runs, idle time and the system of two nodes, over midnight."""
    metered = Metered()
    to_midnight = (energy.DAY_NS - E_NS % energy.DAY_NS) // BUCKET_NS
    metered.spend(to_midnight - 2, {1: 7, 2: 5, "idle": 3, "system": 1}, n_buckets=5)
    metered.spend(0, {2: 11, "idle": 2}, node="n2", component="dram")
    site = ASite(tmp_path / "site").take(*metered.contents())
    with open_index(site.path) as db:
        found = energy.balances(db)
        run_ids = dict(db.execute("SELECT run, id FROM run"))
        seen = db.execute("SELECT node, counter_j, runs_j, idle_j FROM energy_of_nodes").fetchall()
        total = {row.run_id: 0 for row in energy.rows(db)}
        for row in energy.rows(db):
            total[row.run_id] += row.uj
    assert [(b.node, b.component, b.counter_uj, b.runs_uj, b.idle_uj) for b in found] == [
        ("n1", "cpu", 32, 24, 6), ("n1", "cpu", 48, 36, 9), ("n2", "dram", 13, 11, 2),
    ]  # fmt: skip
    assert [b.missing_uj for b in found] == [0, 0, 0]
    assert seen == [
        (b.node, b.counter_uj / 1e6, b.runs_uj / 1e6, b.idle_uj / 1e6) for b in found
    ], "people see the same"
    assert total == {run_ids[an_id("run", 1)]: 35, run_ids[an_id("run", 2)]: 36}


def test_periods_are_half_open_and_add_up(tmp_path: Path) -> None:
    """Whatever the time of the cut: each row is in one of the two."""
    metered = Metered().spend(0, {1: 10, "idle": 1}, n_buckets=10)
    site = ASite(tmp_path / "site").take(*metered.contents())
    cut = E_NS + 4 * BUCKET_NS
    with open_index(site.path) as db:
        (early,) = energy.sums(db, Which(until_ns=cut))
        (late,) = energy.sums(db, Which(since_ns=cut))
        steps = energy.sums(db, step_ns=2 * BUCKET_NS)
    assert (early.uj, late.uj, early.end_ns, late.first_ns) == (40, 60, cut, cut)
    assert sum(step.uj for step in steps) == 100
    assert {step.began_ns % (2 * BUCKET_NS) for step in steps} == {0}


def test_an_executions_energy_is_part_of_its_runs(tmp_path: Path) -> None:
    """Nested ones are found with it, each with its own."""
    content = a_run(1)
    inner = (an_id("exec", 7), 5, an_id("proc", 1), an_id("run", 1), an_id("exec", 1), "p", "s", "")
    content["execution"].append(inner)
    rows = [a_row(uj=3), a_row(uj=20, execution=1), a_row(uj=100, execution=7)]
    content["energy"] = [tuple(row) for row in rows]
    site = ASite(tmp_path / "site").take(content)
    with open_index(site.path) as db:
        (whole,) = energy.sums(db)
        outer = energy.sums_of_executions(db, [an_id("exec", 1).hex()])
        alone = energy.sums_of_executions(db, [an_id("exec", 1).hex()], nested=False)
        names = energy.names_of_executions(db, [row.execution_id for row in outer])
    assert whole.uj == 123
    assert {names[row.execution_id]: row.uj for row in outer} == {
        an_id("exec", 1).hex(): 20, an_id("exec", 7).hex(): 100
    }  # fmt: skip
    assert [row.uj for row in alone] == [20]


def test_checks_are_asked_for_and_added_to_nothing(tmp_path: Path) -> None:
    """What another source said of the same is beside it."""
    content = a_run(1)
    check = a_row(uj=9, component="node", source="ipmi", role="check", owner="run")
    content["energy"] = [tuple(a_row(uj=8)), tuple(check)]
    site = ASite(tmp_path / "site").take(content)
    with open_index(site.path) as db:
        assert [row.uj for row in energy.rows(db)] == [8]
        assert [row.uj for row in energy.rows(db, Which(role="check"))] == [9]
        assert [row.uj for row in energy.sums(db, Which(nodes=["n2"]))] == []


def test_a_site_says_why_a_node_has_its_grade(tmp_path: Path) -> None:
    """Probes and hardware come with the ledger."""
    metered = Metered().spend(0, {"idle": 1})
    site = ASite(tmp_path / "site").take(*metered.contents())
    with open_index(site.path) as db:
        (probe,) = energy.probes(db, ["n1"])
        (node,) = energy.hardware(db)
    assert (probe.source, probe.chosen, probe.components) == ("rapl", True, ["cpu", "dram"])
    assert (node.node, node.cluster, node.n_cores, node.gpus) == ("n1", "c", 64, [])


def test_grades_and_methods_are_summed_up_apart(tmp_path: Path) -> None:
    """A run that had a node alone and then shared it, whose counter failed for a while."""
    content = a_run(1)
    rows = [
        a_row(uj=1, method="exclusive"),
        a_row(uj=2, bucket=1),
        a_row(uj=4, bucket=2, execution=1),
        a_row(uj=8, bucket=3, grade="M"),
        a_row(uj=16, component="dram"),
        a_row(uj=32, component="dram", execution=1, bucket=5),
    ]
    content["energy"] = [tuple(row) for row in rows]
    site = ASite(tmp_path / "site").take(content)
    with open_index(site.path) as db:
        found = {(s.component, s.grade, s.method[:6]): s for s in energy.sums(db)}
        by_execution = energy.sums(db, by_execution=True)
        steps = energy.sums(db, step_ns=3 * BUCKET_NS)
    assert {key: row.uj for key, row in found.items()} == {
        ("cpu", "B", "exclus"): 1, ("cpu", "B", "shared"): 6, ("cpu", "M", "shared"): 8,
        ("dram", "B", "shared"): 48,
    }  # fmt: skip
    dram = found["dram", "B", "shared"]
    assert (dram.dur_ns, dram.first_ns, dram.end_ns) == (
        2 * BUCKET_NS, E_NS, E_NS + 6 * BUCKET_NS
    )  # fmt: skip
    assert sorted(row.uj for row in by_execution) == [1, 2, 4, 8, 16, 32]
    assert sum(row.uj for row in steps) == 63


def test_an_index_made_anew_has_all_energy(tmp_path: Path) -> None:
    """`cmfd site reindex` and `verify --deep` know of it."""
    metered = Metered().spend(0, {1: 7, "idle": 3, "system": 1}, n_buckets=3)
    site = ASite(tmp_path / "site").take(*metered.contents())
    before = digest_of(site.path)
    assert verify(site.path, deep=True).problems == []
    assert reindex(site.path) == []
    assert digest_of(site.path) == before
    with open_index(site.path) as db:
        assert [balance.missing_uj for balance in energy.balances(db)] == [0]
    ASite(tmp_path / "site").take({"energy": [tuple(a_row(owner="idle", uj=1, bucket=99))]})
    assert digest_of(site.path) != before
