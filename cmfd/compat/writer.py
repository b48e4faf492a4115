"""`Cmf`: what a program written for CMF logs to."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd.client.deadline import Deadline
from cmfd.client.git import GitError, describe_code, head
from cmfd.compat import dataslice, nodes, reading
from cmfd.compat.known import Known
from cmfd.compat.recorder import Recorder
from cmfd.content.files import Hash
from cmfd.formats.mlmd import graph
from cmfd.identity import uuid7
from cmfd.model import ArtifactKind, Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    Given = Mapping[str, Any] | None

_GIT_S = 10.0
_SETS = frozenset(("labels", "labels_uri", "dataset_uri"))
"""Properties to which what comes later is added, after a comma."""


class Cmf(Known):
    """
    One writer, as of CMF; what it is given is recorded as by `cmfd.start`.

    Parameters
    ----------
    filepath, filename : str
        Where CMF would keep its store. Here it is the site that does, wherever the file would be.
    pipeline_name : str
        Default: the name of the working directory.
    custom_properties : mapping, optional
        Of the pipeline.
    graph, is_server : bool
        Not used: there is no graph database, and no server that uses this.
    """

    ARTIFACTS_PATH = "cmf_artifacts"
    DATASLICE_PATH = "dataslice"
    METRICS_PATH = "metrics"
    DataSlice = dataslice.DataSlice

    def __init__(  # noqa: PLR0913 - as programs call it
        self, filepath: str = "mlmd", pipeline_name: str = "", custom_properties: Given = None,
        graph: bool = False, is_server: bool = False, *, filename: str | None = None,  # noqa: FBT001, FBT002 - as above
    ) -> None:  # fmt: skip
        del is_server
        self.filepath = filename or filepath
        self.branch_name = Path(self.filepath).name
        self.pipeline_name = pipeline_name or Path.cwd().name
        self.graph = graph
        self.metrics: dict[str, dict[int, dict[str, Any]]] = {}
        self.child_context: nodes.Context | None = None
        self._execution: nodes.Execution | None = None
        self._recorder: Recorder | None = None
        outer, _ = graph_contexts(self.pipeline_name, "")
        self.parent_context = nodes.Context(outer, outer.ref)
        self.parent_context.custom_properties = nodes.Properties.of(custom_properties or {})

    # -- contexts and executions --------------------------------------------------------------

    def create_context(self, pipeline_stage: str, custom_properties: Given = None) -> nodes.Context:
        """Say which stage follows; there is one of a name in a pipeline."""
        _, inner = graph_contexts(self.pipeline_name, str(pipeline_stage))
        inner.custom = dict(custom_properties or {})
        self.child_context = nodes.Context(inner, inner.ref)
        return self.child_context

    def update_context(
        self, type_name: str, context_name: str, context_id: int, properties: Given = None,
        custom_properties: Given = None,
    ) -> nodes.Context:  # fmt: skip
        """Say more of a stage, or of the pipeline."""
        del type_name, properties
        stage = self.child_context
        is_stage = stage is not None and context_id == stage.id
        found = stage if is_stage and stage is not None else self.parent_context
        del context_name
        for key, value in (custom_properties or {}).items():
            found.custom_properties[key] = nodes.Value(value)
        self._describe()
        return found

    def create_execution(
        self, execution_type: str, custom_properties: Given = None, cmd: str | None = None,
        create_new_execution: bool = True,  # noqa: FBT001, FBT002 - as programs call it
    ) -> nodes.Execution:  # fmt: skip
        """Begin an execution; without `create_new_execution`, go on with the one of this name."""
        stage = self._stage()
        self.metrics = {}
        if create_new_execution:
            self._recorder = Recorder.begin(self.pipeline_name, stage, execution_type)
        else:
            self._recorder = Recorder.named(self.pipeline_name, stage, execution_type)
        self._execution = self._begun(execution_type, cmd, is_new=create_new_execution)
        self._describe()
        given = dict(custom_properties or {})
        environment = self._python_env()
        self.update_execution(self._execution.id, {**given, "Python_Env": environment})
        self.log_python_env(environment)
        return self._execution

    def _begun(self, type_: str, cmd: str | None, *, is_new: bool) -> nodes.Execution:
        recorder = self._recorder
        assert recorder is not None, "it was just begun"
        stage = self.child_context
        assert stage is not None, "it was said before"
        code = code_here()
        now_ms = time.time_ns() // 1_000_000
        commit = str(code.get("commit") or "")
        node = graph.Execution(
            type=type_ if is_new else stage.name, name="" if is_new else type_,
            created_ms=now_ms, updated_ms=now_ms,
            properties={
                "Execution_uuid": graph.uuid_text(recorder.execution.id),
                "Execution": str(sys.argv) if cmd is None else cmd,
                "Execution_type_name": stage.name, "Context_Type": stage.name,
                "Context_ID": stage.id, "Pipeline_Type": self.pipeline_name,
                "Pipeline_id": self.parent_context.id, "Git_Repo": str(code.get("remote") or ""),
                "Git_Start_Commit": commit, "Git_End_Commit": "",
            },
        )  # fmt: skip
        return nodes.Execution(node, recorder.execution.id.hex())

    @property
    def execution(self) -> nodes.Execution | None:
        """The execution that is logged to; another may be put in its place."""
        return self._execution

    @execution.setter
    def execution(self, other: nodes.Execution | None) -> None:
        self._execution = other
        self._recorder = None
        if other is not None:
            identity = bytes.fromhex(other.ref)
            self._recorder = Recorder.again(identity, self.pipeline_name, self._stage())

    def update_execution(
        self, execution_id: int, custom_properties: Given = None
    ) -> nodes.Execution:
        """Record parameters of an execution."""
        recorder, execution = self._ready()
        if execution_id != execution.id:
            query = reading.graph()
            ref = next(
                (one for one in query.executions if nodes.number_of(one) == execution_id), ""
            )
            self.execution = nodes.Execution(query.executions[ref], ref)
            recorder, execution = self._ready()
        for key, value in (custom_properties or {}).items():
            execution.custom_properties[key] = nodes.Value(value)
            recorder.execution.param(key, value)
        return execution

    def finalize(self) -> None:
        """See to it that what was logged is kept; more may be logged afterwards."""
        recorder, execution = self._ready()
        commit = commit_now()
        execution.properties["Git_End_Commit"] = nodes.Value(commit)
        if commit != execution.properties["Git_Start_Commit"].string_value:
            recorder.end_at(commit)
        recorder.flush()

    # -- what goes in and out -------------------------------------------------------------------

    def log_dataset(  # noqa: PLR0913, PLR0917 - as programs call it
        self, url: str, event: str, custom_properties: Given = None, label: str | None = None,
        label_properties: Given = None, external: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> nodes.Artifact:  # fmt: skip
        """Record a file or directory that goes in (`event` is ``input``) or out."""
        del external
        made = self._content(url, event, ArtifactKind.DATASET, "Dataset", custom_properties)
        if label:
            self.log_label(label, url, label_properties)
        return made

    def log_model(  # noqa: PLR0913, PLR0917 - as programs call it
        self, path: str, event: str, model_framework: str = "Default",
        model_type: str = "Default", model_name: str = "Default", custom_properties: Given = None,
    ) -> nodes.Artifact:  # fmt: skip
        """Record a model that goes in or out."""
        own = {
            "model_framework": model_framework, "model_type": model_type, "model_name": model_name
        }  # fmt: skip
        return self._content(path, event, ArtifactKind.MODEL, "Model", custom_properties, own)

    def log_label(
        self, url: str, dataset_name: str, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record a file of labels of a dataset that was logged before."""
        recorder, _ = self._ready()
        dataset = recorder.content(Direction.INPUT, dataset_name, ArtifactKind.DATASET, {})
        uri = dataset.digest.removeprefix("md5:")
        said = {**(custom_properties or {}), "dataset_uri": uri}
        made = self._content(url, "input", ArtifactKind.LABEL, "Label", said)
        recorder.update(dataset.digest, {"labels": url, "labels_uri": f"{url}:{made.uri}"})
        return made

    def log_python_env(self, url: str) -> nodes.Artifact:
        """Record a file that lists what Python has installed."""
        return self._content(url, "input", ArtifactKind.ENVIRONMENT, "Environment", None)

    def _content(  # noqa: PLR0913, PLR0917 - what is said of it
        self, url: str, event: str, kind: ArtifactKind, type_: str, custom: Given,
        own: Mapping[str, Any] | None = None,
    ) -> nodes.Artifact:  # fmt: skip
        recorder, execution = self._ready()
        direction = Direction.INPUT if event.lower() == "input" else Direction.OUTPUT
        given = dict(custom or {})
        found = recorder.content(direction, str(url), kind, {**(own or {}), **given})
        uri = found.digest.removeprefix("md5:")
        behind = f":{execution.id}" if type_ == "Model" else ""
        properties = {
            **(own or {}), "git_repo": str(code_here().get("remote") or ""), "Commit": uri,
            "url": f"{self.pipeline_name}:{Path(url).absolute()}",
        }  # fmt: skip
        return nodes.artifact(type_, f"{url}:{uri}{behind}", uri, properties, given)

    # -- metrics --------------------------------------------------------------------------------

    def log_execution_metrics(
        self, metrics_name: str, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record the values of metrics that an execution came to."""
        return self.valued(metrics_name, uuid7(), custom_properties)

    def log_metric(self, metrics_name: str, custom_properties: Given = None) -> None:
        """Record the values of metrics at the next step; they are kept when this returns."""
        recorder, _ = self._ready()
        given = dict(custom_properties or {})
        rows = self.metrics.setdefault(metrics_name, {})
        rows[len(rows) + 1] = given
        recorder.metrics({f"{metrics_name}.{key}": one for key, one in given.items()}, len(rows))

    def commit_metrics(self, metrics_name: str) -> nodes.Artifact:
        """Write the steps of metrics into a Parquet file, as CMF does, and record that, too."""
        import pandas as pd  # noqa: PLC0415 - only for those who write files

        path = self._own_file(self.METRICS_PATH, metrics_name)
        table = pd.DataFrame.from_dict(self.metrics[metrics_name], orient="index")
        table.index.names = ["SequenceNumber"]
        table.to_parquet(path)
        return self._content(path, "output", ArtifactKind.METRICS, "Step_Metrics", None)

    def log_validation_output(
        self, version: str, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record a result that has no file."""
        recorder, _ = self._ready()
        identity = uuid7()
        uri = graph.uuid_text(identity)
        said = {**(custom_properties or {}), "version": version}
        found = Hash(digest=f"mlmd:{identity.hex()}")
        recorder.value(Direction.OUTPUT, uri, ArtifactKind.OTHER, found, said)
        given = dict(custom_properties or {})
        return nodes.artifact("Validation_output", uri, uri, {"version": version}, given)

    # -- slices ---------------------------------------------------------------------------------

    def create_dataslice(self, name: str) -> dataslice.DataSlice:
        """Begin a named part of a dataset."""
        return dataslice.DataSlice(name, self)

    def read_dataslice(self, name: str) -> pd.DataFrame:
        """Return the members of a slice that this execution committed."""
        return dataslice.read_slice(self._own_file(self.DATASLICE_PATH, name))

    def update_dataslice(self, name: str, record: str, custom_properties: Given) -> None:
        """Say more of a member of a slice."""
        dataslice.update_slice(
            self._own_file(self.DATASLICE_PATH, name), record, custom_properties or {}
        )

    # -- artifacts afterwards -------------------------------------------------------------------

    def update_existing_artifact(self, artifact: nodes.Artifact, custom_properties: Given) -> None:
        """Say more of an artifact."""
        recorder, _ = self._ready()
        for key, value in (custom_properties or {}).items():
            before = artifact.custom_properties[key].string_value
            if key in _SETS and before:
                parts = dict.fromkeys([*before.split(","), *str(value).split(",")])
                value = ",".join(parts)  # noqa: PLW2901 - what it is now
            artifact.custom_properties[key] = nodes.Value(value)
        recorder.update(_digest_of(artifact), artifact.custom_properties.values_of())

    def get_artifact(self, artifact_id: int) -> nodes.Artifact:
        """Return an artifact by its number."""
        known = reading.graph().artifacts
        ref = next(one for one in known if nodes.number_of(one) == artifact_id)
        return nodes.Artifact(known[ref], ref)

    def update_model_output(self, artifact: nodes.Artifact) -> None:
        """Record the custom properties that an artifact has now."""
        recorder, _ = self._ready()
        recorder.update(_digest_of(artifact), artifact.custom_properties.values_of())

    def log_dvc_lock(self, file_path: str) -> str:
        """Return the MD5 of a lock file; `cmfd dvc ingest` takes in what it says."""
        return hashlib.md5(Path(file_path).read_bytes(), usedforsecurity=False).hexdigest()

    # -- what programs do not see ---------------------------------------------------------------

    def ready(self) -> tuple[Recorder, nodes.Execution]:
        """Return what is logged to; a program that said nothing is its own stage and execution."""
        if self._execution is None or self._recorder is None:
            self.create_execution(_program())
        assert self._recorder is not None, "it was just begun"
        assert self._execution is not None, "as above"
        return self._recorder, self._execution

    _ready = ready

    def _stage(self) -> str:
        if self.child_context is None:
            self.create_context(_program())
        assert self.child_context is not None, "it was just said"
        return self.child_context.name.removeprefix(f"{self.pipeline_name}/")

    def _describe(self) -> None:
        if self._recorder is not None and self.child_context is not None:
            self._recorder.describe(
                self.parent_context.custom_properties.values_of(),
                self.child_context.custom_properties.values_of(),
            )

    def _own_file(self, kind: str, name: str) -> str:
        """Return where CMF keeps a file of this execution; its directory is made."""
        _, execution = self._ready()
        uuid = execution.properties["Execution_uuid"].string_value.partition(",")[0]
        directory = Path(self.ARTIFACTS_PATH, uuid, kind)
        directory.mkdir(parents=True, exist_ok=True)
        return str(directory / name)

    def _python_env(self) -> str:
        """Write the list of what is installed, under a name that says what is in it."""
        text = "".join(sorted({f"{one.name}=={one.version}\n" for one in distributions()}))
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        path = Path(self.ARTIFACTS_PATH, f"python_env_{digest}.txt")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}-{os.getpid()}")  # other ranks write it, too
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        return str(path)


def graph_contexts(pipeline: str, stage: str) -> tuple[graph.Context, graph.Context]:
    """Return the contexts of a stage, with the time now."""
    now_ms = time.time_ns() // 1_000_000
    both = graph.contexts_of(pipeline, stage)
    for one in both:
        one.created_ms = one.updated_ms = now_ms
    return both


_code: list[dict[str, Any]] = []


def code_here() -> dict[str, Any]:
    """Return the version of the code here, which is asked for once."""
    if not _code:
        try:
            _code.append(describe_code(str(Path.cwd()), Deadline(_GIT_S)))
        except (GitError, TimeoutError, OSError):
            _code.append({})
    return _code[0]


def commit_now() -> str:
    """Return the commit that the code here is at, which the program itself may have made."""
    before = str(code_here().get("commit") or "")
    if not before:
        return ""
    try:
        return head(str(Path.cwd()), Deadline(_GIT_S))
    except (GitError, TimeoutError, OSError):
        return before


def _digest_of(artifact: nodes.Artifact) -> str:
    return graph.Artifact(type=artifact.type, name=artifact.name, uri=artifact.uri).digest


def _program() -> str:
    return Path(sys.argv[0]).stem or "interactive"
