"""Lineage against a graph in plain Python, on made-up sites."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.graphs import T0_NS, Linked, Made, Node, content, digest, distances, graphs, links
from support.laws import examples
from support.packs import an_id
from support.sites import ASite

from cmfd.merge.layout import GRAPH
from cmfd.merge.reindex import reindex
from cmfd.query.graph import keep
from cmfd.query.impact import Impact, impact
from cmfd.query.index import open_index
from cmfd.query.lineage import Lineage, lineage
from cmfd.query.subject import subject
from cmfd.query.walk import Way
from cmfd.report.lineage import tree_lines

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence


HOW = ("few", "index", "graph")


@contextmanager
def _walking(db: sqlite3.Connection, how: str) -> Iterator[None]:
    """Have the nodes asked for one by one, level by level, or taken from a graph."""
    if how == "graph":
        assert keep(db)
    with pytest.MonkeyPatch.context() as patch:
        if how != "few":
            patch.setattr("cmfd.query.reach.FEW", 0)
        yield


def _name(node: Node) -> str:
    return digest(node[1]) if node[0] in "ap" else an_id("exec", node[1]).hex()


def _expected(
    graph: Sequence[Made], linked: Sequence[Linked], start: Node, *, down: bool, last: int
) -> dict[str, int]:
    found: dict[str, int] = {}
    for node, far in distances(graph, start, down=down, last=last, linked=linked).items():
        found[_name(node)] = min(far, found.get(_name(node), far))
    return found


def _starts(graph: Sequence[Made], linked: Sequence[Linked]) -> list[Node]:
    used = {one for made in graph for one in made.inputs | made.outputs}
    used |= {number for one in linked for number in (one.whole, one.part)}
    return [("a", one) for one in sorted(used)] + [("x", i) for i in range(len(graph))]


def _found(answer: Lineage) -> dict[str, int]:
    return {one.digest: one.depth for one in answer.artifacts} | {
        one.execution: one.depth for one in answer.executions
    }


@settings(max_examples=examples(40), deadline=None)
@given(graphs(), st.just([]) | links(), st.data())
def test_lineage_is_what_the_graph_says(
    graph: list[Made], linked: list[Linked], data: st.DataObject
) -> None:
    """The same nodes at the same distances, each by a path that is there."""
    start = data.draw(st.sampled_from(_starts(graph, linked)))
    down = data.draw(st.booleans())
    depth = data.draw(st.none() | st.integers(0, 3))
    # An outer execution began before those in it, so that a time never cuts one from another.
    last = data.draw(st.integers(1, len(graph))) if start[0] == "a" else len(graph)
    expected = _expected(graph, linked, start, down=down, last=last)
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory, "site")).take(content(graph, linked=linked))
        with open_index(site.path) as db:
            # Up to the last one is as far as there is; a walk with a time goes another way.
            until_ns = None if last == len(graph) else T0_NS + last - 1
            way = Way.DOWN if down else Way.UP
            with _walking(db, data.draw(st.sampled_from(HOW))):
                # A server is asked in another way when it has been asked before.
                answer, again = (
                    lineage(db, subject(db, _name(start)), way, depth=depth, until_ns=until_ns)
                    for _ in range(2)
                )
    assert again == answer

    found = _found(answer)
    within = {name: far for name, far in expected.items() if depth is None or far <= depth}
    assert found == within
    _check_paths(graph, answer, down=down)
    assert {(one.execution, one.earlier) for one in answer.continued} == {
        names
        for i, made in enumerate(graph)
        if made.goes_on_from is not None
        for names in [(an_id("exec", i).hex(), an_id("exec", made.goes_on_from).hex())]
        if found.keys() >= set(names)
    }
    assert {(one.whole, one.relation, one.digest) for one in answer.parts} == {
        (digest(one.whole), one.relation, digest(one.part))
        for one in linked
        if {digest(one.whole), digest(one.part)} <= found.keys()
    }


@settings(max_examples=examples(40), deadline=None)
@example([Made(frozenset(), frozenset(), None), Made(frozenset({0}), frozenset(), 0),
          Made(frozenset(), frozenset({1}), None, 0)])  # fmt: skip
@given(graphs())
def test_what_came_of_something_is_what_came_from_it(graph: list[Made]) -> None:
    """Up and down are the same way, whatever is nested in what and goes on from what."""
    used = sorted({one for made in graph for one in made.inputs | made.outputs})
    ways = {}
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory, "site")).take(content(graph))
        with open_index(site.path) as db:
            for one in used:
                for way in Way:
                    answer = lineage(db, subject(db, digest(one)), way)
                    ways[one, way] = {found.digest for found in answer.artifacts}

    for one in used:
        for other in used:
            assert (digest(other) in ways[one, Way.DOWN]) == (digest(one) in ways[other, Way.UP])


@settings(max_examples=examples(20), deadline=None)
@given(graphs(), st.integers(0, 4), st.data())
def test_events_alone_are_walked_by_twos(
    graph: list[Made], n_rows: int, data: st.DataObject
) -> None:
    """As far as it pays, and by ones from there; all of it, as far as asked for."""
    graph = [Made(made.inputs, made.outputs, None) for made in graph]
    depth = data.draw(st.none() | st.integers(0, 3))
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmfd.query.few.ROWS", n_rows / 50)
        site = ASite(Path(directory, "site")).take(content(graph))
        with open_index(site.path) as db:
            for start, way in product(_starts(graph, []), Way):
                answer = lineage(db, subject(db, _name(start)), way, depth=depth)
                down = way is Way.DOWN
                expected = _expected(graph, [], start, down=down, last=len(graph))
                assert _found(answer) == {
                    name: far for name, far in expected.items() if depth is None or far <= depth
                }
                _check_paths(graph, answer, down=down)


def _check_paths(graph: Sequence[Made], answer: Lineage, *, down: bool) -> None:
    """Follow each node's `via`: a real step, and never farther away."""
    depths = _found(answer)
    edges = {(one.execution, one.digest, one.direction) for one in answer.edges}
    into, out_of = ("input", "output") if down else ("output", "input")
    alike = {(one.whole, one.digest) for one in answer.parts}
    alike |= {(part, whole) for whole, part in alike}
    for artifact in answer.artifacts:
        via = artifact.via
        if via is None:
            continue
        assert depths[via] == artifact.depth
        if ":" in via:
            assert (via, artifact.digest) in alike
        else:
            assert any((via, one, out_of) in edges for one in _within(answer, artifact.digest))
    numbers = {an_id("exec", i).hex(): i for i in range(len(graph))}
    for execution in answer.executions:
        via = execution.via
        if via is None:
            continue
        if via in numbers:
            one, other = numbers[via], numbers[execution.execution]
            later, earlier = (other, one) if down else (one, other)
            if graph[later].goes_on_from == earlier and depths[via] < execution.depth:
                continue
            assert _outers(graph, other) & {one} or _outers(graph, one) & {other}
        else:
            assert (execution.execution, via, into) in edges
            assert depths[via] == execution.depth - 1


