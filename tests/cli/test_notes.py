"""Saying something of artifacts, executions and runs afterwards, and seeing it again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.graphs import Linked, Made, content, digest
from support.packs import an_id
from support.sites import ASite, a_run, from_json

from cmfd.merge.batch import merge_site
from cmfd.merge.reindex import reindex

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import Invoke

EXECUTION = [an_id("exec", number).hex() for number in range(3)]
RUN = [an_id("run", number).hex() for number in range(3)]

CHAIN = [
    Made(frozenset({0}), frozenset({1}), None),
    Made(frozenset({1}), frozenset({2}), None),
    Made(frozenset({5}), frozenset({6}), None),
]
"""Raw data 0, features 1, a model 2; and others."""


@pytest.fixture
def chain(site: ASite) -> ASite:
    return site.take(content(CHAIN))


def executions(invoke: Invoke, *words: str) -> list[int]:
    return [EXECUTION.index(one["execution"]) for one in from_json(invoke(*words, "--json"))]


def test_a_taint_is_seen_wherever_the_artifact_is(chain: ASite, invoke: Invoke) -> None:
    """In its own words, with who said so; what was said before stays when it is cleared."""
    del chain
    invoke("artifacts", "mark", "a0", "--tainted", "--reason", "wrong \x1b[1m field")
    assert executions(invoke, "search", "tainted = true") == [0]
    assert executions(invoke, "search", "tainted") == [0]
    assert executions(invoke, "search", "not tainted") == [2, 1]
    assert executions(invoke, "search", "tainted = false") == [2, 1]
    assert executions(invoke, "search", "tainted", "and", "p") == [0]
    shown = invoke("artifacts", "show", "a0").stdout
    assert "TAINTED wrong" in shown
    assert "\x1b" not in shown
    assert "TAINTED: wrong" in invoke("lineage", "up", "a2").stdout
    assert "TAINTED: wrong" in invoke("lineage", "up", "a2", "--format", "table").stdout
    assert "wrong" in invoke("show", RUN[0]).stdout
    (note,) = from_json(invoke("show", RUN[0], "--json"))["notes"]
    assert (note["kind"], note["subject"], note["uid"]) == ("tainted", digest(0), os.getuid())

    invoke("artifacts", "mark", "a0", "--cleared", "--reason", "it was right")
    found = from_json(invoke("artifacts", "show", "a0", "--json"))
    assert [one["kind"] for one in found["notes"]] == ["tainted", "cleared"]
    assert found["standing"]["tainted"] is None
    assert executions(invoke, "search", "tainted") == []
    assert "TAINTED" not in invoke("lineage", "up", "a2").stdout


def test_tags_labels_and_notes_are_searched_for(chain: ASite, invoke: Invoke) -> None:
    """On artifacts, executions and runs; a tag may go and come again; the last label counts."""
    del chain
    invoke("artifacts", "tag", "a2", "production")
    invoke("artifacts", "tag", EXECUTION[0], "reviewed")
    invoke("artifacts", "tag", RUN[2], "reviewed")
    invoke("artifacts", "label", "a2", "first")
    invoke("artifacts", "label", "a2", "barrel model")
    invoke("artifacts", "note", RUN[2], "before the magnet was repaired")
    assert executions(invoke, "search", 'tag = "production"') == [1]
    assert executions(invoke, "search", 'tag = "reviewed"') == [2, 0]
    assert executions(invoke, "search", 'tag = "reviewed" and not note ~ "MAGNET"') == [0]
    assert executions(invoke, "search", 'label = "first"') == []
    assert executions(invoke, "search", 'label ~ "barrel"') == [1]
    found = from_json(invoke("artifacts", "show", "a2", "--json"))["standing"]
    assert found == {"tainted": None, "tags": ["production"], "label": "barrel model"}
    invoke("artifacts", "untag", RUN[2], "reviewed")
    assert executions(invoke, "search", 'tag = "reviewed"') == [0]
    invoke("artifacts", "tag", RUN[2], "reviewed")
    assert executions(invoke, "search", 'tag = "reviewed"') == [2, 0]
    assert "barrel model" in invoke("artifacts", "show", "a2").stdout


def test_the_fields_of_notes_mean_the_same_by_index(
    chain: ASite, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the latest executions are looked at one by one."""
    del chain
    invoke("artifacts", "tag", "a1", "x")
    invoke("artifacts", "tag", RUN[2], "x")
    invoke("artifacts", "mark", EXECUTION[1], "--tainted", "--reason", "y")
    for window in (5000, 1):
        monkeypatch.setattr("cmfd.query.search._WINDOW", window)
        assert executions(invoke, "search", 'tag = "x"') == [2, 1, 0]
        assert executions(invoke, "search", 'tag = "x" and not tainted') == [2, 0]
        assert executions(invoke, "search", "tainted != false") == [1]
    assert "true or false" in invoke("search", 'tainted = "yes"', code=16).stderr


