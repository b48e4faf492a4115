"""What a site has, by the numbers that programs written for CMF use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.compat import nodes
from cmfd.formats.mlmd.graph import INPUTS, PIPELINE, STAGE, contexts_of

if TYPE_CHECKING:
    from cmfd.formats.mlmd.graph import Graph

    Edges = dict[int, list[int]]


class Numbered(Mapping[int, nodes.Node]):
    """
    Nodes of one kind by their numbers.

    Each is made when it is asked for, and is a new one every time: programs change what they get.
    """

    def __init__(self, refs: Mapping[str, Any], make: Callable[[str], nodes.Node]) -> None:
        self.refs = {nodes.number_of(ref): ref for ref in refs}
        self._make = make

    def __getitem__(self, number: int) -> nodes.Node:
        return self._make(self.refs[number])

    def __iter__(self) -> Iterator[int]:
        return iter(self.refs)

    def __len__(self) -> int:
        return len(self.refs)


class Answers:
    """
    All that questions are answered from.

    Parameters
    ----------
    source : Graph
        What the site has; it is not changed.
    """

    def __init__(self, source: Graph) -> None:
        self.source = source
        self.graph = graph = msgspec.structs.replace(source, contexts=dict(source.contexts))
        for place in set(graph.places.values()):
            for context in contexts_of(*place):
                graph.contexts.setdefault(context.ref, context)
        self.contexts = Numbered(graph.contexts, self._context)
        self.executions = Numbered(graph.executions, self._execution)
        self.artifacts = Numbered(graph.artifacts, self._artifact)
        self.read: Edges = defaultdict(list)
        self.written: Edges = defaultdict(list)
        self.readers: Edges = defaultdict(list)
        self.writers: Edges = defaultdict(list)
        self._in_context: dict[str, list[str]] = defaultdict(list)
        for ref, number in zip(graph.executions, self.executions, strict=True):
            one = graph.executions[ref]
            for around in dict.fromkeys(one.contexts):
                self._in_context[around].append(ref)
            for event in one.events:
                used = nodes.number_of(event.artifact)
                is_input = event.type in INPUTS
                (self.read if is_input else self.written)[number].append(used)
                (self.readers if is_input else self.writers)[used].append(number)
        self._named: dict[str, str] = {}
        for ref, artifact in graph.artifacts.items():
            self._named.setdefault(artifact.name, ref)

    def _context(self, ref: str) -> nodes.Node:
        return nodes.Context(self.graph.contexts[ref], ref)

    def _execution(self, ref: str) -> nodes.Node:
        """Return an execution with the numbers that its pipeline and stage have here."""
        found = nodes.Execution(self.graph.executions[ref], ref)
        outer, inner = contexts_of(*self.graph.places[ref])
        found.properties["Pipeline_id"] = nodes.Value(nodes.number_of(outer.ref))
        found.properties["Context_ID"] = nodes.Value(nodes.number_of(inner.ref))
        return found

    def _artifact(self, ref: str) -> nodes.Node:
        return nodes.Artifact(self.graph.artifacts[ref], ref)

    def pipelines(self, name: str | None = None) -> list[nodes.Node]:
        """Return the pipelines, or those of a name."""
        return [
            self._context(ref) for ref, one in self.graph.contexts.items()
            if one.type == PIPELINE and name in (None, one.name)
        ]  # fmt: skip

    def stages(self, pipeline: int) -> list[nodes.Node]:
        """Return the stages of a pipeline."""
        return [
            self._context(ref) for ref, one in self.graph.contexts.items()
            if one.type == STAGE and pipeline in map(nodes.number_of, one.parents)
        ]  # fmt: skip

    def stage(self, name: str) -> nodes.Node | None:
        """Return a stage by its name, with the pipeline's before it."""
        every = self.graph.contexts.items()
        found = (ref for ref, one in every if (one.type, one.name) == (STAGE, name))
        ref = next(found, None)
        return None if ref is None else self._context(ref)

    def executions_in(self, stage: nodes.Node) -> list[nodes.Node]:
        """Return the executions of a stage, the latest first."""
        known = self.graph.executions
        refs = self._in_context.get(stage.ref, ())
        return [
            self._execution(ref)
            for ref in sorted(refs, key=lambda ref: known[ref].created_ms, reverse=True)
        ]

    def artifacts_of(self, execution: int) -> Iterator[tuple[str, nodes.Node]]:
        """Yield what goes into an execution, and what comes out of it."""
        for event, some in (("INPUT", self.read), ("OUTPUT", self.written)):
            for number in some[execution]:
                if number in self.artifacts:
                    yield event, self.artifacts[number]

    def named(self, name: str) -> nodes.Node | None:
        """Return an artifact by its name."""
        ref = self._named.get(name.strip())
        return None if ref is None else self._artifact(ref)
