"""
What a store of ML Metadata holds, into a site: an execution becomes a run with one execution.

The rows are what a process would have said. Besides, each context, artifact and execution is kept
as it stood there, in a fact: the last word counts, so that a later state of a store replaces an
earlier one, in whatever order they come. Exports are made of those facts.

What cmfd recorded and gave out comes back as a copy, under the id of what it is a copy of. All that
is said of it is bound to that id, and no content where the execution itself is: see
`cmfd/store/sql/site/absorb.sql`.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from cmfd.client.values import typed
from cmfd.errors import NotFoundError
from cmfd.formats.ingested import Ingested, imported_origin
from cmfd.formats.mlmd.graph import INPUTS, KEY, Artifact, Event, Execution, Graph, Kept
from cmfd.identity import uuid5
from cmfd.merge.additions import add_rows
from cmfd.merge.layout import init_site
from cmfd.model import ArtifactKind, Direction, Status
from cmfd.query.index import open_index
from cmfd.store.columns import encode
from cmfd.store.connection import named
from cmfd.store.rows import storable

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_ORIGIN = imported_origin(1)
_NS = 1_000_000  # in a millisecond
_STEP = "mlmd"
_STATES = {2: Status.RUNNING, 4: Status.FAILED, 6: Status.CANCELLED}
"""`Execution.State` in MLMD's proto; whatever else it says, or nothing, is over and done."""
_KINDS = {
    "dataset": ArtifactKind.DATASET, "examples": ArtifactKind.DATASET, "model": ArtifactKind.MODEL,
    "metrics": ArtifactKind.METRICS, "step_metrics": ArtifactKind.METRICS,
    "modelevaluation": ArtifactKind.METRICS, "dataslice": ArtifactKind.DATASLICE,
    "environment": ArtifactKind.ENVIRONMENT, "label": ArtifactKind.LABEL,
}  # fmt: skip
"""By the type's name in lower case; of other types, ``other``."""


class _Known(NamedTuple):
    """What the site has."""

    facts: dict[tuple[bytes, str], tuple[int, str]]
    own: frozenset[str]

    def state_of(self, subject: bytes, kind: str, at_ns: int, value: str) -> str:
        found = self.facts.get((subject, KEY + kind))
        if found is None:
            return "new"
        return "known" if found >= (at_ns, value) else "changed"


def ingest(site_dir: Path, graph: Graph) -> list[Ingested]:
    """
    Put a graph into a site, and merge it.

    Parameters
    ----------
    site_dir : Path
        The site; made one if it is none yet.
    graph : Graph
        What was read of a file.

    Returns
    -------
    list of Ingested
        Each execution.

    Raises
    ------
    StoreError
        The site cannot be written; nothing was taken in.
    IncompleteError
        What was taken in waits in the inbox for a merge.
    """
    init_site(site_dir)
    known = _known(site_dir, graph)
    rows = _Rows(graph, known)
    done = [rows.add(ref, one) for ref, one in graph.executions.items()]
    rows.add_rest()
    if rows.some["fact"]:
        add_rows(site_dir, rows.some)
    return done


def _known(site_dir: Path, graph: Graph) -> _Known:
    uuids = [one.uuid.replace("-", "") for one in graph.executions.values() if one.uuid]
    queries = named("query/mlmd")
    try:
        with open_index(site_dir) as db:
            facts = {
                (bytes.fromhex(subject), key): (at_ns, value)
                for subject, key, at_ns, value in db.execute(queries["records"])
            }
            own = {uuid for uuid in uuids if _is_own(db, queries["execution"], uuid)}
    except NotFoundError:
        return _Known({}, frozenset())
    return _Known(facts, frozenset(own))


def _is_own(db: sqlite3.Connection, query: str, uuid: str) -> bool:
    return db.execute(query, {"execution": bytes.fromhex(uuid)}).fetchone() is not None


