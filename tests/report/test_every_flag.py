"""What a report can be narrowed to, each flag alone, for each kind of report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.energy import Metered
from support.jobs import a_job
from support.packs import an_id
from support.sites import BEGIN_NS, SECOND_NS, ASite, Invoke, from_json, invoker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # each flag of each kind: a few seconds together

J = 1_000_000
RUNS = {an_id("run", number).hex(): number for number in (1, 2)}


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> ASite:
    """
    Make a site: a run of ann on n1, and one of bob on n2, who have nothing in common.

    Ann's began at 22:13:21 of 14 November 2023 and took ten minutes, bob's a month later.
    """
    ann = a_job(1, elapsed_s=600)
    bob = a_job(2, "bob", 1001, elapsed_s=600, account="chemistry")
    later_ns = 30 * 86_400 * SECOND_NS
    bob["execution"] = [(*row[:5], "relax", "eval", *row[7:]) for row in bob["execution"]]
    tables: dict[str, Any] = bob
    for table, at in (("run", 1), ("run_end", 1), ("execution", 1), ("process_state", 2)):
        tables[table] = [(*row[:at], row[at] + later_ns, *row[at + 1 :]) for row in tables[table]]
    bob["process"] = [
        (*row[:2], row[2] + later_ns, *row[3:7], "n2", *row[8:]) for row in tables["process"]
    ]
    run = an_id("run", 2)
    bob["fact"].append((run, "project", BEGIN_NS, an_id("proc", 9), "str", "dark matter"))
    metered = Metered().spend(0, {1: 6 * J}, n_buckets=9)
    metered.spend(30 * 24 * 60, {2: 3 * J}, node="n2", n_buckets=9)
    executions = {an_id("run", number): an_id("exec", number) for number in (1, 2)}
    metered.rows = [
        row._replace(execution=executions.get(row.run, row.execution)) for row in metered.rows
    ]
    return ASite(tmp_path_factory.mktemp("flags") / "site").take(*metered.contents(ann, bob))


@pytest.fixture
def invoke(two_runs: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site, in this process."""
    return invoker(two_runs, tmp_path, monkeypatch)


def told_of(found: dict[str, Any]) -> list[int]:
    """Return the runs that a report tells of."""
    groups = [one["names"] for one in found.get("groups", ())]
    lines = groups or found.get("cards") or found.get("runtimes") or ()
    return sorted(RUNS[one["run"]] for one in lines)


@pytest.mark.parametrize("about", ["energy", "carbon", "runtime"])
@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ((), [1, 2]),
        (("1",), [1]),
        (("--run", "2"), [2]),
        (("--job", "2"), [2]),
        (("--user", "ann"), [1]),
        (("--account", "chemistry"), [2]),
        (("--project", "dark matter"), [2]),
        (("--pipeline", "digits"), [1]),
        (("--stage", "eval"), [2]),
        (("--stage", "train"), [1]),
        (("--node", "n2"), [2]),
        (("--artifact", "md5:00000000000000000000000000000001"), [1]),
        (("--since", "2023-12-01"), [2]),
        (("--until", "2023-12-01"), [1]),
        (("--days", "1"), []),
        (("--limit", "1"), [2]),
        (("--user", "ann", "--stage", "eval"), []),
    ],
)
def test_each_flag_leaves_the_runs_that_it_says(
    invoke: Invoke, about: str, words: tuple[str, ...], numbers: list[int]
) -> None:
    """Whatever is told of them: no other run is in any line, card or sum."""
    found = from_json(invoke("report", about, *words, "--by", "run", "--json"))

    assert told_of(found) == numbers
    if about != "runtime" and numbers and not found["cards"]:
        energy_j = {1: 9 * 6, 2: 9 * 3}
        whole = found["total"]["energy"]["energy_j"]
        assert whole == pytest.approx(sum(energy_j[number] for number in numbers))


@pytest.mark.parametrize("about", ["energy", "carbon", "runtime"])
def test_a_report_is_of_the_site_that_is_named(invoke: Invoke, tmp_path: Path, about: str) -> None:
    """Not of the one that would be found without."""
    other = ASite(tmp_path / "other").take(a_job(2, "bob", 1001))
    words = ("report", about, "--by", "run", "--json")
    found = from_json(invoke(*words, "--site", str(other.path)))
    assert told_of(found) == [2]
    assert told_of(from_json(invoke(*words))) == [1, 2]
