"""
Runs and executions as OpenLineage events.

A run is a run of the job that recurs under its user and name; its executions are runs of the jobs
``pipeline.stage``, with it as parent and root. Ids are the ones that they have here, so that an
event that is sent again says the same of the same. Names follow OpenLineage's conventions: what is
at ``s3://bucket/key`` is named so, a file by its absolute path at its cluster or host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    documentation_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    source_code_location_job,
    tags_dataset,
    tags_run,
)

import cmfd
from cmfd.formats.openlineage import facets
from cmfd.formats.places import address_of
from cmfd.model import NoteKind, Status
from cmfd.query.results import nonfinite
from cmfd.query.runs import detail
from cmfd.query.times import iso
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping

    from cmfd.formats.columns import Column
    from cmfd.query.results import Artifact, Execution, RunDetail
    from cmfd.query.results import Run as RunResult

PRODUCER = f"urn:cmfd:{cmfd.__version__}"
_ENDS = {
    Status.COMPLETED: RunState.COMPLETE,
    Status.FAILED: RunState.FAIL,
    Status.CANCELLED: RunState.ABORT,
    Status.LOST: RunState.ABORT,
}
_SLURM = "slurm."
_FIGURES = ("last", "min", "max", "mean")


class Cost(NamedTuple):
    """Of a run or an execution, what goes into the facets of energy and of carbon, by its names."""

    energy: Mapping[str, Any]
    carbon: Mapping[str, Any] | None
    """None where nothing is known of emissions."""


class Further(NamedTuple):
    """
    What is found out elsewhere of runs.

    Attributes
    ----------
    costs : callable
        Of a run by its number: what it cost, under the empty name, and its executions, by theirs.
    columns : callable
        Of an artifact that is a table.
    """

    costs: Callable[[int], Mapping[str, Cost]] = lambda _: {}
    columns: Callable[[Artifact], list[Column]] = lambda _: []


NOTHING = Further()


class _Place(NamedTuple):
    """A run as it is known to all its events."""

    detail: RunDetail
    namespace: str
    root: parent_run.Root
    energy: list[tuple[str, str, str, str, int]]
    """Execution, component, source, grade, microjoules."""
    costs: Mapping[str, Cost]
    columns: Callable[[Artifact], list[Column]]


def events(db: sqlite3.Connection, run_id: int, further: Further = NOTHING) -> list[RunEvent]:
    """
    Return the events of a run and its executions, in the order of time.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_id : int
        The run's number there.
    further : Further
        What else goes into facets.

    Returns
    -------
    list of RunEvent
        For the run and each execution of it a START, and then COMPLETE, FAIL or ABORT, or RUNNING
        if it has not ended as far as is known. None of what never began here: other packs only
        name it.
    """
    found = detail(db, run_id)
    run = found.run
    namespace = f"slurm://{run.cluster}" if run.cluster else "cmfd"
    root = parent_run.Root(
        run=parent_run.RootRun(runId=_uuid(run.run)),
        job=parent_run.RootJob(namespace=namespace, name=_job_of(run)),
    )
    rows = db.execute(named("query/openlineage")["energy"], {"run_id": run_id})
    place = _Place(found, namespace, root, list(rows), further.costs(run_id), further.columns)
    made = [*_of_run(place)]
    for execution in found.executions:
        made += _of_execution(place, execution)
    return sorted(made, key=lambda event: (event.eventTime, event.eventType is not RunState.START))


def _of_run(place: _Place) -> Iterator[RunEvent]:
    run = place.detail.run
    job = Job(place.namespace, _job_of(run), {"jobType": _job_type(run, "JOB")})
    known: dict[str, Any] = {"processing_engine": _engine()}
    if run.job:
        said = {
            fact.key.removeprefix(_SLURM): _json(fact.value)
            for fact in place.detail.facts
            if fact.subject == run.run and fact.key.startswith(_SLURM)
        }
        known["cmfd_slurm"] = facets.SlurmRunFacet(job=run.job, restart=run.restart, facts=said)
    ended = {**known, **_energy(place, ""), **_tags(place, run.run), **_error(run)}
    yield from _pair(run, run.run, job, known, ended, [], [])


def _of_execution(place: _Place, one: Execution) -> Iterator[RunEvent]:
    found, name = place.detail, one.execution
    job = Job(
        place.namespace,
        f"{one.pipeline}.{one.stage}",
        {"jobType": _job_type(found.run, "STEP"), **_code(found, name)},
    )
    hosts = sorted({process.host for process in found.processes if process.execution == name})
    known = {
        "parent": _parent(place, one),
        "processing_engine": _engine(),
        "cmfd_mpi": facets.MpiRunFacet(nRanks=one.n_ranks, hosts=hosts),
    }
    parameters: dict[str, list[Any]] = {}
    for param in found.params:
        if param.execution == name:
            parameters.setdefault(param.key, []).append(_json(param.value))
    if parameters:
        known["cmfd_hyperparameters"] = facets.HyperparametersRunFacet(parameters)
    figures = {
        metric.name: {"nValues": metric.n_values}
        | {of: _json(value) for of in _FIGURES if (value := getattr(metric, of)) is not None}
        for metric in found.metrics
        if metric.execution == name
    }
    ended = {**known, **_energy(place, name), **_tags(place, name), **_error(one)}
    if figures:
        ended["cmfd_metrics"] = facets.MetricsRunFacet(figures)
    mine = [artifact for artifact in found.artifacts if artifact.execution == name]
    inputs = [
        InputDataset(*_named(place, artifact), facets=_content(place, artifact))
        for artifact in mine
        if artifact.direction == "input"
    ]
    outputs = [
        OutputDataset(
            *_named(place, artifact),
            facets=_content(place, artifact),
            outputFacets={"outputStatistics": _size(artifact)},
        )
        for artifact in mine
        if artifact.direction == "output"
    ]
    yield from _pair(one, name, job, known, ended, inputs, outputs)


def _pair(  # noqa: PLR0913, PLR0917 - what an event is made of
    one: RunResult | Execution,
    name: str,
    job: Job,
    known: dict[str, Any],
    ended: dict[str, Any],
    inputs: list[InputDataset],
    outputs: list[OutputDataset],
) -> Iterator[RunEvent]:
    """Yield the start of something, and its end or how it stands."""
    if one.began_ns is None:
        return
    kind = _ENDS.get(Status(one.status), RunState.RUNNING)
    at_ns = one.began_ns if one.ended_ns is None else max(one.ended_ns, one.began_ns)
    for state, when_ns, said, into, out in (
        (RunState.START, one.began_ns, known, inputs, []),
        (kind, at_ns, ended, inputs, outputs),
    ):
        yield RunEvent(
            eventTime=iso(when_ns),
            producer=PRODUCER,
            run=Run(_uuid(name), said),
            job=job,
            eventType=state,
            inputs=into,
            outputs=out,
        )


def _parent(place: _Place, one: Execution) -> parent_run.ParentRunFacet:
    above = next((e for e in place.detail.executions if e.execution == one.parent), None)
    name = f"{above.pipeline}.{above.stage}" if above else place.root.job.name
    return parent_run.ParentRunFacet(
        run=parent_run.Run(_uuid(above.execution) if above else place.root.run.runId),
        job=parent_run.Job(place.namespace, name),
        root=place.root,
    )


def _job_of(run: RunResult) -> str:
    """Name what recurs: the user's work of that name."""
    command = run.command.split()
    name = run.name or (command[0].rpartition("/")[2] if command else "") or "run"
    return f"{run.user}.{name}" if run.user else name


