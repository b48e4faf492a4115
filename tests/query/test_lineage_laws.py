"""Lineage against a graph in plain Python, on made-up sites."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support.graphs import T0_NS, Made, Node, content, digest, distances, graphs
from support.packs import an_id
from support.sites import ASite

from cmfd.query.impact import impact
from cmfd.query.index import open_index
from cmfd.query.lineage import Lineage, lineage
from cmfd.query.subject import subject
from cmfd.query.walk import Way

if TYPE_CHECKING:
    from collections.abc import Sequence


def _name(node: Node) -> str:
    return digest(node[1]) if node[0] == "a" else an_id("exec", node[1]).hex()


def _expected(graph: Sequence[Made], start: Node, *, down: bool, last: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for node, far in distances(graph, start, down=down, last=last).items():
        found[_name(node)] = min(far, found.get(_name(node), far))
    return found


def _starts(graph: Sequence[Made]) -> list[Node]:
    used = {one for made in graph for one in made.inputs | made.outputs}
    return [("a", one) for one in sorted(used)] + [("x", i) for i in range(len(graph))]


def _found(answer: Lineage) -> dict[str, int]:
    return {one.digest: one.depth for one in answer.artifacts} | {
        one.execution: one.depth for one in answer.executions
    }


@settings(max_examples=40, deadline=None)
@given(graphs(), st.data())
def test_lineage_is_what_the_graph_says(graph: list[Made], data: st.DataObject) -> None:
    """The same nodes at the same distances, each by a path that is there."""
    start = data.draw(st.sampled_from(_starts(graph)))
    down = data.draw(st.booleans())
    depth = data.draw(st.none() | st.integers(0, 3))
    # An outer execution began before those in it, so that a time never cuts one from another.
    last = data.draw(st.integers(1, len(graph))) if start[0] == "a" else len(graph)
    expected = _expected(graph, start, down=down, last=last)
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory, "site")).take(content(graph))
        with open_index(site.path) as db:
            answer = lineage(
                db, subject(db, _name(start)), Way.DOWN if down else Way.UP, depth=depth,
                until_ns=T0_NS + last - 1,
            )  # fmt: skip

    found = _found(answer)
    within = {name: far for name, far in expected.items() if depth is None or far <= depth}
    assert found == within
    _check_paths(graph, answer, down=down)


def _check_paths(graph: Sequence[Made], answer: Lineage, *, down: bool) -> None:
    """Follow each node's `via`: a real step, and never farther away."""
    depths = _found(answer)
    edges = {(one.execution, one.digest, one.direction) for one in answer.edges}
    into, out_of = ("input", "output") if down else ("output", "input")
    for artifact in answer.artifacts:
        if artifact.via is not None:
            assert (artifact.via, artifact.digest, out_of) in edges
            assert depths[artifact.via] == artifact.depth
    numbers = {an_id("exec", i).hex(): i for i in range(len(graph))}
    for execution in answer.executions:
        via = execution.via
        if via is None:
            continue
        if via in numbers:
            one, other = numbers[via], numbers[execution.execution]
            assert _outers(graph, other) & {one} or _outers(graph, one) & {other}
        else:
            assert (execution.execution, via, into) in edges
            assert depths[via] == execution.depth - 1


def _outers(graph: Sequence[Made], number: int) -> set[int]:
    found = set()
    outer = graph[number].outer
    while outer is not None:
        found.add(outer)
        outer = graph[outer].outer
    return found


@settings(max_examples=40, deadline=None)
@given(graphs(), st.data())
def test_impact_names_everything_once_and_how_it_was_reached(
    graph: list[Made], data: st.DataObject
) -> None:
    """All executions, artifacts, users and runs; every path begins with the artifact."""
    start = data.draw(st.sampled_from(_starts(graph)))
    expected = _expected(graph, start, down=True, last=len(graph)).keys() - {_name(start)}
    numbers = {an_id("exec", i).hex(): i for i in range(len(graph))}
    reached = sorted((numbers[name] for name in expected if name in numbers), reverse=True)
    with tempfile.TemporaryDirectory() as directory:
        site = ASite(Path(directory, "site")).take(content(graph))
        with open_index(site.path) as db:
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
    assert (newest.n_executions, newest.users) == (answer.n_executions, answer.users)
