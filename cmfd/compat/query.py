"""`CmfQuery`: what a program written for CMF asks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cmfd.compat import nodes, reading
from cmfd.compat.numbered import Answers
from cmfd.errors import ConfigError
from cmfd.formats.cmf import document

try:
    import pandas as pd
except ImportError as missing:  # an extra of the installation
    raise ConfigError(
        "Tables need pandas, which is not installed here: pip install 'cmfd[cmf-compat]'"
    ) from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

_NO_LINEAGE = ("Environment", "Label")


_last: Answers | None = None


def _all() -> Answers:
    """Return what the site has, put in order once for all questions that come before more does."""
    global _last  # noqa: PLW0603 - as what `reading` read last
    found = reading.graph()
    if _last is None or _last.source is not found:
        _last = Answers(found)
    return _last


class CmfQuery:
    """
    Questions to a site, as CMF's class answers them: most with a table of pandas.

    Parameters
    ----------
    filepath : str
        Where CMF would keep its store; not used: it is the site that is asked.
    is_server : bool
        Not used.
    """

    def __init__(self, filepath: str = "mlmd", is_server: bool = False) -> None:  # noqa: FBT001, FBT002 - as programs call it
        del is_server
        self.filepath = filepath

    @property
    def _known(self) -> Answers:
        return _all()

    # -- pipelines and stages ------------------------------------------------------------------

    def get_pipeline_names(self) -> list[str]:
        """Return the names of pipelines."""
        return [one.name for one in self._known.pipelines()]

    def get_pipeline_id(self, pipeline_name: str) -> int:
        """Return a pipeline's number, or -1."""
        return next((one.id for one in self._known.pipelines(pipeline_name)), -1)

    def get_pipeline_stages(self, pipeline_name: str) -> list[str]:
        """Return the names of a pipeline's stages, with the pipeline's before them."""
        known = self._known
        every = [stage for one in known.pipelines(pipeline_name) for stage in known.stages(one.id)]
        return [one.name for one in sorted(every, key=lambda one: one.create_time_since_epoch)]

    # -- executions ----------------------------------------------------------------------------

    def get_all_exe_in_stage(self, stage_name: str) -> list[nodes.Node]:
        """Return the executions of a stage, the latest first."""
        return _in_stage(self._known, stage_name)

    def get_all_executions_in_stage(self, stage_name: str) -> pd.DataFrame:
        """Return the executions of a stage."""
        return _table(map(_execution_row, _in_stage(self._known, stage_name)))

    def get_all_executions_by_stage(
        self, stage_id: int, execution_uuid: str | None = None
    ) -> list[nodes.Node]:
        """Return the executions of a stage, or those of them that have a UUID."""
        known = self._known
        found = known.executions_in(known.contexts[stage_id])
        return [one for one in found if execution_uuid is None or execution_uuid in _uuids(one)]

    def get_all_executions_in_pipeline(self, pipeline_name: str) -> pd.DataFrame:
        """Return the executions of a pipeline."""
        known = self._known
        return _table(
            _execution_row(one)
            for pipeline in known.pipelines(pipeline_name)
            for stage in known.stages(pipeline.id)
            for one in known.executions_in(stage)
        )

    def get_all_executions_by_ids_list(self, exe_ids: Sequence[int]) -> pd.DataFrame:
        """Return executions by their numbers."""
        return _table(_values(one) for one in _some(self._known.executions, exe_ids))

    def get_executions_with_execution_ids(self, exe_ids: Sequence[int]) -> pd.DataFrame:
        """Return number, type and UUID of executions."""
        names = ("Execution_type_name", "Execution_uuid")
        rows = [
            {"id": one.id, **{name: one.properties[name].string_value for name in names}}
            for one in _some(self._known.executions, exe_ids)
        ]
        found: pd.DataFrame = pd.DataFrame(rows, columns=["id", *names]).drop_duplicates()
        return found

    def get_all_executions_for_artifact(self, artifact_name: str) -> pd.DataFrame:
        """Return the executions that an artifact goes into and comes out of."""
        known = self._known
        artifact = known.named(artifact_name)
        return pd.DataFrame() if artifact is None else _uses(known, artifact.id)

    def get_all_executions_for_artifact_id(self, artifact_id: int) -> pd.DataFrame:
        """Return the executions that an artifact goes into and comes out of."""
        return _uses(self._known, artifact_id)

    def find_producer_execution(self, artifact_name: str) -> nodes.Node | None:
        """Return an execution that an artifact came out of."""
        known = self._known
        artifact = known.named(artifact_name)
        numbers = known.writers[artifact.id] if artifact else []
        return known.executions[numbers[0]] if numbers else None

    get_producer_execution = find_producer_execution

    def get_one_hop_parent_executions(
        self, execution_id: Sequence[int], pipeline_id: int | None = None
    ) -> list[nodes.Node]:
        """Return the executions that wrote what executions read."""
        known = self._known
        numbers = [one for each in execution_id for one in _parents(known, each, pipeline_id)]
        return _some(known.executions, dict.fromkeys(numbers))

    def get_one_hop_parent_execution_ids(
        self, execution_id: int, pipeline_id: int | None = None
    ) -> list[int]:
        """Return the numbers of the executions that wrote what an execution read."""
        return _parents(self._known, execution_id, pipeline_id)

    def get_all_parent_executions_by_id(
        self, execution_id: Sequence[int], pipeline_id: int | None = None
    ) -> list[list[Any]]:
        """Return all executions upstream, and which of them led to which."""
        known = self._known
        found: dict[int, list[Any]] = {}
        links: list[dict[str, int]] = []
        waiting = list(execution_id)
        while waiting:
            target = waiting.pop(0)
            for source in dict.fromkeys(_parents(known, target, pipeline_id)):
                links.append({"source": source, "target": target})
                if source not in found:
                    one = known.executions[source].properties
                    names = ("Execution_type_name", "Execution_uuid")
                    found[source] = [source, *(one[name].string_value for name in names)]
                    waiting.append(source)
        return [list(found.values()), links]

    def get_all_parent_executions(self, artifact_name: str) -> pd.DataFrame:
        """Return the executions that wrote what is upstream of an artifact."""
        known = self._known
        above = _reached(known, artifact_name, _made_of)
        numbers = dict.fromkeys(one for each in above for one in known.writers[each])
        return _table(map(_execution_row, _some(known.executions, numbers)))

    # -- artifacts -----------------------------------------------------------------------------

    def get_all_artifacts(self) -> list[str]:
        """Return the names of artifacts."""
        return [one.name for one in self._known.graph.artifacts.values()]

    get_artifact_names = get_all_artifacts

    def get_artifact(self, name: str) -> pd.DataFrame | None:
        """Return an artifact by its name."""
        found = self._known.named(name)
        return None if found is None else _table([_artifact_row(found)])

    def get_artifact_df(
        self, artifact: nodes.Node, d: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return an artifact as a table of one row."""
        return _table([{**(d or {}), **_artifact_row(artifact)}])

    def get_all_artifact_types(self) -> list[str]:
        """Return the types of artifacts."""
        return list(dict.fromkeys(one.type for one in self._known.graph.artifacts.values()))

    def get_all_artifacts_by_context(self, pipeline_name: str) -> pd.DataFrame:
        """Return the artifacts of a pipeline."""
        known = self._known
        executions = [
            one.id for pipeline in known.pipelines(pipeline_name)
            for stage in known.stages(pipeline.id) for one in known.executions_in(stage)
        ]  # fmt: skip
        return _of_executions(known, executions)

    def get_all_artifacts_by_ids_list(self, artifact_ids: Sequence[int]) -> pd.DataFrame:
        """Return artifacts by their numbers."""
        return _table(map(_artifact_row, _some(self._known.artifacts, artifact_ids)))

    def get_all_artifacts_for_execution(self, execution_id: int) -> pd.DataFrame:
        """Return what goes into an execution and comes out of it; `event` says which."""
        return _table(
            {"event": event, **_artifact_row(one)}
            for event, one in self._known.artifacts_of(execution_id)
        )

    def get_all_artifacts_for_executions(self, execution_ids: Collection[int]) -> pd.DataFrame:
        """Return what goes into executions and comes out of them."""
        return _of_executions(self._known, execution_ids)

    def get_one_hop_child_artifacts(
        self, artifact_name: str, pipeline_id: int | None = None
    ) -> pd.DataFrame:
        """Return what was made of an artifact."""
        known = self._known
        artifact = known.named(artifact_name)
        numbers = _made_from(known, artifact.id, pipeline_id) if artifact else []
        return _table(map(_artifact_row, _some(known.artifacts, numbers)))

    def get_one_hop_parent_artifacts(self, artifact_name: str) -> pd.DataFrame:
        """Return what an artifact was made of."""
        known = self._known
        artifact = known.named(artifact_name)
        numbers = _made_of(known, artifact.id) if artifact else []
        return _table(map(_artifact_row, _some(known.artifacts, numbers)))

    def get_one_hop_parent_artifacts_with_id(self, artifact_id: int) -> pd.DataFrame:
        """Return what an artifact was made of, but for environments and labels."""
        known = self._known
        some = _some(known.artifacts, _made_of(known, artifact_id))
        return _table(_artifact_row(one) for one in some if one.type not in _NO_LINEAGE)

    def get_all_child_artifacts(self, artifact_name: str) -> pd.DataFrame:
        """Return all that came of an artifact, at any distance."""
        known = self._known
        numbers = _reached(known, artifact_name, _made_from)
        return _table(map(_artifact_row, _some(known.artifacts, numbers)))

    def get_all_parent_artifacts(self, artifact_name: str) -> pd.DataFrame:
        """Return all that led to an artifact, at any distance."""
        known = self._known
        numbers = _reached(known, artifact_name, _made_of)
        return _table(map(_artifact_row, _some(known.artifacts, numbers)))

    def get_metrics(self, metrics_name: str) -> pd.DataFrame | None:
        """Return the steps of metrics from their file, by the name of its artifact."""
        found = self._known.named(metrics_name)
        if found is None or found.type != "Step_Metrics":
            return None
        return pd.read_parquet(found.name.partition(f":{getattr(found, 'uri', '')}")[0])

    @staticmethod
    def read_dataslice(name: str) -> pd.DataFrame:
        """Return the members of a slice from its file."""
        return pd.read_parquet(name)

    # -- JSON ----------------------------------------------------------------------------------

    def dumptojson(self, pipeline_name: str, exec_uuid: str | None = None) -> str:
        """Return a pipeline as JSON, with all of its executions or those that have a UUID."""
        said = document.write(reading.graph(), [pipeline_name])
        for pipeline in said["Pipeline"]:
            for stage in pipeline["stages"]:
                stage["executions"] = [
                    one for one in stage["executions"]
                    if exec_uuid is None or exec_uuid in one["properties"]["Execution_uuid"]
                ]  # fmt: skip
        return json.dumps(said)

    def extract_to_json(self, last_sync_time: int) -> str:
        """Return all pipelines as JSON, with the executions that changed after a time (ms)."""
        said = document.write(reading.graph())
        for pipeline in said["Pipeline"]:
            for stage in pipeline["stages"]:
                stage["executions"] = [
                    one for one in stage["executions"]
                    if one["last_update_time_since_epoch"] > (last_sync_time or -1)
                ]  # fmt: skip
        return json.dumps(said)


def _in_stage(known: Answers, name: str) -> list[nodes.Node]:
    stage = known.stage(name)
    return [] if stage is None else known.executions_in(stage)


def _uuids(execution: nodes.Node) -> list[str]:
    return str(execution.properties["Execution_uuid"].string_value).split(",")


def _some(known: Mapping[int, nodes.Node], numbers: Iterable[int]) -> list[nodes.Node]:
    return [known[number] for number in numbers if number in known]


def _is_in(known: Answers, execution: int, pipeline: int | None) -> bool:
    return pipeline is None or any(
        nodes.number_of(parent) == pipeline
        for ref in known.graph.executions[known.executions.refs[execution]].contexts
        for parent in known.graph.contexts[ref].parents
    )


def _parents(known: Answers, execution: int, pipeline: int | None) -> list[int]:
    found = [one for number in known.read[execution] for one in known.writers[number]]
    return [one for one in found if _is_in(known, one, pipeline)]


def _made_from(known: Answers, artifact: int, pipeline: int | None = None) -> list[int]:
    executions = [one for one in known.readers[artifact] if _is_in(known, one, pipeline)]
    return list(dict.fromkeys(number for one in executions for number in known.written[one]))


def _made_of(known: Answers, artifact: int) -> list[int]:
    return list(dict.fromkeys(n for one in known.writers[artifact] for n in known.read[one]))


def _reached(known: Answers, name: str, step: Callable[[Answers, int], list[int]]) -> list[int]:
    first = known.named(name)
    found: dict[int, None] = {}
    waiting = [first.id] if first else []
    while waiting:
        for number in step(known, waiting.pop(0)):
            if number not in found:
                found[number] = None
                waiting.append(number)
    return list(found)


def _uses(known: Answers, artifact: int) -> pd.DataFrame:
    rows = []
    for event, numbers in (("INPUT", known.readers), ("OUTPUT", known.writers)):
        for one in _some(known.executions, numbers[artifact]):
            pipeline, stage = known.graph.places[one.ref]
            type_name = one.properties["Execution_type_name"].string_value
            rows.append({
                "Type": event, "execution_id": one.id, "execution_name": one.name,
                "execution_type_name": type_name, "stage": f"{pipeline}/{stage}",
                "pipeline": pipeline,
            })  # fmt: skip
    return _table(rows)


def _of_executions(known: Answers, executions: Collection[int]) -> pd.DataFrame:
    found = {one.id: one for number in executions for _, one in known.artifacts_of(number)}
    return _table(map(_artifact_row, found.values()))


def _values(node: nodes.Node) -> dict[str, Any]:
    """Return properties, and custom ones with a word before their names."""
    row = dict(node.properties.values_of())
    for key, value in node.custom_properties.values_of().items():
        name = wanted = f"custom_properties_{key}"
        index = 0
        while name in row:
            index += 1
            name = f"{wanted}_{index}"
        row[name] = value
    return row


def _execution_row(one: nodes.Node) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, **_values(one)}


def _artifact_row(one: nodes.Node) -> dict[str, Any]:
    return {
        "id": one.id, "type": one.type, "uri": getattr(one, "uri", ""), "name": one.name,
        "create_time_since_epoch": one.create_time_since_epoch,
        "last_update_time_since_epoch": one.last_update_time_since_epoch, **_values(one),
    }  # fmt: skip


def _table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a table, its columns in alphabetical order."""
    table = pd.DataFrame(list(rows))
    in_order: pd.DataFrame = table.reindex(sorted(table.columns), axis=1)
    return in_order