def _job_type(run: RunResult, kind: str) -> job_type_job.JobTypeJobFacet:
    by = "SLURM" if run.job else "CMFD"
    return job_type_job.JobTypeJobFacet(processingType="BATCH", integration=by, jobType=kind)


def _engine() -> processing_engine_run.ProcessingEngineRunFacet:
    return processing_engine_run.ProcessingEngineRunFacet(
        version=cmfd.__version__, name="cmfd", openlineageAdapterVersion=cmfd.__version__
    )


def _code(found: RunDetail, execution: str) -> dict[str, Any]:
    code = found.code(execution)
    remote = code.get("remote")
    if not isinstance(remote, str):
        return {}
    where = source_code_location_job.SourceCodeLocationJobFacet(
        type="git",
        url=remote,
        repoUrl=remote,
        version=code.get("commit"),
        branch=code.get("branch"),
    )
    return {"sourceCodeLocation": where}


def _error(one: RunResult | Execution) -> dict[str, Any]:
    if one.status not in (Status.FAILED, Status.LOST):
        return {}
    message = f"signal {one.signal}" if one.signal else f"exit code {one.exit_code}"
    if one.exit_code is None and one.signal is None:
        message = "lost: it did not say how it ended" if one.status == Status.LOST else "failed"
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "unknown")}


