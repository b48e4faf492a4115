"""OpenLineage events of any program become executions, once."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.mergers import digest_of
from support.sites import ASite, a_run, set_param

from cmfd.formats.openlineage.events import events
from cmfd.formats.openlineage.ingest import ingest
from cmfd.formats.openlineage.received import read
from cmfd.formats.openlineage.sending import line
from cmfd.merge.batch import merge_site
from cmfd.query.index import open_index
from cmfd.query.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    Cmfd = Callable[..., Any]

ROOT = "01890000-0000-7000-8000-000000000001"
CLEAN = "01890000-0000-7000-8000-000000000002"
TRAIN = "01890000-0000-7000-8000-000000000003"


def event(
    kind: str, second: int, run: str, job: str, *, reads: str = "", writes: str = "",
    facets: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return an event, as another program emits it."""
    parent = {"run": {"runId": ROOT}, "job": {"namespace": "airflow", "name": "night"}}
    named = {"parent": parent} if run != ROOT else {}
    return {
        "eventType": kind,
        "eventTime": f"2026-11-22T10:00:{second:02}.25+01:00",
        "producer": "https://example.org",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run, "facets": {**named, **(facets or {})}},
        "job": {"namespace": "airflow", "name": job, "facets": {}},
        "inputs": [{"namespace": "s3://lake", "name": reads}] if reads else [],
        "outputs": [{"namespace": "s3://lake", "name": writes}] if writes else [],
    }


EVENTS = [
    event("START", 0, ROOT, "night"),
    event("START", 1, CLEAN, "night.clean", reads="raw"),
    event("COMPLETE", 5, CLEAN, "night.clean", writes="clean"),
    event("START", 6, TRAIN, "night.train", reads="clean"),
    event("FAIL", 9, TRAIN, "night.train", facets={
        "executionParameters": {"parameters": [{"key": "rate", "value": "0.1"}]},
        "errorMessage": {"message": "out of memory", "programmingLanguage": "PYTHON"},
    }),
    event("FAIL", 10, ROOT, "night"),
]  # fmt: skip


def lines(path: Path, events: list[dict[str, Any]]) -> str:
    """Write events to a file."""
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events))
    return str(path)


def test_runs_become_executions(cmfd: Cmfd, tmp_path: Path) -> None:
    """One run with both; lineage goes through what one wrote and the other read."""
    told = cmfd("import", "openlineage", lines(tmp_path / "events", EVENTS))
    assert told == "night.clean: 1 execution new\nnight.train: 1 execution new\n"
    with Site(tmp_path / "site") as site:
        run = site.run("last")
        assert run.run.run == ROOT.replace("-", "")
        assert run.run.status == "failed"
        by_stage = {one.stage: one for one in run.executions}
        assert {stage: one.status for stage, one in by_stage.items()} == {
            "clean": "completed", "train": "failed",
        }  # fmt: skip
        assert by_stage["train"].wall_ns == 3 * 10**9
        assert [one.execution for one in site.search('rate = "0.1"')] == [TRAIN.replace("-", "")]
        made = site.down("s3://lake/raw")
        assert {one.stage for one in made.executions} == {"clean", "train"}
        kept = [fact.value for fact in run.facts if fact.subject == TRAIN.replace("-", "")]
        assert [one["eventType"] for one in kept if "errorMessage" in one["run"]["facets"]] == [
            "FAIL"
        ]


def test_what_comes_again_adds_nothing(cmfd: Cmfd, tmp_path: Path) -> None:
    """In any order, as an array or as lines, in parts or as a whole: the same site."""
    states = []
    for site, parts in (("one", [EVENTS]), ("other", [EVENTS[:4], EVENTS[::-1]])):
        for number, part in enumerate(parts):
            path = tmp_path / f"{site}{number}"
            path.write_text(json.dumps(part))
            done = cmfd("import", "openlineage", str(path), "--json", site=site)
            states.append({one["stage"]: one["state"] for one in done})
        again = cmfd("import", "openlineage", str(path), "--json", site=site)
        assert {one["state"] for one in again} == {"known"}
    assert states[2]["train"] == "changed"
    shown = []
    for site in ("one", "other"):
        with Site(tmp_path / site) as opened:
            run = opened.run("last")
            shown.append((run.run.status, run.executions, run.params, run.artifacts))
    assert shown[0] == shown[1]


