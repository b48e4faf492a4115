"""The card of a job: what it held, took and could have done better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.energy import a_probe, a_row
from support.jobs import GIB, HOUR_S, a_job
from support.packs import an_id
from support.sites import BEGIN_NS, SECOND_NS, from_json, set_param

if TYPE_CHECKING:
    from support.packs import Content
    from support.sites import ASite, Invoke

J = 1_000_000


def card(invoke: Invoke, *words: str) -> dict[str, Any]:
    """Return the only card of a report."""
    (found,) = from_json(invoke("report", "energy", *words, "--json"))["cards"]
    return dict(found)


def notes(invoke: Invoke, *words: str) -> dict[str, str]:
    """Return what a card advises."""
    return {note["kind"]: note["text"] for note in card(invoke, *words)["notes"]}


def with_energy(content: Content, *rows: Any) -> Content:
    """Give a run rows of energy."""
    content["energy"] = [tuple(row) for row in rows]
    return content


def test_what_a_job_held_and_how_well(site: ASite, invoke: Invoke) -> None:
    """An hour of two on 4 cores, half of which were busy; a quarter of its memory."""
    site.take(with_energy(a_job(1), a_row(uj=7200 * J)))
    found = card(invoke, "1")
    assert (found["queued_s"], found["wall_s"], found["of_limit"]) == (60, HOUR_S, 0.5)
    assert (found["core_s"], found["cpu_efficiency"]) == (4 * HOUR_S, 0.5)
    assert (found["memory_bytes"], found["memory_efficiency"]) == (4 * GIB, 0.25)
    assert found["state"] == "COMPLETED"
    assert found["nodes"] == ["n1"]
    assert found["average_w"] == pytest.approx(2)
    shown = invoke("report", "energy", "1").stdout
    shared = "shared by allocation and use"
    for words in ("Job 1", "user ann", "2.00 Wh", "grade B", shared, "50 %", "2.00 W on average"):
        assert words in shown, words


def test_a_node_has_its_share_of_cores_and_memory(site: ASite, invoke: Invoke) -> None:
    """Two ranks on n1, of 1 s and 100 MB each: of 2 cores and 2 GiB for an hour."""
    content = a_job(1)
    site.take(with_energy(content, a_row(uj=3 * J), a_row(uj=5 * J, node="n2")))
    one, other = card(invoke, "1")["uses"]
    assert (one["node"], one["n_ranks"], one["cpu_s"]) == ("n1", 2, 2.0)
    assert one["capacity_s"] == 2 * HOUR_S
    assert one["memory_efficiency"] == pytest.approx(2e8 / (2 * GIB))
    assert (one["energy_j"], other["energy_j"]) == (pytest.approx(3), pytest.approx(5))
    assert other["n_ranks"] == 0


def test_slurms_figure_stands_beside_ours(site: ASite, invoke: Invoke) -> None:
    """140 J against 100 J is 40 % more, since SLURM counts whole nodes."""
    site.take(with_energy(a_job(1, energy_j=140.0), a_row(uj=100 * J)))
    check = card(invoke, "1")["check"]
    assert check["slurm_energy_j"] == 140
    assert check["difference"] == pytest.approx(0.4)
    assert "whole nodes" in check["explanation"]
    assert "+40.0 %" in invoke("report", "energy", "1").stdout


def test_an_exclusive_node_metered_as_a_whole_agrees_but_for_steps(
    site: ASite, invoke: Invoke
) -> None:
    """Nothing is shared and nothing is left out."""
    row = a_row(uj=100 * J, grade="A", source="pm_counters", method="exclusive")
    site.take(with_energy(a_job(1, energy_j=99.0), row))
    check = card(invoke, "1")["check"]
    assert check["difference"] == pytest.approx(-0.01)
    assert check["explanation"] == "SLURM counts only while a step runs."


def test_work_by_the_step_and_by_the_sample(site: ASite, invoke: Invoke) -> None:
    """Its metrics go from step 0 to 199: 60 J are 0.3 J a step, and 0.1 J of 600 samples."""
    content = a_job(1)
    set_param(content, 1, "samples", "int", 600)
    site.take(with_energy(content, a_row(uj=60 * J, execution=1), a_row(uj=40 * J)))
    (unit,) = card(invoke, "1")["units"]
    assert unit["energy_j"] == pytest.approx(60)
    assert (unit["n_steps"], unit["n_samples"]) == (200, 600)
    assert unit["j_per_step"] == pytest.approx(0.3)
    assert unit["j_per_sample"] == pytest.approx(0.1)
    assert "0.3 J per step, 0.1 J per sample" in invoke("report", "energy", "1").stdout


def test_ranks_share_by_processor_time(site: ASite, invoke: Invoke) -> None:
    """Two ranks that were busy for 1 s and 3 s: 10 J and 30 J, derived."""
    content = a_job(1)
    content["process_state"][1] = (
        *content["process_state"][1][:7], 3 * SECOND_NS, *content["process_state"][1][8:]
    )  # fmt: skip
    site.take(with_energy(content, a_row(uj=40 * J, execution=1)))
    ranks = card(invoke, "1")["ranks"]
    assert [(one["rank"], one["busy_s"]) for one in ranks] == [(0, 1), (1, 3)]
    assert [one["energy_j"] for one in ranks] == pytest.approx([10, 30])
    assert "Rank 1 on n1 was busy 1.50 times" in notes(invoke, "1")["imbalance"]


def test_memory_that_was_not_needed(site: ASite, invoke: Invoke) -> None:
    """4 GiB asked for and 1 GiB used: 4 times; 1.25 GiB leave a quarter to spare."""
    site.take(a_job(1))
    assert notes(invoke, "1")["memory"] == (
        "Memory was over-requested 4.0 times: 4.0 GiB asked for, 1.0 GiB used; 1.2 GiB would "
        "leave a quarter to spare."
    )


def test_memory_that_was_used_is_no_matter(site: ASite, invoke: Invoke) -> None:
    """Nor are cores, nor the limit: no advice where all is well."""
    content = a_job(
        1, used_memory_bytes=3 * GIB, total_cpu_s=3.5 * HOUR_S, time_limit_s=HOUR_S + 600
    )
    rows = [a_row(bucket=number) for number in range(60)]
    site.take(with_energy(content, *rows))
    assert notes(invoke, "1") == {}


def test_gpus_that_did_nothing(site: ASite, invoke: Invoke) -> None:
    """One took 1 J over the 99 J that it takes idle, the other 60 J."""
    gpu = {"component": "gpu", "source": "nvml", "method": "exclusive"}
    idle = a_row(uj=100 * J, static_uj=99 * J, domain="GPU-1", **gpu)  # type: ignore[arg-type]
    busy = a_row(uj=100 * J, static_uj=40 * J, domain="GPU-2", **gpu)  # type: ignore[arg-type]
    site.take(with_energy(a_job(1, allocated_gpus=2), idle, busy))
    assert notes(invoke, "1")["gpu"] == "1 GPU took no more than it takes idle: GPU-1 on n1."
    (use,) = card(invoke, "1")["uses"]
    assert (use["n_gpus"], use["gpu_j"]) == (2, pytest.approx(200))


def test_gpus_of_which_nothing_is_read(site: ASite, invoke: Invoke) -> None:
    """They are allotted, and their energy is not in the figure."""
    site.take(with_energy(a_job(1, allocated_gpus=2), a_row()))
    assert "not in here" in notes(invoke, "1")["gpu"]


@pytest.mark.parametrize(
    ("state", "words"),
    [("TIMEOUT", "time limit (2 h 00 min)"), ("OUT_OF_MEMORY", "more than 4.0 GiB")],
)
def test_what_to_do_about_how_it_ended(site: ASite, invoke: Invoke, state: str, words: str) -> None:
    """Ask for more."""
    site.take(a_job(1, state=state))
    assert words in notes(invoke, "1")["failed"]


def test_a_requeued_job_has_a_card_for_each_start(site: ASite, invoke: Invoke) -> None:
    """The later one tells of the earlier; with --job, both are there and add up."""
    first, second = a_job(1, state="REQUEUED"), a_job(2)
    for restart, content in enumerate((first, second)):
        (run,) = content["run"]
        content["run"] = [(*run[:5], "7", restart, *run[7:])]
    site.take(with_energy(first, a_row(uj=10 * J)), with_energy(second, a_row(run=2, uj=20 * J)))
    found = from_json(invoke("report", "energy", "--job", "7", "--json"))
    assert [one["restart"] for one in found["cards"]] == [1, 0]
    assert found["total"]["energy"]["energy_j"] == pytest.approx(30)
    assert "1 earlier start of this job came to nothing" in notes(invoke, "7")["requeued"]


def test_how_to_get_a_better_figure(site: ASite, invoke: Invoke) -> None:
    """A user whose node's counters are closed to him is told in a line what would open them."""
    content = with_energy(a_job(1), a_row(grade="D", source="tdp_load"))
    probe = a_probe(
        "rapl", "denied", advice="ask for group energy", reason="mode 0400", chosen=False
    )
    site.take(content, {"energy_probe": [tuple(probe)]})
    assert notes(invoke, "1")["source"] == (
        "A better figure (rapl, grade B) is to be had: ask for group energy"
    )


def test_a_run_without_a_batch_system_has_a_card_too(site: ASite, invoke: Invoke) -> None:
    """What is not known is not there; a run that nobody measured says so."""
    content = a_job(1)
    (run,) = content["run"]
    content["run"] = [(*run[:4], "", "", *run[6:])]
    del content["fact"]
    site.take(content)
    found = card(invoke, "last")
    assert (found["job"], found["core_s"], found["check"], found["energy"]) == (
        "",
        None,
        None,
        None,
    )
    assert found["wall_s"] == pytest.approx(9)
    assert "cmfd doctor" in notes(invoke, "last")["source"]
    assert found["began_ns"] == BEGIN_NS + SECOND_NS
    assert invoke("report", "energy", "last").stdout.startswith(f"Run {an_id('run', 1).hex()[:12]}")
