"""`cmfd report pareto`: what was reached with how much energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.energy import a_row
from support.packs import an_id
from support.sites import a_run, from_json, set_param

if TYPE_CHECKING:
    from support.packs import Content
    from support.sites import ASite, Invoke

J = 1_000_000


def a_trial(number: int, energy_j: int, accuracy: float, *, of_execution: bool = True) -> Content:
    """Return a run that took so much and reached so much."""
    content = a_run(number, n_ranks=1, accuracy=[0.1, accuracy])
    set_param(content, number, "rate", "float", number / 10)
    set_param(content, number, "seed", "int", 1)
    row = a_row(run=number, execution=number if of_execution else None, uj=energy_j * J)
    content["energy"] = [tuple(row)]
    return content


def pareto(invoke: Invoke, *words: str) -> dict[str, Any]:
    """Return what the report says."""
    asked = ("report", "pareto", "--pipeline", "digits", "--metric", "accuracy", *words, "--json")
    found: dict[str, Any] = from_json(invoke(*asked))["pareto"]
    return found


@pytest.fixture
def trials(site: ASite) -> ASite:
    """Return a site with four trials, one of them worse than another in both respects."""
    return site.take(
        a_trial(1, 100, 0.7), a_trial(2, 200, 0.9), a_trial(3, 300, 0.8), a_trial(4, 400, 0.95)
    )


@pytest.mark.usefixtures("trials")
def test_the_front_is_what_no_other_beats(invoke: Invoke) -> None:
    """Trial 3 took more than 2 and reached less."""
    found = pareto(invoke)
    assert [
        (one["energy_j"], one["value"], one["on_front"]) for one in found["points"]
    ] == [
        (pytest.approx(100), 0.7, True), (pytest.approx(200), 0.9, True),
        (pytest.approx(300), 0.8, False), (pytest.approx(400), 0.95, True),
    ]  # fmt: skip
    assert found["goal"] == "max"
    assert found["points"][2]["params"] == {"rate": "0.3"}


@pytest.mark.usefixtures("trials")
def test_less_may_be_better(invoke: Invoke) -> None:
    """With --min, only the cheapest is left: it has the least value, too."""
    found = pareto(invoke, "--min")
    assert [one["on_front"] for one in found["points"]] == [True, False, False, False]


@pytest.mark.usefixtures("trials")
def test_people_see_the_front_and_what_differs(invoke: Invoke) -> None:
    """A star, the figures, and the rate."""
    asked = ("report", "pareto", "--pipeline", "digits", "--metric", "accuracy")
    lines = invoke(*asked).stdout.splitlines()
    assert "rate" in lines[0]
    assert "seed" not in lines[0]
    assert [line.startswith("*") for line in lines[1:]] == [True, True, False, True]
    header, *rows = invoke(*asked, "--format", "csv").stdout.splitlines()
    assert header.startswith("run,execution,energy_j")
    assert len(rows) == 4


def test_equal_trials_are_both_on_the_front(site: ASite, invoke: Invoke) -> None:
    """Neither beats the other."""
    site.take(a_trial(1, 100, 0.7), a_trial(2, 100, 0.7), a_trial(3, 100, 0.6))
    assert [one["on_front"] for one in pareto(invoke)["points"]].count(True) == 2


@pytest.mark.parametrize("of_execution", [[], [a_row(run=1, execution=1, uj=0)]])
def test_a_run_of_one_execution_is_that(
    site: ASite, invoke: Invoke, of_execution: list[Any]
) -> None:
    """Energy that was given to the run as a whole; of a trial without any, it is said."""
    content = a_trial(3, 0, 0.5)
    del content["energy"]
    whole = a_trial(1, 100, 0.7, of_execution=False)
    whole["energy"] += [tuple(row) for row in of_execution]
    site.take(whole, a_trial(2, 200, 0.9), content)
    found = pareto(invoke)
    assert [one["energy_j"] for one in found["points"]] == pytest.approx([100, 200])
    assert found["n_without_energy"] == 1


def test_what_is_nested_counts(site: ASite, invoke: Invoke) -> None:
    """A trial's evaluation, nested in it, is part of what it took."""
    content = a_trial(1, 100, 0.7)
    run, origin = content["run"][0][0], content["run"][0][2]
    inner = an_id("exec", 50)
    content["execution"].append(
        (inner, content["run"][0][1], origin, run, an_id("exec", 1), "digits", "evaluate", "")
    )
    content["energy"].append(tuple(a_row(run=1, execution=50, uj=20 * J)))
    site.take(content)
    (point,) = pareto(invoke)["points"]
    assert point["energy_j"] == pytest.approx(120)


@pytest.mark.usefixtures("trials")
def test_the_greatest_and_the_least_cannot_both_be_the_best(invoke: Invoke) -> None:
    """Neither the one nor the other wins in silence, here and in `cmfd best`."""
    for words in (("report", "pareto"), ("best",)):
        asked = (*words, "--pipeline", "digits", "--metric", "accuracy", "--max", "--min")
        assert "Say --max or --min, not both." in invoke(*asked, code=3).output
