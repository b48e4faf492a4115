"""Commands that ask where things come from and what came of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.graphs import Made, content, digest
from support.packs import an_id
from support.sites import from_json

from cmfd.content.files import hash_path

if TYPE_CHECKING:
    from pathlib import Path

    from support.packs import Content
    from support.sites import ASite, Invoke

EXECUTION = [an_id("exec", number).hex() for number in range(4)]

CHAIN = [
    Made(frozenset({0}), frozenset({1}), None),
    Made(frozenset({1}), frozenset({2, 3}), None),
    Made(frozenset({3}), frozenset({4}), None),
    Made(frozenset({5}), frozenset({6}), None),
]
"""Raw data 0, features 1, model 2 and figures 3, a page 4 made from the figures; and others."""


@pytest.fixture
def chain(site: ASite) -> ASite:
    return site.take(content(CHAIN))


def rename(rows: Content, artifact: int, *, path: str, absolute: str) -> None:
    """Give an artifact another path in all its events."""
    rows["event"] = [
        (*row[:3], path, *row[4:8], absolute, *row[9:]) if row[2] == digest(artifact) else row
        for row in rows["event"]
    ]


def reached(invoke: Invoke, *words: str) -> tuple[list[int], list[int]]:
    """Return the numbers of the executions and artifacts of an answer."""
    found = from_json(invoke(*words, "--json"))
    return (
        [EXECUTION.index(one["execution"]) for one in found["executions"]],
        sorted(int(one["digest"][4:], 16) for one in found["artifacts"]),
    )


def test_up_and_down_cross_runs(chain: ASite, invoke: Invoke) -> None:
    """What a page was made from, what came of raw data; nothing of other pipelines."""
    del chain
    assert reached(invoke, "lineage", "up", "a4") == ([2, 1, 0], [0, 1, 3, 4])
    assert reached(invoke, "lineage", "down", "a0") == ([0, 1, 2], [0, 1, 2, 3, 4])
    assert reached(invoke, "lineage", "up", EXECUTION[1]) == ([1, 0], [0, 1])
    assert reached(invoke, "lineage", "down", EXECUTION[2]) == ([2], [4])


def test_depth_stage_and_time_bound_the_answer(chain: ASite, invoke: Invoke) -> None:
    """So many executions away; the ways to a stage; what had begun by a time."""
    del chain
    down = ("lineage", "down", "a0")
    assert reached(invoke, *down, "--depth", "1") == ([0], [0, 1])
    assert reached(invoke, *down, "--depth", "0") == ([], [0])
    assert reached(invoke, *down, "--stage", "s1") == ([0, 1], [0, 1, 2, 3])
    assert reached(invoke, *down, "--stage", "p.s1") == ([0, 1], [0, 1, 2, 3])
    assert reached(invoke, *down, "--stage", "other") == ([], [0])
    assert reached(invoke, *down, "--until", "2023-11-14T22:13:19Z") == ([], [0])
    assert reached(invoke, *down, "--until", "2023-11-14T22:13:21Z")[0] == [0, 1, 2]
    assert "is no time" in invoke(*down, "--until", "soon", code=2).stderr


def test_the_tree_shows_each_thing_below_what_it_was_reached_from(
    chain: ASite, invoke: Invoke
) -> None:
    """Lines for executions and artifacts in turn, indented by branches."""
    del chain
    lines = invoke("lineage", "down", "a0").stdout.splitlines()
    assert lines[0].startswith("a0 (dataset, md5:000000000000)")
    assert lines[1].startswith("└─ p.s0 657865632d2d (")
    assert lines[3].startswith("      └─ p.s1 ")
    assert lines[4].startswith("         ├─ a2 ")
    assert lines[5].startswith("         └─ a3 ")
    assert lines[7] == "               └─ a4 (dataset, md5:000000000000)"


@pytest.mark.parametrize(
    ("form", "arrow"),
    [("dot", f'"{digest(0)}" -> "{EXECUTION[0]}"'), ("mermaid", "n0 --> n2")],
)
def test_graphs_have_arrows_the_way_data_goes(
    chain: ASite, invoke: Invoke, form: str, arrow: str
) -> None:
    """Also when it is asked upward."""
    del chain
    text = invoke("lineage", "up", "a1", "--format", form).stdout
    assert arrow in text.replace("n1 --> n2", "n0 --> n2")
    assert text.count("-> ") == 2


def test_the_table_has_executions_and_artifacts(chain: ASite, invoke: Invoke) -> None:
    """Nearest first, with their distance."""
    del chain
    lines = invoke("lineage", "down", "a0", "--format", "table").stdout.splitlines()
    assert [line.split()[0] for line in lines if "p.s" in line] == ["1", "2", "3"]


def test_names_that_hold_what_graphs_are_written_in_stay_names(site: ASite, invoke: Invoke) -> None:
    """Quotes, backslashes, brackets, line ends."""
    rows = content(CHAIN)
    rename(rows, 1, path='a"b\\c]\n#x', absolute="/a")
    site.take(rows)
    dot = invoke("lineage", "down", digest(0), "--format", "dot").stdout
    assert r'label="a\"b\\c]\\n#x (dataset' in dot
    mermaid = invoke("lineage", "down", digest(0), "--format", "mermaid").stdout
    assert '"a#34;b#92;c#93;#92;n#35;x (dataset' in mermaid


@pytest.mark.parametrize(
    "name",
    [digest(5), digest(5)[4:], digest(5).upper().replace("MD5", "md5"), "a5", "/home/a5"],
)
def test_an_artifact_goes_by_digest_or_recorded_path(
    chain: ASite, invoke: Invoke, name: str
) -> None:
    """With or without its algorithm; as named, or in full."""
    del chain
    assert reached(invoke, "lineage", "down", name) == ([3], [5, 6])


def test_a_file_is_what_it_holds_now(site: ASite, invoke: Invoke, tmp_path: Path) -> None:
    """Its name does not matter; content that nobody used is told with what that name had."""
    file = tmp_path / "renamed"
    file.write_text("hits")
    rows = content(CHAIN)
    held = hash_path(file).digest
    for table in ("artifact", "event"):
        rows[table] = [
            tuple(held if value == digest(1) else value for value in row) for row in rows[table]
        ]
    rename(rows, 0, path="changed", absolute=str(tmp_path / "changed"))
    site.take(rows)
    (tmp_path / "changed").write_text("other")

    found = from_json(invoke("lineage", "down", "renamed", "--json"))
    assert found["start"] == held
    assert len(found["executions"]) == 2
    error = invoke("lineage", "down", "changed", code=4).stderr
    assert hash_path(tmp_path / "changed").digest in error
    assert digest(0) in error


def test_a_name_that_is_no_text_is_a_name(chain: ASite, invoke: Invoke, tmp_path: Path) -> None:
    """On the disk or not, it is looked for."""
    del chain
    odd = os.fsdecode(b"odd \xff")
    assert "goes by" in invoke("lineage", "up", odd, code=4).stderr
    (tmp_path / odd).write_text("odd")
    assert "No execution used" in invoke("lineage", "up", odd, code=4).stderr


def test_what_may_be_several_things_is_an_error_that_lists_them(
    chain: ASite, invoke: Invoke
) -> None:
    """The beginning of many digests; a run with several executions; nothing at all."""
    del chain
    assert invoke("lineage", "up", "md5:0000", code=4).stderr.count("artifact  md5:") == 7
    assert (
        invoke("lineage", "up", an_id("exec", 1).hex()[:8], code=4).stderr.count("execution  ") == 4
    )
    assert "No artifact or execution" in invoke("lineage", "up", "nothing", code=4).stderr
    assert reached(invoke, "lineage", "up", "last")[0] == [3]


def test_impact_lists_what_was_reached_newest_first(chain: ASite, invoke: Invoke) -> None:
    """Executions, artifacts, users, runs, nodes; and how, each by a shortest path."""
    del chain
    found = from_json(invoke("impact", "a0", "--json"))
    assert [EXECUTION.index(one["execution"]) for one in found["executions"]] == [2, 1, 0]
    assert found["paths"][digest(4)] == [
        digest(0), EXECUTION[0], digest(1), EXECUTION[1], digest(3), EXECUTION[2], digest(4),
    ]  # fmt: skip
    assert found["labels"][EXECUTION[1]] == "p.s1"
    assert [(one["name"], one["n_executions"]) for one in found["users"]] == [
        ("ann", 2),
        ("bob", 1),
    ]
    assert [one["name"] for one in found["nodes"]] == ["n1@c"]
    text = invoke("impact", "a0", "-n", "1").stdout
    assert "reached 3 executions: 4 datasets" in text
    assert "a4 a0 > p.s0 > a1 > p.s1 > a3 > p.s2 > a4" in " ".join(text.split())
    assert "a1 " not in text.partition("other artifacts")[2].partition("paths")[0]
