"""
A site's executions as a store of ML Metadata would have them.

What came from such a store is given out as it was there. Of other executions, parameters become
custom properties, artifacts are called as CMF calls them, and the last values of metrics become an
artifact of type ``Metrics``, as CMF keeps those of an execution.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.client.warn import warn_once
from cmfd.errors import NotFoundError
from cmfd.formats.mlmd.graph import (
    END_COMMIT_FACT,
    INPUT,
    INPUTS,
    KEY,
    NAME_FACT,
    OUTPUT,
    PIPELINE_FACT,
    STAGE_FACT,
    TYPE_FACT,
    Artifact,
    Context,
    Event,
    Execution,
    Graph,
    Kept,
    Type,
    contexts_of,
    uuid_text,
)
from cmfd.formats.mlmd.said import Said
from cmfd.identity import uuid5
from cmfd.model import ArtifactKind, Direction, Status
from cmfd.query.index import object_of
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Sequence

_NS = 1_000_000  # in a millisecond
_AT_ONCE = 1000
"""Of how many executions all that is said is read at once."""
_STATES = {
    Status.RUNNING: 2, Status.COMPLETED: 3, Status.FAILED: 4, Status.LOST: 4, Status.CANCELLED: 6,
}  # fmt: skip
_TYPES = {
    ArtifactKind.MODEL: "Model", ArtifactKind.CHECKPOINT: "Model",
    ArtifactKind.METRICS: "Step_Metrics", ArtifactKind.DATASLICE: "Dataslice",
    ArtifactKind.ENVIRONMENT: "Environment", ArtifactKind.LABEL: "Label",
}  # fmt: skip
"""What CMF calls kinds; others are a ``Dataset``."""
_MODEL = ("model_framework", "model_type", "model_name")
_OF_NO_FILE = re.compile(r"mlmd:([0-9a-f]{32})")
_RECORDS: dict[str, Any] = {
    f"{KEY}context": Context, f"{KEY}artifact": Artifact, f"{KEY}execution": Kept,
    f"{KEY}type": Type,
}  # fmt: skip


def gather(db: sqlite3.Connection, pipelines: Collection[str] = ()) -> Graph:
    """
    Return what a site has.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    pipelines : collection of str
        Of which pipelines; of all if none is named.

    Raises
    ------
    NotFoundError
        There is nothing of a pipeline that was named.
    """
    gathered = _Gathered(db)
    for pipeline in pipelines or (None,):
        n_before = len(gathered.graph.executions)
        gathered.take(pipeline)
        if pipeline is not None and len(gathered.graph.executions) == n_before:
            raise NotFoundError(
                f"No execution of pipeline {pipeline!r} is here. `cmfd runs` lists what is."
            )
    return gathered.graph


class _Gathered:
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.sql = named("query/mlmd")
        self.graph = Graph()
        self.records = _records(db, self.sql["records"])
        self.by_digest = {one.digest: ref for ref, one in self._artifacts.items()}
        self.own_by_digest: dict[str, str] = {}

    @property
    def _artifacts(self) -> dict[str, Artifact]:
        return self.records[f"{KEY}artifact"]

    def take(self, pipeline: str | None) -> None:
        """Take the executions of a pipeline."""
        self.graph.types |= self.records[f"{KEY}type"]
        if pipeline is None:
            self.graph.contexts |= self.records[f"{KEY}context"]
            self.graph.artifacts |= self._artifacts
        rows = self.db.execute(self.sql["executions"], {"pipeline": pipeline}).fetchall()
        for first in range(0, len(rows), _AT_ONCE):
            self._take_some(rows[first : first + _AT_ONCE])

    def _take_some(self, rows: Sequence[Any]) -> None:
        kept = self.records[f"{KEY}execution"]
        own = [row[0] for row in rows if row[1] not in kept]
        self.said = Said(self.db, (row[0] for row in rows), own, self.own_by_digest)
        for row in rows:
            ref = row[1]
            known = kept.get(ref)
            execution = self._own(*row) if known is None else known
            self.graph.executions[ref] = execution
            self.graph.places[ref] = (row[2], row[3])
            self._around(execution)
            if known is not None:
                self._add_events(row[0], execution)

    def _around(self, execution: Execution) -> None:
        """Take what an execution belongs to and uses, as far as it is known from a store."""
        for event in execution.events:
            if event.artifact in self._artifacts:
                self.graph.artifacts[event.artifact] = self._artifacts[event.artifact]
        wanted = list(execution.contexts)
        for event in execution.events:
            wanted += getattr(self.graph.artifacts.get(event.artifact), "contexts", ())
        contexts = self.records[f"{KEY}context"]
        while wanted:
            ref = wanted.pop()
            if ref in contexts and ref not in self.graph.contexts:
                self.graph.contexts[ref] = contexts[ref]
                wanted += contexts[ref].parents

    def _add_events(self, number: int, execution: Execution) -> None:
        """Add what an earlier state of its store, or somebody else, said that it used."""
        told = {
            (event.type in INPUTS, self.graph.artifacts[event.artifact].digest)
            for event in execution.events
            if event.artifact in self.graph.artifacts
        }
        for direction, digest, at_ns in self.said.events[number]:
            is_input = direction == Direction.INPUT
            if (is_input, digest) not in told and (ref := self.by_digest.get(digest)):
                self.graph.artifacts[ref] = self._artifacts[ref]
                type_ = INPUT if is_input else OUTPUT
                execution.events.append(Event(artifact=ref, type=type_, at_ms=at_ns // _NS))

    # -- what no such store said --------------------------------------------------------------

    def _own(  # noqa: PLR0913, PLR0917 - the columns of a row
        self, number: int, ref: str, pipeline: str, stage: str, status: str, began_ns: int,
        ended_ns: int | None, command: str, document: str | None,
    ) -> Execution:  # fmt: skip
        outer, inner = contexts_of(pipeline, stage)
        identity = bytes.fromhex(ref)
        facts = self.said.facts[number]
        for context, key in ((outer, PIPELINE_FACT), (inner, STAGE_FACT)):
            known = self.records[f"{KEY}context"].get(context.ref, context)
            found = self.graph.contexts.setdefault(context.ref, known)
            found.created_ms = found.created_ms or began_ns // _NS
            found.updated_ms = found.updated_ms or began_ns // _NS
            found.custom |= _object(facts.get(key))
        updated_ns = max(ended_ns or 0, began_ns)
        execution = Execution(
            type=str(facts.get(TYPE_FACT, inner.name)), name=str(facts.get(NAME_FACT, "")),
            created_ms=began_ns // _NS, updated_ms=updated_ns // _NS,
            state=_STATES.get(Status(status), 0), custom=self.said.params[number],
            properties={
                "Execution": _command(command, document), "Execution_uuid": uuid_text(identity),
                "Execution_type_name": inner.name, "Context_Type": inner.name, "Context_ID": 0,
                "Pipeline_Type": pipeline, "Pipeline_id": 0,
            },
            contexts=[inner.ref],
        )  # fmt: skip
        code = _part(document, "code")
        execution.properties |= {
            "Git_Repo": str(code.get("remote") or ""),
            "Git_Start_Commit": str(code.get("commit") or ""),
            "Git_End_Commit": str(facts.get(END_COMMIT_FACT) or code.get("commit") or ""),
        }
        repository = execution.properties["Git_Repo"]
        execution.events = [*self._own_events(number, inner.ref, repository)]
        if TYPE_FACT not in facts:  # else there are artifacts for them already
            execution.events += self._own_metrics(number, identity, inner.ref, execution)
        return execution

    def _own_events(self, number: int, stage: str, repository: str) -> Iterator[Event]:
        for direction, digest, at_ns in self.said.events[number]:
            ref = self.own_by_digest.get(digest)
            if ref is None:
                ref = self.own_by_digest[digest] = self._own_artifact(digest, stage, repository)
            type_ = INPUT if direction == Direction.INPUT else OUTPUT
            yield Event(artifact=ref, type=type_, at_ms=at_ns // _NS)

    def _own_artifact(self, digest: str, stage: str, repository: str) -> str:
        """
        Return what this content is, by all that was said of it, in whatever pipeline.

        As in CMF there is one of a digest, called as at first, with the last word on each property.
        """
        uses = self.said.uses[digest]
        custom: dict[str, Any] = {}
        urls = dict.fromkeys(f"{use.pipeline}:{use.place}" for use in uses)
        for use in uses:
            custom |= {key: one for key, one in object_of(use.properties).items() if key != "dvc"}
        for told in self.said.told[digest]:
            custom |= _object(told)
        first = uses[0]
        number, type_ = int(first.execution[:12], 16), _TYPES.get(_kind(first.kind), "Dataset")
        uri, name = digest.removeprefix("md5:"), f"{first.path}:{digest.removeprefix('md5:')}"
        properties = {"Commit": uri, "url": ",".join(urls)}
        if found := _OF_NO_FILE.fullmatch(digest):
            uri = uuid_text(bytes.fromhex(found[1]))
            type_ = "Metrics" if type_ == "Step_Metrics" else "Validation_output"
            name = f"{first.path}:{uri}:{number}"
            properties = {"metrics_name": name}
        elif type_ == "Model":
            properties |= {
                key: str(object_of(first.properties).get(key, "Default")) for key in _MODEL
            }
            custom = {key: value for key, value in custom.items() if key not in _MODEL}
            name += f":{number}"
        elif type_ != "Step_Metrics":
            properties["git_repo"] = repository
        return self._same(
            Artifact(
                type=type_, name=name, uri=uri, created_ms=first.at_ns // _NS,
                updated_ms=uses[-1].at_ns // _NS, properties=properties, custom=custom,
                contexts=[stage],
            )
        )  # fmt: skip

    def _same(self, artifact: Artifact) -> str:
        """Return the artifact that this is in the store that it was taken in from, if it was."""
        ref = self.by_digest.get(artifact.digest)
        if ref is None:
            return self.graph.add(artifact)
        known = self.graph.artifacts.setdefault(ref, self._artifacts[ref])
        known.custom |= artifact.custom
        known.updated_ms = max(known.updated_ms, artifact.updated_ms)
        return ref

    def _own_metrics(
        self, number: int, identity: bytes, stage: str, execution: Execution
    ) -> Iterator[Event]:
        rows = self.said.metrics[number]
        if not rows:
            return
        uri = uuid_text(uuid5(identity, "metrics"))
        last_ms = max(last_ns for *_, last_ns in rows) // _NS
        name = f"metrics:{uri}:{identity.hex()}"
        artifact = Artifact(
            type="Metrics", name=name, uri=uri, created_ms=last_ms, updated_ms=last_ms,
            properties={"metrics_name": name}, contexts=[stage],
            custom={key: float("nan") if value is None else value for key, value, _ in rows},
        )  # fmt: skip
        execution.updated_ms = max(execution.updated_ms, last_ms)
        yield Event(artifact=self.graph.add(artifact), type=OUTPUT, at_ms=last_ms)


def _kind(text: str) -> ArtifactKind:
    try:
        return ArtifactKind(text)
    except ValueError:  # of a newer cmfd
        return ArtifactKind.OTHER


def _records(db: sqlite3.Connection, query: str) -> dict[str, dict[str, Any]]:
    """Return the records by the key of their facts, and by the id of what they are of."""
    found: dict[str, dict[str, Any]] = {key: {} for key in _RECORDS}
    problems = []
    for subject, key, _, value in db.execute(query):
        try:
            record = _record(key, value)
        except (ValueError, RecursionError) as error:
            problems.append(f"{key} {subject}: {error}")
            continue
        ref = record.execution.hex() if isinstance(record, Kept) else record.ref
        found[key][ref] = record
    for kept in found[f"{KEY}execution"].values():
        for one in (*kept.around_contexts, *kept.around_artifacts):
            kind = "context" if isinstance(one, Context) else "artifact"
            found[KEY + kind].setdefault(one.ref, one)
    if problems:
        warn_once(
            "mlmd records",
            f"cmfd: left out, as they cannot be read: {len(problems)} of the records that packs "
            f"have of stores of ML Metadata; the first: {problems[0]:.500}",
        )
    return found


def _record(key: str, value: str) -> Any:
    said = json.loads(value)
    if "\\ud" in value.lower():
        json.dumps(said, ensure_ascii=False).encode()  # half a character is none
    return msgspec.convert(said, _RECORDS[key])


def _part(document: str | None, name: str) -> dict[str, Any]:
    found = object_of(document or "").get(name)
    return found if isinstance(found, dict) else {}


def _object(said: object) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def _command(command: str, document: str | None) -> str:
    argv = _part(document, "command").get("argv")
    return str(argv) if isinstance(argv, list) and argv else command