ALONE = event("COMPLETE", 8, ROOT, "night", reads="raw", writes="report")
"""The root reads and writes as well."""

SHOWN = (
    "SELECT run, name, status, began_ns, ended_ns, n_executions FROM runs ORDER BY run",
    "SELECT execution, run, parent, pipeline, stage, status, ended_ns FROM executions ORDER BY 1",
    "SELECT execution, began_ns FROM executions ORDER BY 1",
    "SELECT execution, direction, path, digest, at_ns FROM events ORDER BY 1, 2, 3",
    "SELECT execution, key, value FROM params ORDER BY execution, key, value",
    "SELECT subject, key, at_ns, value FROM facts ORDER BY subject, key",
)


@pytest.mark.slow
@pytest.mark.parametrize("events", [EVENTS, [*EVENTS[:5], ALONE]], ids=["run only", "root reads"])
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
def test_parts_add_up(tmp_path: Path, events: list[dict[str, Any]], order: int) -> None:
    """Events that come one by one, the root's first or last, make the same site as all at once."""
    for site, parts in (("once", [events]), ("parts", [[one] for one in events[::order]])):
        for part in parts:
            ingest(tmp_path / site, read(json.dumps(part).encode(), "events").events)
    shown = []
    for site in ("once", "parts"):
        with open_index(tmp_path / site) as db:
            shown.append([[tuple(row) for row in db.execute(query)] for query in SHOWN])
    assert shown[0] == shown[1]
    (run,) = shown[0][0]
    assert run[:2] == (ROOT.replace("-", ""), "night")


def test_what_ends_before_the_last_event_ends_then(tmp_path: Path) -> None:
    """What is added after the end is no later end."""
    said = [EVENTS[1], EVENTS[2], event("OTHER", 30, CLEAN, "night.clean")]
    ingest(tmp_path / "site", read(json.dumps(said).encode(), "events").events)
    with Site(tmp_path / "site") as site:
        assert site.run("last").executions[0].wall_ns == 4 * 10**9


def test_a_digest_that_is_none_hides_nothing(tmp_path: Path) -> None:
    """What the index would refuse as a digest is known by its name."""
    said = event("COMPLETE", 1, CLEAN, "night.clean", reads="raw")
    said["inputs"][0]["facets"] = {"cmfd_content": {"digest": "none"}}
    ingest(tmp_path / "site", read(json.dumps([said]).encode(), "events").events)
    with Site(tmp_path / "site") as site:
        assert [one.path for one in site.run("last").artifacts] == ["s3://lake/raw"]


def test_what_was_given_out_here_is_known(cmfd: Cmfd, tmp_path: Path) -> None:
    """A site knows its own; another one takes it in with its parameters and digests."""
    content = a_run(1, loss=[1.0])
    set_param(content, 1, "rate", "float", 0.5)
    ASite(tmp_path / "site").take(content)
    out = tmp_path / "events"
    cmfd("export", "openlineage", "-o", str(out))
    assert {one["state"] for one in cmfd("import", "openlineage", str(out), "--json")} == {"own"}

    cmfd("import", "openlineage", str(out), site="other")
    with Site(tmp_path / "site") as here, Site(tmp_path / "other") as there:
        mine, theirs = here.run("last"), there.run("last")
        assert (mine.run.run, mine.run.cluster, mine.run.job, mine.run.status) == (
            theirs.run.run, theirs.run.cluster, theirs.run.job, theirs.run.status,
        )  # fmt: skip
        assert {one.digest for one in mine.artifacts} == {one.digest for one in theirs.artifacts}
        assert [one.execution for one in there.search("rate = 0.5")] == [
            one.execution for one in mine.executions
        ]