class _Rows:
    """Rows by table, of what the site does not have yet."""

    def __init__(self, graph: Graph, known: _Known) -> None:
        self.graph, self.known = graph, known
        self.uid = os.getuid()
        self.series: set[tuple[bytes, int]] = set()
        self.some: dict[str, list[tuple[Any, ...]]] = {
            table: [] for table in (
                "run", "run_end", "execution", "execution_end", "param", "fact", "artifact",
                "event", "environment", "execution_environment", "series", "chunk",
            )
        }  # fmt: skip

    def add(self, ref: str, one: Execution) -> Ingested:
        """Add an execution, unless it is known as it is."""
        pipeline, stage = self.graph.places[ref]
        state = self._state(ref, one)
        if state in ("new", "changed"):
            self._add(ref, one, pipeline, stage)
        return Ingested(execution=ref, pipeline=pipeline, stage=stage, state=state)

    def _state(self, ref: str, one: Execution) -> str:
        if one.uuid.replace("-", "") in self.known.own:
            return "own"
        if one.is_copy:  # what is said of it goes when it comes itself: see absorb.sql
            return self._fact("execution", ref, self._with_all(one), self._last_ms(one))
        apart = uuid5(bytes.fromhex(ref), "mlmd").hex()  # not among what people see of it
        return self._fact("execution", apart, one, self._last_ms(one))

    def _with_all(self, one: Execution) -> Kept:
        """Return a copy with what it belongs to and uses."""
        refs = {parent for ref in one.contexts for parent in self.graph.contexts[ref].parents}
        refs.update(one.contexts)
        used = {event.artifact for event in one.events}
        said = {name: getattr(one, name) for name in Execution.__struct_fields__}
        return Kept(
            **said,
            around_contexts=[self.graph.contexts[ref] for ref in sorted(refs)],
            around_artifacts=[self.graph.artifacts[ref] for ref in sorted(used)],
        )

    def _last_ms(self, one: Execution) -> int:
        """Return when the last thing was said of an execution: events do not count as its own."""
        of_artifacts = (self.graph.artifacts[event.artifact].made_ms for event in one.events)
        of_events = (event.at_ms for event in one.events)
        return max(one.said_ms, one.made_ms, *of_artifacts, *of_events, 0)

    def add_rest(self) -> None:
        """Add contexts, artifacts and types as they stand there."""
        of_copies = self._used(copies=True) - self._used(copies=False)
        kinds: dict[str, dict[str, Any]] = {
            "context": self.graph.contexts, "artifact": self.graph.artifacts
        }  # fmt: skip
        for kind, nodes in kinds.items():
            for ref, node in nodes.items():
                if ref not in of_copies:
                    self._fact(kind, ref, node, node.said_ms)
        for ref, type_ in self.graph.types.items():
            self._fact("type", ref, type_, 0)

    def _used(self, *, copies: bool) -> set[str]:
        """Return what copies belong to and use, or the other executions."""
        found: set[str] = set()
        for one in self.graph.executions.values():
            if one.is_copy is copies:
                found.update(one.contexts, (event.artifact for event in one.events))
                for ref in one.contexts:
                    found.update(self.graph.contexts[ref].parents)
        return found

    def _fact(self, kind: str, ref: str, record: msgspec.Struct, at_ms: int) -> str:
        """Add what is said of something, if that is news."""
        subject, at_ns, value = bytes.fromhex(ref), at_ms * _NS, to_text(record)
        state = self.known.state_of(subject, kind, at_ns, value)
        if state != "known":
            self.some["fact"].append((subject, KEY + kind, at_ns, _ORIGIN, "json", value))
        return state

    def _add(self, ref: str, one: Execution, pipeline: str, stage: str) -> None:
        execution = bytes.fromhex(ref)
        run = execution if one.is_copy else uuid5(execution, "run")
        at_ns, end_ns = one.made_ms * _NS, max(one.said_ms, one.made_ms) * _NS
        command = str(one.properties.get("Execution", ""))
        put = self._put
        put("run", run, at_ns, _ORIGIN, self.uid, "", "", 0, "", stage, command, "")
        put("execution", execution, at_ns, _ORIGIN, run, None, pipeline, stage, _STEP)
        status = _STATES.get(one.state, Status.COMPLETED)
        if status is not Status.RUNNING:
            put("run_end", run, end_ns, _ORIGIN, status.value, None, None)
            put("execution_end", execution, end_ns, _ORIGIN, status.value, None, None)
        for key, value in one.custom.items():
            kind, stored = typed(value)
            value_type, at = kind.value, _ORIGIN
            put("param", execution, key, value_type, storable(value_type, stored), end_ns, at, 0)
        self._environment(execution, one, at_ns, command)
        for event in one.events:
            self._event(execution, event, at_ns, is_copy=one.is_copy)

    def _put(self, table: str, *row: Any) -> None:
        self.some[table].append(row)

    def _environment(self, execution: bytes, one: Execution, at_ns: int, command: str) -> None:
        """Add the code's version, which CMF keeps among its properties."""
        told = {"commit": "Git_Start_Commit", "remote": "Git_Repo"}
        code = {key: one.properties[its] for key, its in told.items() if one.properties.get(its)}
        if not code and not command:
            return
        document = json.dumps({"command": {"text": command}, "code": code}, sort_keys=True)
        name = f"mlmd:{uuid5(_ORIGIN, document).hex()}"
        digest = f"copy:{execution.hex()}" if one.is_copy else name
        self._put("environment", digest, document)
        self._put("execution_environment", execution, at_ns, _ORIGIN, digest)

    def _event(self, execution: bytes, event: Event, began_ns: int, *, is_copy: bool) -> None:
        artifact = self.graph.artifacts[event.artifact]
        direction = Direction.INPUT if event.type in INPUTS else Direction.OUTPUT
        # CMF tells no times of events; content is there before it is read.
        at_ns = event.at_ms * _NS or max(began_ns, artifact.made_ms * _NS)
        kind = _KINDS.get(artifact.type.lower(), ArtifactKind.OTHER)
        said = json.dumps(artifact.custom, default=str) if artifact.custom else ""
        if not is_copy:  # of which a site that has the execution itself keeps nothing
            self._put("artifact", artifact.digest, "", -1, 1)
        self._put(
            "event", execution, direction.value, artifact.digest, path_of(artifact), at_ns,
            _ORIGIN, kind.value, "", "", 0, said, "",
        )  # fmt: skip
        if kind is ArtifactKind.METRICS:
            for name, value in artifact.custom.items():
                if type(value) in (int, float):
                    instance = uuid5(execution, f"{artifact.digest}/{name}")
                    series = (instance, 1)
                    if is_copy:
                        series = (execution, int.from_bytes(instance[:8], "big") >> 1)
                    self._metric(execution, series, name, value, at_ns)

    def _metric(
        self, execution: bytes, series: tuple[bytes, int], name: str, value: float, at_ns: int
    ) -> None:
        """Add a value that CMF keeps as a property of an artifact, so that it can be asked for."""
        if type(value) is int and not -(1 << 63) <= value < 1 << 63:
            return
        if series in self.series:  # it goes in and comes out
            return
        self.series.add(series)
        is_int = type(value) is int
        times = np.array([at_ns], np.int64)
        values = np.array([value], np.int64) if is_int else np.array([value], np.float64)
        data = encode(np.zeros(1, np.int64), times, values)
        is_nan = math.isnan(value)
        least = None if is_nan else value
        total = float(value) if math.isfinite(value) else 0.0
        self._put("series", *series, execution, name, "int" if is_int else "float")
        self._put(
            "chunk", *series, 0, 1, int(is_nan), 0, 0, at_ns, at_ns, least, least, total, 0,
            least, data,
        )  # fmt: skip


def path_of(artifact: Artifact) -> str:
    """Return what CMF calls content, without the digest that it puts behind it."""
    if artifact.uri and f":{artifact.uri}" in artifact.name:
        return artifact.name.partition(f":{artifact.uri}")[0]
    return artifact.name or artifact.uri or artifact.type


def to_text(record: msgspec.Struct) -> str:
    """Write a record as JSON; unlike JSON's own rules, with NaN and infinities."""
    return json.dumps(msgspec.to_builtins(record), sort_keys=True, separators=(",", ":"))
