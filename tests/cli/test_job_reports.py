"""`cmfd report runtime` and `report waste`: jobs as their batch system counted them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.jobs import BEGIN_S, GIB, HOUR_S, a_job
from support.packs import small_run
from support.sites import from_json

if TYPE_CHECKING:
    from support.sites import ASite, Invoke


def runtime(invoke: Invoke, *words: str) -> list[dict[str, Any]]:
    """Return what a runtime report says."""
    found: list[dict[str, Any]] = from_json(invoke("report", "runtime", "--json", *words))[
        "runtimes"
    ]
    return found


def waste(invoke: Invoke, *words: str) -> list[dict[str, Any]]:
    """Return what a waste report says."""
    found: list[dict[str, Any]] = from_json(invoke("report", "waste", "--json", *words))["wastes"]
    return found


def test_a_job_is_reckoned_as_seff_does(site: ASite, invoke: Invoke) -> None:
    """Queue time, wall time against limit, efficiency of cores and of memory."""
    site.take(a_job(0))
    (row,) = runtime(invoke)
    assert row["job"] == "0"
    assert row["jobs"] == {
        "n_jobs": 1, "states": {"COMPLETED": 1}, "queued_s": 60, "elapsed_s": HOUR_S,
        "limit_s": 2 * HOUR_S, "of_limit": 0.5, "core_s": 4 * HOUR_S, "cpu_efficiency": 0.5,
        "memory_efficiency": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("by", ["user", "account", "partition"])
def test_jobs_are_put_together(site: ASite, invoke: Invoke, by: str) -> None:
    """A large job counts for more than a small one; the queue time is the median."""
    other = {"user": "bob", "account": "chemistry", "partition": "gpu"}[by]
    site.take(
        a_job(0),
        a_job(1, cpus=36, total_cpu_s=36.0 * HOUR_S, eligible_time_s=BEGIN_S - 600),
        a_job(2, eligible_time_s=BEGIN_S - 120),
        a_job(3, other) if by == "user" else a_job(3, "ann", 1000, **{by: other}),
    )
    rows = {row[by]: row for row in runtime(invoke, "--by", by)}
    mine = rows["ann" if by == "user" else {"account": "physics", "partition": "debug"}[by]]
    assert mine["jobs"]["n_jobs"] == 3
    assert mine["jobs"]["queued_s"] == 120
    assert mine["jobs"]["cpu_efficiency"] == pytest.approx((2 + 36 + 2) / 44)
    assert rows[other]["jobs"]["n_jobs"] == 1
    assert rows[other]["n_executions"] == 1


def test_what_is_not_known_is_not_reckoned(site: ASite, invoke: Invoke) -> None:
    """No limit, no processor time, no memory: no ratio, rather than one of nothing."""
    site.take(a_job(0, time_limit_s="", total_cpu_s="", used_memory_bytes="", eligible_time_s=""))
    (row,) = runtime(invoke)
    figures = ("queued_s", "limit_s", "of_limit", "cpu_efficiency", "memory_efficiency")
    assert {row["jobs"][name] for name in figures} == {None}
    assert row["jobs"]["core_s"] == 4 * HOUR_S


def test_runs_without_a_job_have_no_figures_of_one(site: ASite, invoke: Invoke) -> None:
    """Nor is there a table of jobs."""
    site.take(small_run(0))
    (row,) = runtime(invoke)
    assert row["jobs"] is None
    assert "batch system" not in invoke("report", "runtime").stdout
    assert waste(invoke) == []
    assert "cmfd slurm enrich" in invoke("report", "waste").stderr


def test_a_job_in_which_nothing_logged_counts(site: ASite, invoke: Invoke) -> None:
    """It has a run, which a service recorded, and no execution."""
    content = a_job(0)
    site.take({"run": content["run"], "fact": content["fact"]})
    (row,) = runtime(invoke, "--by", "account")
    assert (row["account"], row["n_executions"]) == ("physics", 0)
    assert row["jobs"]["n_jobs"] == 1


def test_stages_have_no_figures_of_jobs(site: ASite, invoke: Invoke) -> None:
    """A job may have several of them."""
    site.take(a_job(0))
    (row,) = runtime(invoke, "--by", "stage")
    assert row["jobs"] is None


def test_what_came_to_nothing(site: ASite, invoke: Invoke) -> None:
    """By what became of the jobs; of those that completed, what they held and did not use."""
    states = ("FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "NODE_FAIL", "REQUEUED")
    site.take(a_job(0), *(a_job(n, state=state) for n, state in enumerate(states, 1)))
    (row,) = waste(invoke)
    each = 4 * HOUR_S
    assert row["user"] == "ann"
    assert row["n_jobs"] == 7
    assert row["core_s"] == 7 * each
    lost = ("failed", "timed_out", "out_of_memory", "cancelled", "node_failed", "requeued")
    assert [row[f"{name}_core_s"] for name in lost] == [each] * 6
    assert row["lost_core_s"] == 6 * each
    assert row["idle_core_s"] == 2 * HOUR_S
    assert row["unused_memory_byte_s"] == 3 * GIB * HOUR_S


def test_the_most_wasteful_come_first(site: ASite, invoke: Invoke) -> None:
    """Of users, accounts, partitions or jobs."""
    site.take(a_job(0, "ann"), a_job(1, "bob", state="TIMEOUT"), a_job(2, "eve", total_cpu_s=1.0))
    assert [row["user"] for row in waste(invoke)] == ["bob", "eve", "ann"]
    assert [row["job"] for row in waste(invoke, "--by", "run")] == ["1", "2", "0"]
    assert [row["user"] for row in waste(invoke, "--user", "ann")] == ["ann"]


def test_more_processor_time_than_cores_is_no_negative_waste(site: ASite, invoke: Invoke) -> None:
    """Hyper-threads are counted so by some; and memory may be more than was asked for."""
    site.take(a_job(0, total_cpu_s=9.0 * HOUR_S, used_memory_bytes=9 * GIB))
    (row,) = waste(invoke)
    assert (row["idle_core_s"], row["unused_memory_byte_s"]) == (0, 0)


def test_the_tables_of_people(site: ASite, invoke: Invoke) -> None:
    """Units and percentages."""
    site.take(a_job(0), a_job(1, state="TIMEOUT"))
    shown = invoke("report", "runtime", "--by", "user").stdout
    for cell in ("1 min 00 s", "50.0 %", "25.0 %", "1 COMPLETED, 1 TIMEOUT"):
        assert cell in shown
    shown = invoke("report", "waste").stdout
    for cell in ("timed out", "4 h 00 min", "3.0 GiB h"):
        assert cell in shown
