"""What programs log by digests that they know already, and what of CMF's own tools is elsewhere."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

from cmfd.compat import nodes
from cmfd.content.files import Hash
from cmfd.errors import ConfigError
from cmfd.formats.mlmd import graph
from cmfd.identity import uuid7
from cmfd.model import ArtifactKind, Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cmfd.compat.recorder import Recorder

    Given = Mapping[str, Any] | None

_MODEL = ("model_framework", "model_type", "model_name")
_KINDS = {
    "Dataset": ArtifactKind.DATASET, "Model": ArtifactKind.MODEL, "Label": ArtifactKind.LABEL,
    "Step_Metrics": ArtifactKind.METRICS, "Dataslice": ArtifactKind.DATASLICE,
    "Environment": ArtifactKind.ENVIRONMENT,
}  # fmt: skip
_NAMED = re.compile(r"(?P<name>.*?):(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?::.*)?")


def elsewhere(command: str) -> NoReturn:
    """
    Say which command does what was asked for.

    Raises
    ------
    ConfigError
        Always.
    """
    raise ConfigError(f"Nothing was done: with cmfd, a command does this. Run: {command}")


class Known:
    """The part of `Cmf` that records content without reading it, as its digest is given."""

    def ready(self) -> tuple[Recorder, nodes.Execution]:
        """Return what is logged to."""
        raise NotImplementedError

    def known(  # noqa: PLR0913, PLR0917 - what is said of it
        self, type_: str, path: str, uri: str, event: str, props: Given, custom: Given
    ) -> nodes.Artifact:
        """
        Record content by its digest.

        Parameters
        ----------
        type_ : str
            As CMF calls it.
        path : str
            Where it was; it need not be here.
        uri : str
            Its MD5, as DVC and CMF have it.
        event : str
            ``input``, else it is an output.
        props, custom : mapping, optional
            Properties as CMF keeps them, and the program's own.
        """
        recorder, execution = self.ready()
        given, said = dict(custom or {}), dict(props or {})
        own = {key: said[key] for key in _MODEL if type_ == "Model" and key in said}
        direction = Direction.INPUT if event.lower() == "input" else Direction.OUTPUT
        found = Hash(digest=graph.Artifact(type=type_, name=path, uri=uri).digest)
        recorder.value(direction, path, _KINDS[type_], found, {**own, **given})
        behind = f":{execution.id}" if type_ == "Model" else ""
        properties = {**said, "Commit": uri}
        return nodes.artifact(type_, f"{path}:{uri}{behind}", uri, properties, given)

    def log_dataset_with_version(
        self, url: str, version: str, event: str, props: Given = None,
        custom_properties: Given = None,
    ) -> nodes.Artifact:  # fmt: skip
        """Record a dataset of which `version` is the MD5."""
        return self.known("Dataset", url, version, event, props, custom_properties)

    def log_model_with_version(
        self, path: str, event: str, props: Given = None, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record a model of which ``props["uri"]`` is the MD5."""
        uri = str((props or {}).get("uri", ""))
        return self.known("Model", path, uri, event, props, custom_properties)

    def log_label_with_version(
        self, url: str, version: str, props: Given = None, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record a file of labels of which `version` is the MD5."""
        return self.known("Label", url, version, "input", props, custom_properties)

    def log_python_env_from_client(self, url: str, uri: str, props: Given = None) -> nodes.Artifact:
        """Record a list of what Python has installed, of which `uri` is the MD5."""
        return self.known("Environment", url, uri, "input", props, None)

    def log_step_metrics_from_client(
        self, metrics_name: str, uri: str, props: Given = None, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record a file of the steps of metrics, of which `uri` is the MD5."""
        path = metrics_name.partition(f":{uri}")[0]
        return self.known("Step_Metrics", path, uri, "output", props, custom_properties)

    def log_execution_metrics_from_client(
        self, metrics_name: str, custom_properties: Given = None
    ) -> nodes.Artifact:
        """Record values of metrics under the name and the UUID that CMF gave them."""
        found = _NAMED.fullmatch(metrics_name)
        identity = uuid.UUID(found["uuid"]).bytes if found else uuid7()
        return self.valued(found["name"] if found else metrics_name, identity, custom_properties)

    def valued(self, name: str, identity: bytes, custom: Given) -> nodes.Artifact:
        """Record the values of metrics that an execution came to."""
        recorder, execution = self.ready()
        given = dict(custom or {})
        recorder.metrics(given)
        uri = graph.uuid_text(identity)
        found = Hash(digest=f"mlmd:{identity.hex()}")
        recorder.value(Direction.OUTPUT, name, ArtifactKind.METRICS, found, given)
        name = f"{name}:{uri}:{execution.id}"
        return nodes.artifact("Metrics", name, uri, {"metrics_name": name}, given)

    def link_artifacts(
        self, artifact_source: nodes.Artifact, artifact_target: nodes.Artifact
    ) -> None:
        """Record that one comes of the other: what this execution has not yet goes in, or out."""
        recorder, _ = self.ready()
        for event, one in (("input", artifact_source), ("output", artifact_target)):
            path = one.name.partition(f":{one.uri}")[0]
            digest = graph.Artifact(type=one.type, name=path, uri=one.uri).digest
            if one.type in _KINDS and not recorder.has(digest):
                self.known(one.type, path, one.uri, event, one.properties.values_of(), None)

    def update_dataset_url(self, artifact: nodes.Artifact, updated_url: str) -> None:
        """Add a place to an artifact in hand; the site has each place from where it was used."""
        self.update_model_url([artifact], updated_url)

    def update_model_url(
        self, dup_artifact: Iterable[nodes.Artifact], updated_url: str
    ) -> list[nodes.Artifact]:
        """Add a place to artifacts in hand, as `update_dataset_url`; return them."""
        changed = list(dup_artifact)
        for one in changed:
            url = one.properties["url"]
            if updated_url not in url.string_value:
                url.string_value = ",".join(filter(None, (url.string_value.strip(), updated_url)))
        return changed

    def merge_created_context(self, *_: object, **__: object) -> NoReturn:
        """Say which commands take in what CMF recorded elsewhere."""
        elsewhere("cmfd import cmf FILE, or cmfd pull cmf+http://SERVER")

    merge_created_execution = merge_created_context