def _within(answer: Lineage, name: str) -> set[str]:
    """Return an artifact and what it is part of or the same as, at any distance."""
    found = {name}
    while True:
        more = {one.whole for one in answer.parts if one.digest in found}
        more |= {
            one.digest for one in answer.parts if one.relation == "same" and one.whole in found
        }
        if more <= found:
            return found
        found |= more


def _outers(graph: Sequence[Made], number: int) -> set[int]:
    found = set()
    outer = graph[number].outer
    while outer is not None:
        found.add(outer)
        outer = graph[outer].outer
    return found


@settings(max_examples=examples(40), deadline=None)
@given(graphs(), st.just([]) | links(), st.data())
def test_impact_names_everything_once_and_how_it_was_reached(
    graph: list[Made], linked: list[Linked], data: st.DataObject
) -> None:
    """All executions, artifacts, users and runs; every path begins with the artifact."""
    start = data.draw(st.sampled_from(_starts(graph, linked)))
    expected = _expected(graph, linked, start, down=True, last=len(graph)).keys() - {_name(start)}
    numbers = {an_id("exec", i).hex(): i for i in range(len(graph))}
    reached = sorted((numbers[name] for name in expected if name in numbers), reverse=True)
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory, "site")).take(content(graph, linked=linked))
        with open_index(site.path) as db, _walking(db, data.draw(st.sampled_from(HOW))):
            answer = impact(db, subject(db, _name(start)))
            newest = impact(db, subject(db, _name(start)), limit=1)

    assert [numbers[one.execution] for one in answer.executions] == reached
    assert {one.digest for one in answer.artifacts} == {name for name in expected if ":" in name}
    assert (answer.n_executions, answer.n_artifacts) == (len(reached), len(answer.artifacts))
    assert {one.name for one in answer.users} == {("ann", "bob")[i % 2] for i in reached}
    assert [one.run for one in answer.runs] == [an_id("run", i).hex() for i in reached]
    assert answer.paths.keys() == expected
    for name, path in answer.paths.items():
        assert (path[0], path[-1]) == (_name(start), name)
        assert len(set(path)) == len(path)
        assert path[-2] in expected | {_name(start)}
    assert newest.executions == answer.executions[:1]
    assert (newest.runs, newest.n_runs) == (answer.runs[:1], len(answer.runs))
    assert (newest.n_executions, newest.users) == (answer.n_executions, answer.users)


