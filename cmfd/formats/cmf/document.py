"""
CMF's JSON of pipelines: what `cmf metadata export` writes, and what its server takes and gives.

A pipeline has stages, a stage executions, an execution events, and each event its artifact in
full. Numbers are those of one file. Floats may be NaN or infinite, as Python's JSON has them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.errors import FormatError
from cmfd.formats.mlmd.graph import (
    PIPELINE,
    STAGE,
    Artifact,
    Context,
    Event,
    Execution,
    Graph,
    Node,
    contexts_of,
)
from cmfd.formats.mlmd.numbers import numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.formats.mlmd.graph import Kind

_KEPT = frozenset((
    "id", "type", "name", "uri", "create_time_since_epoch", "last_update_time_since_epoch",
    "properties", "custom_properties", "stages", "executions", "events",
))  # fmt: skip


class _Node(msgspec.Struct):
    type: str = ""
    name: str = ""
    id: int = 0
    create_time_since_epoch: int = 0
    last_update_time_since_epoch: int = 0
    properties: dict[str, Any] = {}
    custom_properties: dict[str, Any] = {}


class _Artifact(_Node):
    uri: str = ""


class _Event(msgspec.Struct):
    type: int
    artifact: _Artifact


class _Execution(_Node):
    events: list[_Event] = []


class _Stage(_Node):
    executions: list[_Execution] = []


class _Pipeline(_Node):
    stages: list[_Stage] = []


class _Document(msgspec.Struct):
    pipelines: list[_Pipeline] = msgspec.field(name="Pipeline")


def read(text: str | bytes, where: str) -> Graph:
    """
    Read a document.

    Parameters
    ----------
    text : str or bytes
        JSON.
    where : str
        What it is called in errors.

    Raises
    ------
    FormatError
        It is no such document; the message says where.
    """
    try:
        said = json.loads(text)
        found = msgspec.convert(said, _Document)
        if "\\ud" in (text.decode() if isinstance(text, bytes) else text).lower():
            json.dumps(said, ensure_ascii=False).encode()  # half a character is none
        graph = Graph()
        for pipeline, its in zip(found.pipelines, said["Pipeline"], strict=True):
            _take_pipeline(graph, pipeline, its)
    except json.JSONDecodeError as error:
        raise _no_document(
            where, f"line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise _no_document(where, str(error)) from error
    return graph


def _no_document(where: str, problem: str) -> FormatError:
    return FormatError(
        f"{where} is no export of CMF's: {problem}. Nothing of it was taken in. "
        "`cmf metadata export` writes one; of a store, an SQLite file: cmfd import mlmd"
    )


def _take_pipeline(graph: Graph, pipeline: _Pipeline, its: Any) -> None:
    outer = graph.add(Context(**_common(pipeline, its, PIPELINE)))
    for stage, said in zip(pipeline.stages, its.get("stages", ()), strict=True):
        inner = graph.add(Context(**_common(stage, said, STAGE), parents=[outer]))
        for execution, told in zip(stage.executions, said.get("executions", ()), strict=True):
            graph.add_execution(
                Execution(
                    **_common(execution, told),
                    contexts=[inner],
                    events=[*_events(graph, execution, told)],
                )
            )


def _events(graph: Graph, execution: _Execution, said: Any) -> Iterator[Event]:
    for event, told in zip(execution.events, said.get("events", ()), strict=True):
        one = event.artifact
        artifact = Artifact(**_common(one, told["artifact"]), uri=one.uri)
        yield Event(artifact=graph.add(artifact), type=event.type)


def _common(node: _Node, said: Any, type_: str = "") -> dict[str, Any]:
    return {
        "type": node.type or type_,
        "name": node.name,
        "id": node.id,
        "created_ms": node.create_time_since_epoch,
        "updated_ms": node.last_update_time_since_epoch,
        "properties": node.properties,
        "custom": node.custom_properties,
        "extra": {key: value for key, value in said.items() if key not in _KEPT},
    }


def write(graph: Graph, pipelines: Iterable[str] = ()) -> dict[str, Any]:
    """
    Return the document of a graph.

    Parameters
    ----------
    graph : Graph
        With `places`; contexts that are none of CMF's are left out.
    pipelines : iterable of str
        Which; all if none is named.

    Returns
    -------
    dict
        For JSON. Numbers are those of the file that all of it came from, else new ones.
    """
    return _Writer(graph).document(frozenset(pipelines))


def parts(graph: Graph, pipelines: Iterable[str] = ()) -> Iterator[bytes]:
    """Yield the document that `write` returns as JSON, an execution at a time."""
    writer = _Writer(graph)
    yield b'{"Pipeline": ['
    for n_before, (ref, pipeline) in enumerate(writer.pipelines(frozenset(pipelines))):
        yield _opened(writer.said_of(ref, pipeline), "stages", n_before)
        for n_stages, (its, stage) in enumerate(writer.stages(ref)):
            yield _opened(writer.said_of(its, stage), "executions", n_stages)
            for n_executions, one in enumerate(writer.executions_in(its, pipeline.name, stage)):
                yield (",\n" if n_executions else "\n").encode() + json.dumps(one).encode()
            yield b"]}"
        yield b"]}"
    yield b"]}\n"


def _opened(said: dict[str, Any], last: str, n_before: int) -> bytes:
    """Return something as JSON up to where a list begins, which is its last."""
    begun = json.dumps(said).removesuffix("}")
    return f'{"," if n_before else ""}\n{begun}, "{last}": ['.encode()


class _Writer:
    """Numbers, and what has them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        for place in graph.places.values():
            for context in contexts_of(*place):
                graph.contexts.setdefault(context.ref, context)
        self.contexts = numbers(graph.contexts)
        self.artifacts = numbers(graph.artifacts)
        self.executions = numbers(graph.executions)
        self.types = {(one.kind, one.key): one.id for one in graph.types.values() if one.id}

    def document(self, wanted: frozenset[str]) -> dict[str, Any]:
        """Return the whole."""
        return {"Pipeline": [self._pipeline(ref, one) for ref, one in self.pipelines(wanted)]}

    def pipelines(self, wanted: frozenset[str]) -> list[tuple[str, Context]]:
        """Return pipelines in their order, all if none is wanted."""
        found = [
            (ref, one)
            for ref, one in self.graph.contexts.items()
            if one.type == PIPELINE and (not wanted or one.name in wanted)
        ]
        found.sort(key=lambda item: self.contexts[item[0]])
        return found

    def _pipeline(self, ref: str, pipeline: Context) -> dict[str, Any]:
        stages = [
            {
                **self.said_of(its, one),
                "executions": [*self.executions_in(its, pipeline.name, one)],
            }
            for its, one in self.stages(ref)
        ]
        return {**self.said_of(ref, pipeline), "stages": stages}

    def stages(self, pipeline: str) -> list[tuple[str, Context]]:
        """Return the stages of a pipeline in their order."""
        inner = [
            (its, one)
            for its, one in self.graph.contexts.items()
            if one.type == STAGE and pipeline in one.parents
        ]
        inner.sort(key=lambda item: self.contexts[item[0]])
        return inner

    def said_of(self, ref: str, context: Context) -> dict[str, Any]:
        """Return a pipeline or stage without what is in it."""
        return self._said("context", context, self.contexts[ref])

    def executions_in(self, ref: str, pipeline: str, stage: Context) -> Iterator[dict[str, Any]]:
        """Yield the executions of a stage."""
        place = (pipeline, stage.name.removeprefix(f"{pipeline}/"))
        refs = [one for one in self.graph.executions if self.graph.places[one] == place]
        refs.sort(key=self.executions.__getitem__, reverse=True)  # as CMF, the latest first
        return (self._execution(one, ref) for one in refs)

    def _execution(self, ref: str, stage: str) -> dict[str, Any]:
        execution = self.graph.executions[ref]
        said = self._said("execution", execution, self.executions[ref])
        around = [
            self.contexts[one] for one in self.graph.contexts[stage].parents if one in self.contexts
        ]
        own = {"Context_ID": self.contexts[stage], "Pipeline_id": around[0]}
        said["properties"] = {
            key: own.get(key, value) for key, value in execution.properties.items()
        }
        events = [
            {"type": one.type, "artifact": self._artifact(one.artifact)}
            for one in execution.events
            if one.artifact in self.graph.artifacts
        ]
        return {**said, "name": execution.name, "events": events}

    def _artifact(self, ref: str) -> dict[str, Any]:
        artifact = self.graph.artifacts[ref]
        said = self._said("artifact", artifact, self.artifacts[ref])
        return {**said, "uri": artifact.uri} if artifact.uri else said

    def _said(self, kind: Kind, node: Node, number: int) -> dict[str, Any]:
        named = {"name": node.name} if node.name else {}
        type_id = self.types.get((kind, node.type))
        typed = {} if type_id is None else {"type_id": type_id}
        return {
            **typed,
            **node.extra,
            **named,
            "id": number,
            "type": node.type,
            "create_time_since_epoch": node.created_ms,
            "last_update_time_since_epoch": node.updated_ms,
            "properties": node.properties,
            "custom_properties": node.custom,
        }
