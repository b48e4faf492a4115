"""Whatever an export of CMF's or a store of ML Metadata holds, nothing of it is lost."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmfd.formats.cmf import document
from cmfd.formats.mlmd import sqlite
from cmfd.formats.mlmd.graph import Artifact, Context, Event, Execution, Graph

NAMES = st.text("abcdefg/:. -", min_size=1, max_size=6)
PIPELINES = NAMES.filter(lambda name: "/" not in name)
TIMES = st.integers(0, 2**42)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
STORED = st.one_of(
    TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans()
)
VALUES = st.one_of(STORED, st.none(), st.integers(), st.floats())


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Make an export: artifacts go into and out of several executions, numbers are distinct."""
    count = iter(range(1, 1000))

    def node(name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name, "id": next(count), "type": draw(NAMES), "type_id": draw(TIMES),
            "create_time_since_epoch": draw(TIMES), "last_update_time_since_epoch": draw(TIMES),
            "properties": draw(st.dictionaries(NAMES, VALUES, max_size=2)),
            "custom_properties": draw(st.dictionaries(NAMES, VALUES, max_size=2)), **more,
        }  # fmt: skip

    artifacts = [
        node(f"a{number}", uri=f"{number:032x}") for number in range(draw(st.integers(0, 3)))
    ]
    events = st.lists(st.tuples(st.integers(1, 7), st.sampled_from(artifacts)), max_size=3)

    def execution() -> dict[str, Any]:
        made = node(draw(st.sampled_from(["", "named"])))
        said = draw(events) if artifacts else []
        made["properties"]["Execution_uuid"] = str(uuid.UUID(int=made["id"]))
        return {**made, "events": [{"type": type_, "artifact": one} for type_, one in said]}

    def stage(pipeline: str, number: int) -> dict[str, Any]:
        executions = [execution() for _ in range(draw(st.integers(0, 2)))]
        name = f"{pipeline}/s{number}"
        # As CMF, the latest first.
        return {**node(name), "type": "Pipeline_Stage", "executions": executions[::-1]}

    return {
        "Pipeline": [
            {
                **node(name), "type": "Parent_Context",
                "stages": [stage(name, number) for number in range(draw(st.integers(0, 2)))],
            }
            for name in draw(st.lists(PIPELINES, unique=True, max_size=2))
        ]
    }  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=25)  # a file each
@given(documents())
def test_an_export_is_read_and_written_as_it_is(said: dict[str, Any]) -> None:
    """All values, all keys that are not known, all orders."""
    graph = document.read(json.dumps(said), "a file")
    written = document.write(graph)
    assert json.dumps(written, sort_keys=True) == json.dumps(said, sort_keys=True)
    assert json.dumps(json.loads(b"".join(document.parts(graph)))) == json.dumps(written)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Make what a store may hold."""
    graph = Graph()

    def common(number: int) -> dict[str, Any]:
        return {
            "id": number, "name": draw(st.sampled_from(["", f"n{number}"])),
            "type": draw(st.sampled_from(["t", "u"])), "created_ms": draw(TIMES),
            "updated_ms": draw(TIMES),
            "properties": draw(st.dictionaries(NAMES, STORED, max_size=2)),
            "custom": draw(st.dictionaries(NAMES, STORED, max_size=2)),
        }  # fmt: skip

    contexts: list[str] = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        own = {**common(number), "name": f"c{number}", "parents": contexts[-1:]}
        contexts.append(graph.add(Context(**own)))
    artifacts = [
        graph.add(Artifact(**common(number), uri=draw(NAMES), contexts=contexts[:1]))
        for number in range(1, draw(st.integers(0, 3)) + 1)
    ]
    for number in range(1, draw(st.integers(0, 2)) + 1):
        path = draw(st.lists(st.one_of(NAMES, st.integers(0, 9)), max_size=2))
        events = [
            Event(artifact=ref, type=draw(st.integers(1, 7)), at_ms=draw(TIMES), path=path)
            for ref in artifacts
        ]
        state = draw(st.integers(0, 6))
        graph.add_execution(
            Execution(**common(number), contexts=contexts[-1:], events=events, state=state)
        )
    return graph


@pytest.mark.slow
@settings(deadline=None, max_examples=25)  # a file each
@given(graphs())
def test_a_store_is_written_and_read_as_it_is(graph: Graph) -> None:
    """Nodes, edges and paths, and values of the types that a store has."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "store")
        sqlite.write(graph, path)
        found = sqlite.read(path)
    assert (found.contexts, found.artifacts, found.executions) == (
        graph.contexts, graph.artifacts, graph.executions
    )  # fmt: skip
    assert found.places == graph.places