FILE, X, Y = range(3)
"""A file and two data sets in it."""


def _used_of_x(graph: Sequence[Made], linked: Sequence[Linked], start: int) -> set[int]:
    """Return which executions are downstream of an artifact."""
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory, "site")).take(content(graph, linked=linked))
        with open_index(site.path) as db:
            found = lineage(db, subject(db, digest(start)), Way.DOWN).executions
    numbers = {an_id("exec", i).hex(): i for i in range(len(graph))}
    return {numbers[one.execution] for one in found}


def test_who_used_another_part_of_the_same_file_is_not_reached() -> None:
    """Of users of the file, of /x, of /y and of what was made of those: tainted are those of /x."""
    graph = [
        Made(frozenset({FILE}), frozenset({3}), None),
        Made(frozenset({X}), frozenset({4}), None),
        Made(frozenset({Y}), frozenset({5}), None),
        Made(frozenset({3}), frozenset({6}), None),
        Made(frozenset({5}), frozenset({7}), None),
    ]
    linked = [Linked(FILE, "contains", X), Linked(FILE, "contains", Y)]
    assert _used_of_x(graph, linked, X) == {0, 1, 3}
    assert _used_of_x(graph, linked, FILE) == {0, 1, 2, 3, 4}
    assert _used_of_x(graph, linked, Y) == {0, 2, 3, 4}


@pytest.mark.parametrize("how", HOW)
def test_slices_that_have_rows_in_common_are_not_strangers(tmp_path: Path, how: str) -> None:
    """Rows 0 to 9 reach 5 to 14, and not 10 to 19."""
    graph = [Made(frozenset({number}), frozenset({number + 4}), None) for number in range(1, 4)]
    rows = content(graph, linked=[Linked(0, "contains", number) for number in range(1, 4)])
    of = digest(0)
    rows["slice_members"] = [
        (digest(1), f'{{"of":"{of}","rows":[[0,10]]}}'),
        (digest(2), f'{{"of":"{of}","rows":[[30,40],[5,15]]}}'),
        (digest(3), f'{{"of":"{of}","rows":[[10,20]]}}'),
    ]
    site = ASite(tmp_path / "site").take(rows)
    with open_index(site.path) as db, _walking(db, how):
        reached = [
            sorted(one.execution for one in impact(db, subject(db, digest(n))).executions)
            for n in (1, 3)
        ]
    assert reached == [
        [an_id("exec", 0).hex(), an_id("exec", 1).hex()],
        [an_id("exec", 1).hex(), an_id("exec", 2).hex()],
    ]


def _of(site: ASite) -> Lineage:
    """Return what came of the first artifact, by the graph if there is a good one."""
    with open_index(site.path) as db, _walking(db, "index"):
        return lineage(db, subject(db, digest(0)), Way.DOWN)


def test_a_graph_is_never_older_than_the_answer(tmp_path: Path) -> None:
    """What a merge brings is reached, too; so it is after the index was made anew."""
    chain = [Made(frozenset({i}), frozenset({i + 1}), None) for i in range(4)]
    site = ASite(tmp_path / "site").take(content(chain[:2]))
    with open_index(site.path) as db:
        assert keep(db)
    assert len(_of(site).executions) == 2
    site.take(content(chain))
    assert len(_of(site).executions) == 4
    with open_index(site.path) as db:
        assert keep(db)
    before = _found(_of(site))
    reindex(site.path)
    assert _found(_of(site)) == before


@pytest.mark.parametrize("damage", [b"", b"cmfg\n", b"cmfg\n" + b"\xff" * 100, None])
def test_a_graph_that_is_damaged_is_passed_over(tmp_path: Path, damage: bytes | None) -> None:
    """Cut off, overwritten, or somebody else's: the index answers."""
    chain = [Made(frozenset({i}), frozenset({i + 1}), None) for i in range(3)]
    site = ASite(tmp_path / "site").take(content(chain))
    with open_index(site.path) as db:
        assert keep(db)
    file = site.path / GRAPH
    file.unlink() if damage is None else file.write_bytes(damage)
    assert len(_of(site).executions) == 3


