"""`cmfd report energy`: figures that can be reckoned by hand."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from support.energy import Metered, a_row
from support.jobs import HOUR_S, a_job
from support.packs import an_id, small_run
from support.sites import from_json

if TYPE_CHECKING:
    from support.sites import ASite, Invoke

J = 1_000_000
"""Microjoules."""

SHARES: dict[int | str, int] = {1: 6 * J, 2: 3 * J, "idle": 2 * J, "system": 1 * J}
"""Of a processor's counter, in each of ten minutes: 60 J, 30 J, 20 J and 10 J, of 120 J."""


@pytest.fixture
def shared_node(site: ASite) -> ASite:
    """Return a site with jobs of ann and bob, who shared a node for ten minutes."""
    metered = Metered().spend(0, SHARES, n_buckets=10)
    metered.spend(0, {1: 1 * J, 2: J // 2, "idle": J // 2}, component="dram", n_buckets=10)
    ann = a_job(1, elapsed_s=600)
    bob = a_job(2, "bob", 1001, elapsed_s=600, state="FAILED", account="chemistry")
    return site.take(*metered.contents(ann, bob))


def report(invoke: Invoke, *words: str) -> dict[str, Any]:
    """Return a report of energy."""
    found: dict[str, Any] = from_json(invoke("report", "energy", *words, "--json"))
    return found


@pytest.mark.usefixtures("shared_node")
def test_users_get_what_their_runs_were_given(invoke: Invoke) -> None:
    """60 J of the processor and 10 J of memory are ann's, 30 J and 5 J are bob's."""
    found = report(invoke)
    groups = {group["names"]["user"]: group for group in found["groups"]}
    assert list(groups) == ["ann", "bob"]
    assert groups["ann"]["energy"]["energy_j"] == pytest.approx(70)
    assert groups["bob"]["energy"]["energy_j"] == pytest.approx(35)
    parts = {one["component"]: one["energy_j"] for one in groups["ann"]["energy"]["components"]}
    assert parts == pytest.approx({"cpu": 60, "dram": 10})
    assert found["total"]["energy"]["energy_j"] == pytest.approx(105)
    assert groups["ann"]["core_s"] == 4 * 600
    assert groups["ann"]["n_runs"] == 1


@pytest.mark.usefixtures("shared_node")
def test_what_no_run_was_given_is_told(invoke: Invoke) -> None:
    """Idle 20 J and 5 J of memory, the system 10 J; only of a report on all runs."""
    found = report(invoke)
    assert found["idle"]["energy_j"] == pytest.approx(25)
    assert found["system"]["energy_j"] == pytest.approx(10)
    assert report(invoke, "--user", "ann")["idle"] is None


@pytest.mark.usefixtures("shared_node")
def test_jobs_idle_and_system_are_what_the_counter_moved(invoke: Invoke) -> None:
    """Exactly, for each node, day and component."""
    days = report(invoke, "--by", "node")["reconciliation"]
    assert {one["component"]: one["counter_j"] for one in days} == pytest.approx(
        {"cpu": 120, "dram": 20}
    )
    for one in days:
        assert one["difference_j"] == 0
        parts = one["runs_j"] + one["idle_j"] + one["system_j"]
        assert parts == pytest.approx(one["counter_j"], rel=1e-12)
    assert {(one["node"], one["day"]) for one in days} == {("n1", "2023-11-14")}


@pytest.mark.usefixtures("shared_node")
def test_days_are_whole_wherever_a_report_begins(invoke: Invoke) -> None:
    """Rows of a counter and of a run begin at different times of a day, and are compared by it."""
    days = report(invoke, "--by", "node", "--since", "2023-11-14T22:17:30Z")["reconciliation"]
    assert {one["component"]: one["counter_j"] for one in days} == pytest.approx(
        {"cpu": 120, "dram": 20}
    )
    assert report(invoke, "--by", "node", "--since", "2023-11-15")["reconciliation"] == []


def test_a_delivery_that_is_missing_shows_as_a_difference(site: ASite, invoke: Invoke) -> None:
    """The counter moved 12 J a minute; without bob's pack 3 J of it are nobody's."""
    metered = Metered().spend(0, SHARES, n_buckets=10)
    ann, bob, ledger = metered.contents(a_job(1), a_job(2, "bob"))
    site.take(ann, ledger)
    (day,) = report(invoke, "--by", "node")["reconciliation"]
    assert day["difference_j"] == pytest.approx(30)
    site.take(bob)
    (day,) = report(invoke, "--by", "node")["reconciliation"]
    assert day["difference_j"] == 0


@pytest.mark.usefixtures("shared_node")
def test_bounds_follow_from_grades_and_from_sharing(invoke: Invoke) -> None:
    """
    Grade B is 10 % either way; what jobs shared beyond idle power, 15 % of that as well.

    Of 70 J, a third (less what does not divide) is static: 70 * 0.9 - 46.66667 * 0.15 = 56.
    """
    (group,) = report(invoke, "--user", "ann")["groups"]
    assert group["energy"]["grade"] == "B"
    assert group["energy"]["low_j"] == pytest.approx(56, abs=1e-5)
    assert group["energy"]["high_j"] == pytest.approx(84, abs=1e-5)
    assert group["energy"]["methods_j"] == {"shared_static_dynamic": pytest.approx(70)}


def test_the_site_says_how_far_grades_may_be_off(shared_node: ASite, invoke: Invoke) -> None:
    """20 % less and 30 % more, for one: 70 * 0.8 - 7 and 70 * 1.3 + 7."""
    with (shared_node.path / "site.toml").open("a") as label:
        label.write("[report.uncertainty_percent]\nB = [20, 30]\n")
    (group,) = report(invoke, "--user", "ann")["groups"]
    assert group["energy"]["low_j"] == pytest.approx(49, abs=1e-5)
    assert group["energy"]["high_j"] == pytest.approx(98, abs=1e-5)


@pytest.mark.usefixtures("shared_node")
def test_what_failed_came_to_nothing(invoke: Invoke) -> None:
    """Bob's 35 J, and his 4 cores for ten minutes."""
    (lost,) = report(invoke)["total"]["lost"]
    assert (lost["outcome"], lost["n_runs"], lost["core_s"]) == ("failed", 1, 2400)
    assert lost["energy_j"] == pytest.approx(35)


def test_a_grade_counts_from_a_tenth_on(site: ASite, invoke: Invoke) -> None:
    """95 J measured and 5 J modelled are of grade A; 80 J and 20 J of grade D."""
    content = a_job(1)
    rows = [
        a_row(uj=95 * J, grade="A", source="pm_counters", method="exclusive"),
        a_row(uj=5 * J, grade="D", source="tdp_load", component="other", method="exclusive"),
    ]
    content["energy"] = [tuple(row) for row in rows]
    other = a_job(2)
    rows = [
        a_row(run=2, uj=80 * J, grade="A", source="pm_counters", method="exclusive"),
        a_row(run=2, uj=20 * J, grade="D", source="tdp_load", component="other"),
    ]
    other["energy"] = [tuple(row) for row in rows]
    site.take(content, other)
    energies = {
        group["names"]["job"]: group["energy"] for group in report(invoke, "--by", "run")["groups"]
    }
    assert {job: energy["grade"] for job, energy in energies.items()} == {"1": "A", "2": "D"}
    assert energies["2"]["grades_j"] == {"A": pytest.approx(80), "D": pytest.approx(20)}
    assert energies["2"]["measured_share"] == pytest.approx(0.8)


def test_coverage_is_of_the_time_the_run_took(site: ASite, invoke: Invoke) -> None:
    """Readings for 15 of the run's 20 minutes, of the component with the fewest."""
    content = a_job(1, elapsed_s=20 * 60)
    rows = [a_row(bucket=number) for number in range(18)]
    rows += [a_row(bucket=number, component="dram") for number in range(15)]
    content["energy"] = [tuple(row) for row in rows]
    site.take(content)
    (group,) = report(invoke)["groups"]
    assert group["energy"]["coverage"] == pytest.approx(0.75)


def test_what_executions_took_at_the_same_time_is_read_once(site: ASite, invoke: Invoke) -> None:
    """A run, and an execution of it, for 10 of its 20 minutes: that is half."""
    content = a_job(1, elapsed_s=20 * 60)
    rows = [a_row(bucket=number) for number in range(10)]
    rows += [a_row(bucket=number, execution=1, method="rank_pids") for number in range(10)]
    content["energy"] = [tuple(row) for row in rows]
    site.take(content)
    (group,) = report(invoke)["groups"]
    assert group["energy"]["coverage"] == pytest.approx(0.5)
    (card,) = report(invoke, "1")["cards"]
    assert card["energy"]["coverage"] == pytest.approx(0.5)
    assert card["uses"][0]["coverage"] == pytest.approx(0.5)


def test_ranks_that_are_counted_beside_each_other_are_read_once(
    site: ASite, invoke: Invoke
) -> None:
    """Two executions and nothing beside them, for 10 of 20 minutes: that is half, not all."""
    content = a_job(1, elapsed_s=20 * 60)
    rows = [
        a_row(bucket=number, execution=execution, method="rank_pids")
        for number in range(10)
        for execution in (1, 2)
    ]
    content["energy"] = [tuple(row) for row in rows]
    site.take(content)
    (group,) = report(invoke)["groups"]
    assert group["energy"]["coverage"] == pytest.approx(0.5)


def test_core_time_is_not_nothing_where_nobody_says_how_many_cores(
    site: ASite, invoke: Invoke
) -> None:
    """A run without a batch system held cores, but nobody knows how many."""
    content = small_run(1)
    content["energy"] = [tuple(a_row())]
    site.take(content)
    found = report(invoke)
    assert [one["core_s"] for one in (found["total"], *found["groups"], *found["top"])] == [
        None
    ] * 3
    assert found["total"]["gpu_s"] is None


def test_stages_get_the_energy_of_their_executions(site: ASite, invoke: Invoke) -> None:
    """6 J of the run's 10 J are its execution's; the rest belongs to no stage."""
    content = a_job(1)
    rows = [a_row(uj=6 * J, execution=1), a_row(uj=4 * J)]
    content["energy"] = [tuple(row) for row in rows]
    site.take(content)
    groups = report(invoke, "--by", "stage")["groups"]
    assert {
        (one["names"]["pipeline"], one["names"]["stage"]): one["energy"]["energy_j"]
        for one in groups
    } == {("digits", "train"): pytest.approx(6), ("", ""): pytest.approx(4)}
    (only,) = report(invoke, "--stage", "train")["groups"]
    assert only["energy"]["energy_j"] == pytest.approx(6)
    assert report(invoke)["total"]["energy"]["energy_j"] == pytest.approx(10)


@pytest.mark.usefixtures("shared_node")
def test_what_is_of_no_execution_is_one_of_all_runs(invoke: Invoke) -> None:
    """Where stages are told, 70 J of ann's run and 35 J of bob's are one rest."""
    (rest,) = (one for one in report(invoke, "--by", "stage")["groups"] if one["energy"])
    assert rest["run_energy_j"]["p95"] == pytest.approx(105)


@pytest.mark.usefixtures("shared_node")
@pytest.mark.parametrize(
    ("words", "users"),
    [
        (("--account", "physics"), ["ann"]),
        (("--user", "bob"), ["bob"]),
        (("--job", "2"), ["bob"]),
        (("--node", "n1"), ["ann", "bob"]),
        (("--node", "n9"), []),
        (("--until", "2023-11-14T22:13:00Z"), []),
        (("--since", "2023-11-14T22:14:00Z"), ["ann", "bob"]),
        (("--since", "2023-11-14T23:14:00Z"), []),
        (("--pipeline", "digits"), ["ann", "bob"]),
        (("--artifact", "md5:00000000000000000000000000000002"), ["bob"]),
        (("--project", "none"), []),
        (("-n", "1"), ["bob"]),
    ],
)
def test_a_report_can_be_narrowed(invoke: Invoke, words: tuple[str, ...], users: list[str]) -> None:
    """By whose runs, what they are of, where and when; runs 1 and 2 began at 21 s and 22 s."""
    found = report(invoke, *words)
    cards = [card["user"] for card in found["cards"]]
    groups = [group["names"]["user"] for group in found["groups"]]
    assert (cards or sorted(groups)) == users


@pytest.mark.usefixtures("shared_node")
def test_months_and_accounts(invoke: Invoke) -> None:
    """By the month in which runs began, and by what they were charged to."""
    (month,) = report(invoke, "--by", "month")["groups"]
    assert (month["names"], month["n_runs"]) == ({"month": "2023-11"}, 2)
    accounts = report(invoke, "--by", "account")["groups"]
    assert [one["names"]["account"] for one in accounts] == ["physics", "chemistry"]


@pytest.mark.usefixtures("shared_node")
def test_the_csv_has_a_line_a_group(invoke: Invoke) -> None:
    """With the figures of JSON, and their units."""
    text = invoke("report", "energy", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["user"] for row in rows] == ["ann", "bob"]
    assert float(rows[0]["energy_j"]) == pytest.approx(70)
    assert float(rows[0]["core_s"]) == 2400
    assert rows[1]["states_FAILED"] == "1"
    assert rows[0]["energy_grade"] == "B"


@pytest.mark.usefixtures("shared_node")
def test_the_tables_of_people_have_three_digits(invoke: Invoke) -> None:
    """Energy with its uncertainty and grade, what was lost, what nodes took."""
    shown = invoke("report", "energy").stdout
    for cell in ("70.0 J", "35.0 J", "105 J", "±20 %", "what came to nothing", "idle", "25.0 J"):
        assert cell in shown, cell
    assert "difference" in invoke("report", "energy", "--by", "node").stdout


def test_nodes_are_shared_out(site: ASite, invoke: Invoke) -> None:
    """A job on two nodes holds half of its cores on each; energy is each node's own."""
    metered = Metered().spend(0, {1: 8 * J}, node="n1").spend(0, {1: 2 * J}, node="n2")
    site.take(*metered.contents(a_job(1, cpus=8)))
    groups = {one["names"]["node"]: one for one in report(invoke, "--by", "node")["groups"]}
    assert {node: one["energy"]["energy_j"] for node, one in groups.items()} == {
        "n1": pytest.approx(8), "n2": pytest.approx(2),
    }  # fmt: skip
    assert [one["core_s"] for one in groups.values()] == [4 * HOUR_S] * 2
    (only,) = report(invoke, "--node", "n2")["groups"]
    assert only["energy"]["energy_j"] == pytest.approx(2)
    assert only["core_s"] == 4 * HOUR_S


def test_nothing_is_known_of_energy_where_nothing_measured(site: ASite, invoke: Invoke) -> None:
    """No zero, and a word on it; the time is told all the same."""
    site.take(a_job(1))
    found = report(invoke)
    assert found["total"]["energy"] is None
    assert found["total"]["core_s"] == 4 * HOUR_S
    assert "cmfd doctor" in invoke("report", "energy").stdout
    assert an_id("run", 1).hex() == found["top"][0]["run"]


def test_median_and_95th_percentile(site: ASite, invoke: Invoke) -> None:
    """Of runs of 1 to 20 J by nearest rank: the 10th and the 19th."""
    metered = Metered()
    for number in range(1, 21):
        metered.spend(number, {number: number * J})
    site.take(*metered.contents(*(a_job(number) for number in range(1, 21))))
    spread = report(invoke)["total"]["run_energy_j"]
    assert spread == {"p50": pytest.approx(10), "p95": pytest.approx(19)}
    top = report(invoke)["top"]
    assert [one["job"] for one in top] == [str(number) for number in range(20, 10, -1)]
    assert top[0]["share"] == pytest.approx(20 / 210)


def test_the_latest_runs_are_told_one_by_one(site: ASite, invoke: Invoke) -> None:
    """Twenty of them, unless more are asked for."""
    site.take(*(a_job(number) for number in range(22)))
    assert len(report(invoke, "--by", "run")["groups"]) == 20
    assert len(report(invoke, "--by", "run", "-n", "-1")["groups"]) == 22