def test_impact_marks_all_that_was_reached(site: ASite, invoke: Invoke) -> None:
    """Each with its cause; again, nothing is said twice; the parts of what was written as well."""
    site.take(content(CHAIN, linked=[Linked(1, "contains", 7), Linked(9, "contains", 0)]))
    invoke("impact", "a0", "--mark", "--reason", "bad field", "-n", "1")
    found = from_json(invoke("lineage", "up", "a2", "--json"))
    cause = f"bad field (reached from {digest(0)})"
    reasons = {one["digest"]: one["tainted"] for one in found["artifacts"]}
    assert reasons == {
        digest(0): "bad field", **{digest(number): cause for number in (1, 2, 7, 9)}
    }  # fmt: skip
    assert {one["tainted"] for one in found["executions"]} == {cause}
    assert executions(invoke, "search", "tainted") == [1, 0]
    n_packs = len(list(site.path.glob("packs/*/*.db")))
    invoke("impact", "a0", "--mark", "--reason", "bad field")
    assert len(list(site.path.glob("packs/*/*.db"))) == n_packs
    invoke("impact", "a0", "--clear", "--reason", "it was right")
    assert executions(invoke, "search", "tainted") == []
    assert "--reason" in invoke("impact", "a0", "--mark", code=2).stderr


def test_what_was_said_goes_along_to_other_sites(
    chain: ASite, invoke: Invoke, tmp_path: Path
) -> None:
    """It is in packs: a copy of the site, and an index made anew, know it."""
    invoke("artifacts", "mark", EXECUTION[0], "--tainted", "--reason", "x")
    invoke("artifacts", "tag", "last", "y")
    other = ASite(tmp_path / "other")
    merge_site(other.path, [chain.path])
    before = invoke("site", "digest").stdout
    assert invoke("site", "digest", "--site", str(other.path)).stdout == before
    reindex(chain.path)
    assert invoke("site", "digest").stdout == before
    assert executions(invoke, "search", "tainted or tag = 'y'") == [2, 0]


def test_a_leader_board_of_a_slice_is_by_the_metric_of_that_slice(
    site: ASite, invoke: Invoke
) -> None:
    """The best on all data need not be; tainted ones are in it, marked; both are side by side."""
    site.take(
        *(
            a_run(number, n_ranks=1, **{"accuracy": [whole], "accuracy[barrel]": [barrel]})
            for number, (whole, barrel) in enumerate([(0.9, 0.5), (0.8, 0.7)])
        )
    )
    invoke("artifacts", "mark", EXECUTION[1], "--tainted", "--reason", "x")
    asked = ("best", "--pipeline", "digits", "--metric", "accuracy")
    board = from_json(invoke(*asked, "--json"))
    assert [one["value"] for one in board["leaders"]] == [0.9, 0.8]
    board = from_json(invoke(*asked, "--slice", "barrel", "--json"))
    assert [one["value"] for one in board["leaders"]] == [0.7, 0.5]
    assert [one["tainted"] for one in board["leaders"]] == [True, False]
    assert (board["metric"], board["goal"]) == ("accuracy[barrel]", "max")
    assert "completed, tainted" in invoke(*asked).stdout
    for shown in (invoke("metrics", RUN[1]), invoke("compare", RUN[0], RUN[1])):
        lines = [line for line in shown.stdout.splitlines() if "accuracy" in line]
        assert "[barrel]" not in lines[0]
        assert "accuracy[barrel]" in lines[1]
    assert "no metric" in invoke(*asked, "--slice", "forward", code=4).stderr


def test_what_nobody_knows_is_not_marked(chain: ASite, invoke: Invoke) -> None:
    """Nothing is said of it; neither is anything without a reason."""
    n_packs = len(list(chain.path.glob("packs/*/*.db")))
    invoke("artifacts", "mark", "nothing", "--tainted", "--reason", "x", code=4)
    invoke("artifacts", "mark", "a0", "--reason", "x", code=2)
    invoke("artifacts", "mark", "a0", "--tainted", code=2)
    assert len(list(chain.path.glob("packs/*/*.db"))) == n_packs


def test_a_run_is_tagged_where_one_looks_for_it(three_runs: ASite, invoke: Invoke) -> None:
    """`cmfd tag last ...`, and a search finds it until it is untagged."""
    del three_runs
    invoke("tag", RUN[1], "baseline")
    assert executions(invoke, "search", 'tag = "baseline"') == [1]
    assert "baseline" in invoke("show", RUN[1]).stdout
    invoke("untag", RUN[1], "baseline")
    assert executions(invoke, "search", 'tag = "baseline"') == []


def test_a_comparison_shows_the_data_that_differ(chain: ASite, invoke: Invoke) -> None:
    """By where it was read or written; what both have alike is only counted."""
    rows = content([Made(frozenset({0}), frozenset({7}), None)])
    for table in ("run", "execution"):
        rows[table] = [(an_id(table[:4], 9), *row[1:]) for row in rows[table]]
    run, execution = an_id("run", 9), an_id("exec", 9)
    rows["execution"] = [(execution, *row[1:3], run, *row[4:]) for row in rows["execution"]]
    rows["run"] = [(run, *row[1:]) for row in rows["run"]]
    rows["event"] = [(execution, *row[1:]) for row in rows["event"]]
    rows = {name: rows[name] for name in ("run", "execution", "event", "artifact")}
    chain.take(rows)
    found = from_json(invoke("compare", RUN[0], run.hex(), "--json"))["artifacts"]
    assert [(one["direction"], one["path"], one["differs"]) for one in found] == [
        ("input", "a0", False), ("output", "a1", True), ("output", "a7", True),
    ]  # fmt: skip
    assert found[1]["digests"] == [[digest(1)], []]
    text = invoke("compare", RUN[0], run.hex()).stdout
    assert "artifacts that differ (1 are equal)" in text
    assert "a7" in text
    assert "a0" not in text
    assert "a0" in invoke("compare", RUN[0], run.hex(), "--all").stdout