def test_a_large_answer_makes_the_graph_that_it_is_asked_of(tmp_path: Path) -> None:
    """The file appears by itself, and what is asked next is answered by it alike."""
    n = 600
    fan = [Made(frozenset({0}), frozenset({i}), None) for i in range(1, n + 1)]
    fan.append(Made(frozenset(range(1, n + 1)), frozenset({n + 1}), None))
    site = ASite(tmp_path / "site").take(content(fan))
    first = _of(site)
    assert (site.path / GRAPH).exists()
    assert _found(_of(site)) == _found(first)
    assert len(first.executions) == n + 1


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("said", [False, True], ids=["requeued", "said"])
def test_what_goes_on_from_another_is_shown_as_that(
    tmp_path: Path, *, how: str, said: bool
) -> None:
    """A job that began again, or a program that says so: both ways, in words, and no data edge."""
    graph = [
        Made(frozenset({0}), frozenset(), None),
        Made(frozenset(), frozenset({1}), None, 0 if said else None),
    ]
    rows = content(graph)
    if not said:
        origin = an_id("proc", 1)
        rows["run"] = [(*run[:5], "17", i, *run[7:]) for i, run in enumerate(rows["run"])]
        rows["run"] = [(*run[:7], "ann", *run[8:]) for run in rows["run"]]
        rows["execution"] = [(*one[:6], "train", *one[7:]) for one in rows["execution"]]
        rows["fact"] = [
            (run[0], key, T0_NS, origin, kind, value)
            for i, run in enumerate(rows["run"])
            for key, kind, value in (("slurm.job", "str", "17"), ("slurm.restart", "int", i))
        ]
    site = ASite(tmp_path / "site").take(rows)
    with open_index(site.path) as db, _walking(db, how):
        down = lineage(db, subject(db, digest(0)), Way.DOWN)
        up = lineage(db, subject(db, digest(1)), Way.UP)
    after = "" if said else " after a restart"
    for answer, last, words in (
        (down, 1, f"continued{after} by: "), (up, 0, f"continues{after}: "),
    ):  # fmt: skip
        assert {one.digest for one in answer.artifacts} == {digest(0), digest(1)}
        assert [one.depth for one in answer.executions] == [1, 2]
        assert _found(answer)[digest(last)] == 2
        assert any(words in line for line in tree_lines(answer))
    (one,) = up.continued
    assert (one.is_restart, one.earlier) == (not said, an_id("exec", 0).hex())


def _but_paths(answer: Impact) -> tuple[object, ...]:
    """Return what is the same whichever of several shortest paths was taken."""
    return (
        [one.execution for one in answer.executions], {one.digest for one in answer.artifacts},
        answer.kinds, answer.users, answer.pipelines, answer.nodes, answer.runs,
        (answer.n_executions, answer.n_artifacts, answer.n_runs),
    )  # fmt: skip


def test_a_graph_knows_of_all_what_the_index_says_of_each(tmp_path: Path) -> None:
    """Users, nodes, pipelines, runs, and kinds: of content that was written as several, too."""
    graph = [
        Made(frozenset({0}), frozenset({1, 2}), None),
        Made(frozenset({1}), frozenset({2, 3}), None),
        Made(frozenset({2}), frozenset({3, 4}), None),
        Made(frozenset({4}), frozenset({5}), None),
    ]
    rows = content(graph, linked=[Linked(5, "contains", 6), Linked(7, "contains", 5)])
    kinds = ("model", "dataset", "metrics", "model", "figure", "model")
    rows["event"] = [
        (*event[:6], kinds[(int(str(event[3])[1:]) + i) % 6], *event[7:])
        for i, event in enumerate(rows["event"])
    ]
    rows["execution"] = [
        (*one[:5], f"p{i % 2}", *one[6:]) for i, one in enumerate(rows["execution"])
    ]
    rows["process"] += [
        (one[0], an_id("more", i), *one[2:7], f"n{i + 2}", *one[8:])
        for i, one in enumerate(rows["process"][:2])
    ]
    site = ASite(tmp_path / "site").take(rows)
    with open_index(site.path) as db:
        answers = []
        for how in ("few", "index", "graph"):
            with _walking(db, how):
                answers.append(
                    [
                        impact(db, subject(db, digest(n)), limit=limit)
                        for n in (0, 2, 4, 6)
                        for limit in (-1, 2)
                    ]
                )
    few, index, from_graph = ([_but_paths(one) for one in some] for some in answers)
    assert few == index == from_graph
    every = answers[0][0]
    assert (len(every.kinds), len(every.nodes), len(every.users), len(every.pipelines)) >= (
        3,
        2,
        2,
        2,
    )
    assert sum(every.kinds.values()) == every.n_artifacts == 7
