"""`cmfd report carbon --artifact A --ancestry`: the figures by hand, and what is apart."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.energy import E_NS, Metered
from support.factors import FactorSite
from support.packs import Content, an_id, small_run
from support.sites import BEGIN_NS, SECOND_NS, ASite, from_json

from cmfd.carbon.instants import instant
from cmfd.cli.main import cli
from cmfd.errors import ConfigError
from cmfd.query.lineage_cost import Member
from cmfd.query.selection import ANONYMOUS
from cmfd.report.costs.lineage import _visible
from cmfd.report.costs.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

RAW, DATA, MODEL, SCORES, LOST, TUNED = (f"md5:{i:032x}" for i in range(50, 56))
J = 1_000_000


def a_step(  # what of a run these tests tell apart
    number: int,
    stage: str,
    reads: list[str],
    writes: list[str],
    *,
    status: str = "completed",
    group: str = "",
    user: str = "ann",
    job: str = "",
    kind: str = "model",
) -> Content:
    """Return a run of one execution of two ranks, eight seconds long."""
    content = small_run(number, n_params=0, n_chunks=0)
    run, execution, origin = an_id("run", number), an_id("exec", number), an_id("proc", number)
    begin = BEGIN_NS + number * 10 * SECOND_NS
    uid = os.geteuid() if user == "ann" else 4000 + len(user)
    content["run"] = [
        (run, begin, origin, uid, "c", job or str(number), number if job else 0, user, "", "true",
         "/home")
    ]  # fmt: skip
    content["run_end"] = [(run, begin + 10 * SECOND_NS, origin, status, 0, None)]
    content["execution"] = [(execution, begin, origin, run, None, "digits", stage, "0")]
    content["execution_end"] = [
        (execution, begin + 8 * SECOND_NS, origin, status, 0, None)
    ]  # fmt: skip
    content["artifact"] = [(one, "", 10, 1) for one in sorted({*reads, *writes})]
    content["event"] = [
        (execution, direction, one, f"{one[-2:]}.bin", begin, origin,
         kind if one in writes and stage != "prepare" else "dataset", "n1", "/home/a", 0, "", "")
        for direction, some in (("input", reads), ("output", writes))
        for one in some
    ]  # fmt: skip
    if group:
        content["fact"] = [
            (run, "group", begin, origin, "str", group),
            (execution, "variant", begin, origin, "str", f"v{number}"),
        ]
    return content


STEPS: dict[int, dict[str, Any]] = {
    1: {"stage": "prepare", "reads": [RAW], "writes": [DATA]},
    2: {"stage": "train", "reads": [DATA], "writes": [MODEL], "group": "sweep"},
    3: {"stage": "train", "reads": [DATA], "writes": [LOST], "group": "sweep"},
    4: {"stage": "train", "reads": [DATA], "writes": [], "group": "sweep", "status": "failed"},
    5: {"stage": "evaluate", "reads": [MODEL], "writes": [SCORES], "kind": "metrics"},
    6: {"stage": "tune", "reads": [MODEL, DATA], "writes": [TUNED]},
}
"""Data, three trials, of which one failed and one is never used; the best is scored and tuned."""


def report(site: ASite, artifact: str, *arguments: str) -> Result:
    """Run the command."""
    command = ["report", "carbon", "--site", str(site.path), "--artifact", artifact, "--ancestry"]
    return CliRunner().invoke(cli, [*command, *arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ASite:
    """Make the site: step i takes 10**i joules."""
    metered = Metered()
    for number in STEPS:
        metered.spend(number, {number: 10**number * J})
    steps = [a_step(number, **step) for number, step in STEPS.items()]
    return ASite(tmp_path_factory.mktemp("lineage") / "site").take(*metered.contents(*steps))


def test_an_artifact_cost_what_led_to_it_and_each_execution_once(site: ASite) -> None:
    """The tuned model: data (by two ways), the trial it came from, its tuning; no scores."""
    found = from_json(report(site, TUNED, "--json"))

    assert found["ancestry"]["energy"]["energy_j"] == 10 + 100 + 1_000_000
    assert found["ancestry"]["n_executions"] == 3
    assert [one["stage"] for one in found["stages"]] == ["prepare", "train", "tune"]
    assert found["ancestry"]["wall_s"] == 3 * 8
    assert found["ancestry"]["core_s"] == 3 * 10 * 2  # of runs of ten seconds, two ranks each


def test_failed_trials_and_unused_variants_stand_apart(site: ASite) -> None:
    """They are what it took to find the model, and are in no other figure."""
    found = from_json(report(site, MODEL, "--json"))

    assert found["ancestry"]["energy"]["energy_j"] == 110
    assert found["failed"]["energy"]["energy_j"] == 10_000
    assert found["unused"]["energy"]["energy_j"] == 1000
    roles = {one["variant"]: one["role"] for one in found["executions"]}
    assert roles == {"": "ancestry", "v2": "ancestry", "v3": "unused", "v4": "failed"}


def test_amortised_the_data_are_shared_by_the_models_made_of_them(site: ASite) -> None:
    """Final models are the unused one and the tuned one: each bears half of the data."""
    tuned = from_json(report(site, TUNED, "--amortise", "--json"))["amortised"]
    lost = from_json(report(site, LOST, "--amortise", "--json"))["amortised"]
    model = from_json(report(site, MODEL, "--amortise", "--json"))["amortised"]

    assert tuned["bill"]["energy"]["energy_j"] == 5 + 100 + 1_000_000
    assert lost["bill"]["energy"]["energy_j"] == 5 + 1000
    assert (tuned["is_final"], tuned["kind"], tuned["n_bearers"]) == (True, "model", 2)
    assert not model["is_final"]
    assert model["bill"]["energy"]["energy_j"] == 5 + 100


def test_people_get_a_table_and_programs_get_all_lines(site: ASite) -> None:
    """Text has the bills; CSV an execution a line."""
    text = report(site, TUNED, "--amortise").stdout
    lines = list(csv.DictReader(io.StringIO(report(site, TUNED, "--format", "csv").stdout)))

    for word in ("ancestry", "+ failed trials", "+ unused variants", "amortised", "digits.tune"):
        assert word in text, word
    assert {line["role"] for line in lines} == {"ancestry", "failed", "unused"}
    assert sum(float(line["energy_j"]) for line in lines) == 1_011_110


def test_a_browser_gets_a_page(site: ASite) -> None:
    """The same figures, with the energy of each stage drawn."""
    page = report(site, TUNED, "--amortise", "--format", "html").stdout

    for word in ("<svg", "digits.tune", "278 Wh", "failed trials", "Energy by stage", "1 failed"):
        assert word in page, word


def test_what_nobody_wrote_here_costs_nothing_and_says_so(site: ASite) -> None:
    """The raw data came from elsewhere."""
    done = report(site, RAW)

    assert done.exit_code == 0
    assert "no execution here wrote it" in done.stderr


def test_without_readings_it_says_of_how_many(tmp_path: Path) -> None:
    """Time is known, energy is not: never a zero."""
    some = ASite(tmp_path / "site").take(*(a_step(number, **STEPS[number]) for number in (1, 2)))

    found = from_json(report(some, MODEL, "--json"))["ancestry"]
    assert (found["energy"], found["carbon"], found["n_without_energy"]) == (None, None, 2)
    assert "Of 2 executions of its ancestry no energy is known" in report(some, MODEL).stderr


def test_another_start_of_the_same_job_is_a_failed_trial(tmp_path: Path) -> None:
    """It was requeued: what the first start took came to nothing."""
    metered = Metered().spend(0, {7: 3 * J}).spend(1, {8: 4 * J})
    steps = [
        a_step(7, "train", [DATA], [], status="cancelled", job="77"),
        a_step(8, "train", [DATA], [MODEL], job="77"),
    ]
    site = ASite(tmp_path / "site").take(*metered.contents(*steps))

    found = from_json(report(site, MODEL, "--json"))
    assert found["ancestry"]["energy"]["energy_j"] == 4
    assert found["failed"]["energy"]["energy_j"] == 3


def test_it_is_of_one_artifact_and_not_narrowed(site: ASite) -> None:
    """An ancestry of one user's runs only would be no cost of anything."""
    for arguments in (["--user", "ann"], ["--format", "prometheus"]):
        done = report(site, MODEL, *arguments)
        assert done.exit_code == ConfigError.exit_code
        assert "--ancestry" in done.stderr
    command = ["report", "carbon", "--site", str(site.path), "--ancestry"]
    assert "--artifact" in CliRunner().invoke(cli, command).stderr


