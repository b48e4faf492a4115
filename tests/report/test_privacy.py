"""What reports show of other users' runs is the operator's to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.energy import Metered
from support.jobs import a_job
from support.sites import from_json

if TYPE_CHECKING:
    from support.sites import ASite, Invoke

J = 1_000_000
ME = 4242

USERS = ["ann", "bob", "eve", "joe", "kim"]
"""Numbers 0 to 4: ann is who asks; joe and kim alone are on the account chemistry."""


@pytest.fixture
def a_site(site: ASite, monkeypatch: pytest.MonkeyPatch) -> ASite:
    """Return a site of five users' runs, of 1, 2, 3, 4 and 5 J, which ann looks at."""
    jobs = [
        a_job(
            number, user, ME + number, account="physics" if number < 3 else "chemistry",
            state="FAILED" if user == "bob" else "COMPLETED",
        )
        for number, user in enumerate(USERS)
    ]  # fmt: skip
    metered = Metered()
    for number in range(len(USERS)):
        metered.spend(number, {number: (number + 1) * J})
    site.take(*metered.contents(*jobs))
    monkeypatch.setattr("os.geteuid", lambda: ME)
    return site


def say(site: ASite, line: str) -> None:
    """Configure the site's reports."""
    with (site.path / "site.toml").open("a") as label:
        label.write(f"[report]\n{line}\n")


def report(invoke: Invoke, *words: str, about: str = "energy") -> dict[str, Any]:
    """Return a report."""
    found: dict[str, Any] = from_json(invoke("report", about, *words, "--json"))
    return found


def names(found: dict[str, Any], key: str) -> dict[str, float]:
    """Return the energy of each group."""
    return {one["names"][key]: one["energy"]["energy_j"] for one in found["groups"]}


@pytest.mark.usefixtures("a_site")
def test_a_user_sees_own_runs_and_the_others_together(invoke: Invoke) -> None:
    """Ann's 1 J by name, the others' 14 J without any, and none of their runs."""
    found = report(invoke)
    assert names(found, "user") == pytest.approx({"(others)": 14, "ann": 1})
    assert [one["user"] for one in found["top"]] == ["ann"]
    text = invoke("report", "energy").stdout + invoke("report", "carbon").stdout
    for user in USERS[1:]:
        assert user not in text


@pytest.mark.usefixtures("a_site")
def test_groups_of_few_others_are_not_shown(invoke: Invoke) -> None:
    """Two others on each account: ann has her own part of physics, and chemistry is not there."""
    found = report(invoke, "--by", "account")
    assert names(found, "account") == pytest.approx({"physics": 1})
    assert found["privacy"]["n_hidden"] == 4
    assert "4 runs of other users" in invoke("report", "energy", "--by", "account").stderr


@pytest.mark.usefixtures("a_site")
@pytest.mark.parametrize("about", ["energy", "carbon"])
def test_months_name_nobody_and_hold_all(invoke: Invoke, about: str) -> None:
    """Ann and four others in one month: enough of them to be shown, and none by name."""
    found = report(invoke, "--by", "month", about=about)
    assert names(found, "month") == pytest.approx({"2023-11": 15})
    text = invoke("report", about, "--by", "month").stdout
    assert not any(user in text for user in USERS[1:])


@pytest.mark.usefixtures("a_site")
def test_a_month_of_few_others_is_ones_own(invoke: Invoke) -> None:
    """On the account chemistry are two others, and nothing of ann's: no month at all."""
    found = report(invoke, "--by", "month", "--account", "chemistry")
    assert names(found, "month") == {}
    assert found["privacy"]["n_hidden"] == 2
    found = report(invoke, "--by", "month", "--account", "physics")
    assert names(found, "month") == pytest.approx({"2023-11": 1})


def test_the_operator_says_how_few_are_few(a_site: ASite, invoke: Invoke) -> None:
    """Two are enough, where the site says so."""
    say(a_site, "least_users = 2")
    found = names(report(invoke, "--by", "account"), "account")
    assert found == pytest.approx({"physics": 6, "chemistry": 9})


def test_others_may_be_shown_to_nobody(a_site: ASite, invoke: Invoke) -> None:
    """Not even together."""
    say(a_site, 'others = "nothing"')
    found = report(invoke)
    assert names(found, "user") == pytest.approx({"ann": 1})
    assert found["total"]["energy"]["energy_j"] == pytest.approx(1)


def test_what_is_hidden_is_not_to_be_subtracted(a_site: ASite, invoke: Invoke) -> None:
    """What all runs on a node took would say what those took that are not shown."""
    (day,) = report(invoke, "--by", "node")["reconciliation"]
    assert day["runs_j"] == pytest.approx(15)
    say(a_site, 'others = "nothing"')
    assert not report(invoke, "--by", "node").get("reconciliation")


def test_others_may_be_shown_to_all(a_site: ASite, invoke: Invoke) -> None:
    """As in a group that keeps no secrets."""
    say(a_site, 'others = "all"')
    assert list(names(report(invoke), "user")) == ["kim", "joe", "eve", "bob", "ann"]
    assert report(invoke, "1")["cards"][0]["user"] == "bob"


@pytest.mark.usefixtures("a_site")
def test_the_operator_sees_all(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the site, and root."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert len(names(report(invoke), "user")) == 5


@pytest.mark.usefixtures("a_site")
def test_a_run_of_another_is_refused(invoke: Invoke) -> None:
    """By its job, too; one's own is shown."""
    assert "another user's" in invoke("report", "energy", "1", code=4).stderr
    assert report(invoke, "--job", "1")["cards"] == []
    assert report(invoke, "--user", "bob")["groups"] == []
    assert report(invoke, "0")["cards"][0]["user"] == "ann"
    assert "another user's" in invoke("report", "runtime", "1", code=4).stderr


@pytest.mark.usefixtures("a_site")
def test_reports_of_time_are_of_the_same_runs(invoke: Invoke) -> None:
    """Runtime by run is of own runs; by user, the others are one."""
    assert [one["job"] for one in report(invoke, about="runtime")["runtimes"]] == ["0"]
    rows = report(invoke, "--by", "user", about="runtime")["runtimes"]
    assert {one["user"]: one["n_runs"] for one in rows} == {"(others)": 4, "ann": 1}
    (own, others) = sorted(report(invoke, about="waste")["wastes"], key=lambda one: one["n_jobs"])
    assert (own["user"], others["user"], others["n_jobs"]) == ("ann", "(others)", 4)


@pytest.mark.parametrize("line", ['others = "some"', "uncertainty_percent = {F = [1, 2]}", "x = 1"])
def test_a_configuration_that_means_nothing_is_refused(
    a_site: ASite, invoke: Invoke, line: str
) -> None:
    """Nothing is shown of anybody until it is put right."""
    say(a_site, line)
    done = invoke("report", "energy", code=3)
    assert "site.toml" in done.stderr
    assert done.stdout == ""
