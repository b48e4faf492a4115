"""
RO-Crate: executions as actions, by the profile Process Run Crate, or Workflow Run Crate.

https://www.researchobject.org/workflow-run-crate/profiles/process_run_crate/ (0.5). What is not in
the crate is named where it was, as ``file://HOST/PATH``, with its digest.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from cmfd.errors import FormatError
from cmfd.formats.places import reference
from cmfd.model import INSIDE, Status
from cmfd.query.located import is_slice, locate
from cmfd.query.runs import detail
from cmfd.query.times import iso
from cmfd.store.shared import whole

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cmfd.query.results import Artifact, Execution, RunDetail

_PROFILES = "https://w3id.org/ro/wfrun"
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_STATES = {
    Status.COMPLETED: "CompletedActionStatus",
    Status.RUNNING: "ActiveActionStatus",
}
"""Of schema.org; whatever else became of something is ``FailedActionStatus``."""


class Said(NamedTuple):
    """What a crate says of itself: RO-Crate wants all of it."""

    name: str
    description: str
    license: str


def write(  # noqa: PLR0913 - one call says it all, by name
    db: sqlite3.Connection,
    run_ids: Iterable[int],
    out: Path,
    said: Said,
    *,
    workflow: Path | None = None,
    with_data: bool = False,
) -> list[str]:
    """
    Write runs as a crate.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_ids : iterable of int
        The runs' numbers there.
    out : Path
        A directory, or a file if it ends with ``.zip``.
    said : Said
        What the crate is called, and under which licence it is.
    workflow : Path, optional
        The file that says how the steps of a run hang together: it goes into the crate as what was
        run, and each run becomes an action of it.
    with_data : bool
        Whether content goes into the crate that is still where it was.

    Returns
    -------
    list of str
        What was left out of the crate, and why: a sentence each.

    Raises
    ------
    FormatError
        It cannot be written; there is nothing then.
    """
    crate = _Crate(db, said, workflow, with_data=with_data)
    for run_id in run_ids:
        crate.add(detail(db, run_id))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole(out.absolute()) as partial:
            write_as = crate.crate.write_zip if out.suffix == ".zip" else crate.crate.write
            write_as(partial)
    except (OSError, ValueError) as error:
        raise FormatError(f"{out} cannot be written: {error}") from error
    return crate.left_out


class _Crate:
    """A crate, in which everything is said once."""

    def __init__(
        self, db: sqlite3.Connection, said: Said, workflow: Path | None, *, with_data: bool
    ) -> None:
        self.db, self.with_data = db, with_data
        self.left_out: list[str] = []
        self.crate = ROCrate(version="1.1")
        self.crate.name, self.crate.description = said.name, said.description
        self.crate.license = said.license
        self.crate.metadata.extra_contexts.append(_TERMS)
        self._entities: dict[str, Any] = {}
        self.workflow: Any = None
        profiles = [("process", "Process Run Crate", "0.5")]
        if workflow is not None:
            self.workflow = self._workflow(workflow)
            profiles += [("workflow", "Workflow Run Crate", "0.5")]
        ids = []
        for kind, name, version in profiles:
            about = {"@type": "CreativeWork", "name": name, "version": version}
            ids.append(self._entity(f"{_PROFILES}/{kind}/{version}", about))
        if workflow is not None:
            about = {"@type": "CreativeWork", "name": "Workflow RO-Crate", "version": "1.0"}
            ids.append(self._entity("https://w3id.org/workflowhub/workflow-ro-crate/1.0", about))
        self.crate.root_dataset["conformsTo"] = ids

    def add(self, found: RunDetail) -> None:
        """Say a run's executions; of a workflow, the run itself as well."""
        if self.workflow is not None and found.run.began_ns is not None:
            run = found.run
            self._action(
                f"#run-{run.run}", run.name or self.workflow["name"], run, found,
                instrument=self.workflow, artifacts=found.artifacts,
            )  # fmt: skip
        for one in found.executions:
            if one.began_ns is not None:
                mine = [each for each in found.artifacts if each.execution == one.execution]
                name = f"{one.pipeline}.{one.stage}"
                params = [
                    self._param(param) for param in found.params if param.execution == one.execution
                ]
                self._action(
                    f"#execution-{one.execution}", name, one, found,
                    instrument=self._tool(found, one, name), artifacts=mine, params=params,
                )  # fmt: skip

    def _action(  # noqa: PLR0913 - what an action is made of
        self,
        ref: str,
        name: str,
        one: Any,
        found: RunDetail,
        *,
        instrument: Any,
        artifacts: list[Artifact],
        params: Iterable[Any] = (),
    ) -> None:
        status = _STATES.get(Status(one.status), "FailedActionStatus")
        results = {each.digest: each for each in artifacts if each.direction == "output"}
        objects = {each.digest: each for each in artifacts if each.direction == "input"}
        if instrument is self.workflow:  # what one step wrote and the next one read came of it
            objects = {digest: objects[digest] for digest in objects if digest not in results}
        said = {
            "@type": "CreateAction",
            "name": name,
            "instrument": instrument,
            "object": [*map(self._content, objects.values()), *params],
            "result": list(map(self._content, results.values())),
            "startTime": iso(one.began_ns),
            "actionStatus": {"@id": f"http://schema.org/{status}"},
            "agent": self._entity(
                f"#user-{quote(found.run.user or 'unknown', safe='')}",
                {"@type": "Person", "name": found.run.user or "unknown"},
            ),
        }
        if one.ended_ns is not None:
            said["endTime"] = iso(one.ended_ns)
        if status == "FailedActionStatus":
            said["error"] = f"{one.status}, exit code {one.exit_code}, signal {one.signal}"
        self.crate.root_dataset.append_to("mentions", self._entity(ref, said))

    def _tool(self, found: RunDetail, one: Execution, name: str) -> Any:
        """Return the program: its stage, at its commit."""
        about: dict[str, Any] = {"@type": "SoftwareApplication", "name": name}
        code = found.code(one.execution)
        if isinstance(code.get("commit"), str):
            about["softwareVersion"] = code["commit"]
        if isinstance(code.get("remote"), str):
            about["codeRepository"] = code["remote"]
        version = about.get("softwareVersion", "")
        return self._entity(f"#{quote(name, safe='.')}{version and '-'}{version}", about)

    def _param(self, param: Any) -> Any:
        value = param.value
        if isinstance(value, (list, dict)) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            value = json.dumps(value)
        # By its value as well: a rank may have said several, and 1 and True are two.
        said = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
        return self._entity(
            f"#param-{param.execution}-{quote(param.key, safe='')}-{param.rank}-{said}",
            {"@type": "PropertyValue", "name": param.key, "value": value},
        )

    def _content(self, artifact: Artifact) -> Any:
        """Return content: in the crate, if it is to be there and can be, else where it was."""
        known = self._entities.get(artifact.digest)
        if known is None:
            known = self._entities[artifact.digest] = self._new_content(artifact)
        return known

    def _new_content(self, artifact: Artifact) -> Any:
        is_directory = artifact.digest.endswith(".dir")
        about: dict[str, Any] = {
            "name": artifact.path,
            "identifier": artifact.digest,
            "additionalType": artifact.kind,
        }
        if artifact.strong:
            about["sha256"] = artifact.strong.removeprefix("sha256:")
        if artifact.size_bytes is not None and artifact.size_bytes >= 0:
            about["contentSize"] = str(artifact.size_bytes)
        add = self.crate.add_dataset if is_directory else self.crate.add_file
        is_inside = INSIDE in artifact.path or is_slice(artifact.digest)
        if self.with_data and not is_inside:
            at, problem = locate(self.db, artifact.digest, artifact.absolute)
            if at is not None:
                folder = artifact.digest.replace(":", "-").removesuffix(".dir")
                return add(at, f"data/{folder}/{Path(at).name}", properties=about)
            self.left_out.append(f"{artifact.path}: {problem}")
        where = reference(artifact.path, artifact.absolute, artifact.host)
        return add(f"{where}#{artifact.digest}", fetch_remote=False, properties=about)

    def _workflow(self, path: Path) -> Any:
        """Put the workflow into the crate, as what it is about."""
        language = self._entity(
            f"#language-{path.suffix.removeprefix('.') or path.name}",
            {"@type": "ComputerLanguage", "name": path.suffix.removeprefix(".") or path.name},
        )
        made = self.crate.add(
            ComputationalWorkflow(self.crate, str(path), path.name, properties={"name": path.stem})
        )
        made["programmingLanguage"] = language
        self.crate.mainEntity = made
        return made

    def _entity(self, ref: str, about: dict[str, Any]) -> Any:
        if ref not in self._entities:
            self._entities[ref] = self.crate.add(ContextEntity(self.crate, ref, properties=about))
        return self._entities[ref]