def _energy(place: _Place, execution: str) -> dict[str, Any]:
    parts = [
        {"component": component, "source": source, "grade": grade, "energyMicrojoules": microjoules}
        for of, component, source, grade, microjoules in place.energy
        if of == execution
    ]
    if not parts:
        return {}
    cost = place.costs.get(execution, Cost({}, None))
    made: dict[str, Any] = {"cmfd_energy": facets.EnergyRunFacet(parts, **cost.energy)}
    if cost.carbon is not None:
        made["cmfd_carbon"] = facets.CarbonRunFacet(**cost.carbon)
    return made


def _tags(place: _Place, subject: str) -> dict[str, Any]:
    tags = [tags_run.TagsRunFacetFields(tag, "true", "CMFD") for tag in _tagged(place, subject)]
    return {"tags": tags_run.TagsRunFacet(tags)} if tags else {}


def _tagged(place: _Place, subject: str) -> list[str]:
    """Return the tags that something has now; a mark that it is tainted is one."""
    said: dict[str, bool] = {}
    for note in sorted(place.detail.notes, key=lambda note: (note.at_ns, note.note)):
        if note.subject != subject:
            continue
        if note.kind in (NoteKind.TAG, NoteKind.UNTAG):
            said[note.text] = note.kind == NoteKind.TAG
        elif note.kind in (NoteKind.TAINTED, NoteKind.CLEARED):
            said["tainted"] = note.kind == NoteKind.TAINTED
    return [tag for tag, holds in said.items() if holds]


def _named(place: _Place, artifact: Artifact) -> tuple[str, str]:
    """
    Return the namespace and name of where something was.

    By https://openlineage.io/docs/spec/naming: objects by bucket and key, files by host and path.
    """
    parts = address_of(artifact.path)
    if parts is not None and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/"
    return f"file://{place.detail.run.cluster or artifact.host}", artifact.absolute or artifact.path


def _content(place: _Place, artifact: Artifact) -> dict[str, Any]:
    made: dict[str, Any] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(artifact.digest),
        "cmfd_content": facets.ContentDatasetFacet(
            digest=artifact.digest,
            kind=artifact.kind,
            strong=artifact.strong or None,
            problem=artifact.problem or None,
        ),
    }
    columns = place.columns(artifact)
    if columns:
        fields = list(map(_field, columns))
        made["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    labels = [
        note.text
        for note in sorted(place.detail.notes, key=lambda note: note.at_ns)
        if note.subject == artifact.digest and note.kind == NoteKind.LABEL and note.text
    ]
    if labels:
        made["documentation"] = documentation_dataset.DocumentationDatasetFacet(labels[-1])
    tags = _tagged(place, artifact.digest)
    if tags:
        made["tags"] = tags_dataset.TagsDatasetFacet(
            [tags_dataset.TagsDatasetFacetFields(tag, "true", "CMFD") for tag in tags]
        )
    return made


def _field(column: Column) -> schema_dataset.SchemaDatasetFacetFields:
    return schema_dataset.SchemaDatasetFacetFields(
        name=column.name,
        type=column.type,
        description=None if column.shape is None else f"shape {list(column.shape)}",
        fields=list(map(_field, column.fields)),
    )


def _size(
    artifact: Artifact,
) -> output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet:
    size = artifact.size_bytes
    return output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        size=None if size is None or size < 0 else size, fileCount=artifact.n_files
    )


def _uuid(name: str) -> str:
    return str(UUID(hex=name))


def _json(value: Any) -> Any:
    """Return a value that JSON has, and OpenLineage's library: NaN, infinities, null as text."""
    if value is None:
        return "null"  # the library leaves nulls away, also out of a list
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, float):
        return nonfinite(value) or value
    return value