def test_emissions_are_those_of_when_it_was_drawn(tmp_path: Path) -> None:
    """Each minute with its own intensity, and PUE 1.25; what is shared, in part."""
    made, metered, grams = FactorSite(tmp_path), Metered(), [100, 0, 300, 50, 10, 20, 40]
    for number in STEPS:
        metered.spend(number, {number: 1000 * number * 3600 * J})
    ASite(made.path).take(*metered.contents(*(a_step(n, **step) for n, step in STEPS.items())))
    minute_ns = 60 * SECOND_NS
    made.series("".join(
        f"GB,{instant(E_NS + n * minute_ns)},{instant(E_NS + (n + 1) * minute_ns)},{one},"
        "average,lifecycle,false,NESO\n"
        for n, one in enumerate(grams)
    ))  # fmt: skip
    made.factors()

    found = from_json(report(ASite(made.path), TUNED, "--amortise", "--json"))

    # kWh times g/kWh times PUE: data, trial, tuning; the failed trial; the unused one.
    assert _grams(found["ancestry"]) == pytest.approx((1 * 0 + 2 * 300 + 6 * 40) * 1.25)
    assert _grams(found["failed"]) == pytest.approx(4 * 10 * 1.25)
    assert _grams(found["unused"]) == pytest.approx(3 * 50 * 1.25)
    lost = from_json(report(ASite(made.path), LOST, "--amortise", "--json"))["amortised"]["bill"]
    assert _grams(lost) == pytest.approx((0.5 * 0 + 3 * 50) * 1.25)
    assert found["factors"]["id"]