@pytest.mark.slow
@settings(max_examples=examples(8), deadline=None)
@given(st.permutations(range(4)), st.integers(1, 4))
def test_what_is_imported_never_stands_before_what_was_recorded(
    order: list[int], n_together: int
) -> None:
    """Whichever comes first, alone or with others: one site, and the run is as its packs say it."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        contents = [a_run(1, loss=[1.0]), a_run(2, loss=[2.0])]
        set_param(contents[0], 1, "rate", "float", 0.5)
        contents[0]["run_end"] = []
        here = ASite(root / "here").take(*contents)
        with open_index(here.path) as db:
            told = b"".join(line(one) for run in (1, 2) for one in events(db, run))
        earlier = told.replace(b"2023-", b"2022-").replace(b"COMPLETE", b"FAIL")
        ingest(root / "there", read(told, "events").events)
        ingest(root / "then", read(earlier, "events").events)
        packs = sorted(root.glob("*/packs/*/*.db"))
        assert len(packs) == 4
        chosen = [packs[number] for number in order]
        for first in range(0, 4, n_together):
            merge_site(root / "all", chosen[first : first + n_together])
        merge_site(root / "sorted", packs)
        assert digest_of(root / "all") == digest_of(root / "sorted")
        assert recorded(root / "all") == recorded(here.path)


def recorded(site: Path) -> list[Any]:
    """Return all that a site says of its runs."""
    with Site(site) as opened:
        runs = [opened.run(one.run) for one in opened.runs()]
    return sorted(runs, key=lambda one: one.run.run)


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        '{"run": 1}',
        '{"run": {"runId": "x"}, "job": {"namespace": "n", "name": "j"}}',
        json.dumps({**EVENTS[0], "eventTime": "9999-12-31T00:00:00Z"}),
    ],
)
def test_what_is_no_event_is_told(cmfd: Cmfd, tmp_path: Path, bad: str) -> None:
    """With its line; all else of the file is taken in, and nothing where there is nothing else."""
    path = tmp_path / "events"
    path.write_text(f"{json.dumps(EVENTS[1])}\n{bad}\n{json.dumps(EVENTS[2])}\n")
    said = cmfd("import", "openlineage", str(path), code=12)
    assert "all was taken in but this" in said
    assert "event 2 is none of OpenLineage's" in said
    with Site(tmp_path / "site") as site:
        [run] = site.runs()
        assert [one.status for one in site.run(run.run).executions] == ["completed"]
    path.write_text(bad)
    assert "nothing of it was taken in" in cmfd(
        "import", "openlineage", str(path), site="other", code=21
    )
    assert not (tmp_path / "other" / "index.db").exists()


def test_one_event_may_be_over_many_lines(cmfd: Cmfd, tmp_path: Path) -> None:
    """As people write one, and as OpenLineage's own examples are."""
    file = tmp_path / "event.json"
    file.write_text(json.dumps(EVENTS[1], indent=2))
    assert "1 execution new" in cmfd("import", "openlineage", str(file))


def test_an_array_that_is_cut_off_is_told(cmfd: Cmfd, tmp_path: Path) -> None:
    """Nothing of it is taken in: where it ends, nobody knows."""
    path = tmp_path / "events"
    path.write_text(json.dumps(EVENTS)[:-9])
    assert "nothing of it" in cmfd("import", "openlineage", str(path), code=21)


def test_a_facet_that_is_none_spoils_no_other(cmfd: Cmfd, tmp_path: Path) -> None:
    """Its event is taken in with all its other facets; what it cannot say is told."""
    spoilt = event("FAIL", 9, TRAIN, "night.train", reads="clean", facets={
        "executionParameters": {"parameters": [{"key": "rate", "value": "0.1"}]},
        "cmfd_hyperparameters": {"parameters": {"depth": 3}},
        "parent": 5,
    })  # fmt: skip
    path = lines(tmp_path / "events", [*EVENTS[:3], spoilt])
    said = cmfd("import", "openlineage", path, code=12)
    assert "event 4, its facet cmfd_hyperparameters: Expected `array`, got `int`" in said
    with Site(tmp_path / "site") as site:
        assert [one.stage for one in site.search('rate = "0.1"')] == ["train"]
        assert {one.stage for one in site.down("s3://lake/raw").executions} == {"clean", "train"}
    again = cmfd("import", "openlineage", path, code=12)
    assert again == said