def _grams(bill: dict[str, Any]) -> float:
    grams = bill["carbon"]["operational_gco2e"]
    assert isinstance(grams, float)
    return grams


def test_without_a_group_an_earlier_try_is_a_sibling_and_a_later_one_is_not(tmp_path: Path) -> None:
    """It read the same; what was tried after the model had been made did not lead to it."""
    steps = [
        a_step(1, "train", [DATA], [], status="failed"),
        a_step(2, "train", [RAW], [], status="failed"),  # of other data
        a_step(3, "train", [DATA], [MODEL]),
        a_step(4, "train", [DATA], [LOST]),
        a_step(5, "evaluate", [DATA], [], status="failed"),  # of another stage
    ]
    some = ASite(tmp_path / "site").take(*steps)

    found = from_json(report(some, MODEL, "--json"))
    assert (found["failed"]["n_executions"], found["unused"]["n_executions"]) == (1, 0)


@pytest.mark.parametrize(
    ("others", "n_shown", "n_named", "n_hidden"),
    [("all", 5, 5, 0), ("aggregates", 5, 1, 0), ("nothing", 1, 1, 4)],
)
def test_others_are_shown_as_the_operator_says(
    others: Any, n_shown: int, n_named: int, n_hidden: int
) -> None:
    """A user sees own executions; others' put together, without their names, or not at all."""
    members = [
        Member(
            number, number, f"{number:032x}", "r", "digits", "train", "completed", 0, f"u{number}",
            os.geteuid() + number, "4711", "", "ancestry", 1, 1, 1, None,
        )
        for number in range(5)
    ]  # fmt: skip

    shown, hidden = _visible(members, Policy(others=others, least_users=4), everything=False)

    assert (len(shown), hidden) == (n_shown, n_hidden)
    assert sum(bool(one.execution) for one in shown) == n_named
    if others == "aggregates":
        assert {one.user for one in shown} == {"u0", ANONYMOUS}
        few, left_out = _visible(members, Policy(others=others, least_users=5), everything=False)
        assert (len(few), left_out) == (1, 4)
