"""The functions beside `Cmf`: what its commands do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cmfd.compat import reading
from cmfd.compat.known import elsewhere

if TYPE_CHECKING:
    from cmfd.compat.query import CmfQuery


def _query() -> CmfQuery:
    from cmfd.compat.query import CmfQuery  # noqa: PLC0415 - pandas: not for those who only log

    return CmfQuery()


def metadata_export(
    pipeline_name: str, json_file_name: str | None = None, file_name: str = "./mlmd"
) -> str:
    """Write a pipeline as JSON; default: into ``<pipeline>.json``."""
    from cmfd.formats.cmf import document  # noqa: PLC0415 - as above

    del file_name
    said = document.write(reading.graph([pipeline_name]), [pipeline_name])
    path = Path(json_file_name or f"{pipeline_name}.json")
    path.write_text(json.dumps(said), encoding="utf-8")
    return f"SUCCESS: metadata successfully exported in {path}."


def pipeline_list(file_name: str = "./mlmd") -> list[str]:
    """Return the names of pipelines."""
    del file_name
    return _query().get_pipeline_names()


def execution_list(
    pipeline_name: str, file_name: str = "./mlmd", execution_uuid: str | None = None
) -> Any:
    """Return the executions of a pipeline as a table."""
    del file_name
    found = _query().get_all_executions_in_pipeline(pipeline_name)
    if execution_uuid is not None and not found.empty:
        found = found[found["Execution_uuid"].str.contains(execution_uuid, regex=False)]
    return found


def artifact_list(
    pipeline_name: str, file_name: str = "./mlmd", artifact_name: str | None = None
) -> Any:
    """Return the artifacts of a pipeline as a table."""
    del file_name
    found = _query().get_all_artifacts_by_context(pipeline_name)
    if artifact_name is not None and not found.empty:
        found = found[found["name"].str.startswith(artifact_name)]
    return found


def cmf_init(*_: object, **__: object) -> str:
    """Do nothing: a site needs no remote and no repository."""
    return "SUCCESS: nothing is needed"


def cmf_init_show() -> str:
    """Return where things are kept."""
    return f"site = {reading.site()}"


def metadata_push(pipeline_name: str, *_: object, **__: object) -> NoReturn:
    """Say which command sends a pipeline to a server of CMF's."""
    elsewhere(f"cmfd push cmf+http://SERVER --pipeline {pipeline_name}")


def metadata_pull(pipeline_name: str, *_: object, **__: object) -> NoReturn:
    """Say which command brings a pipeline from a server of CMF's."""
    elsewhere(f"cmfd pull cmf+http://SERVER --pipeline {pipeline_name}")


def artifact_push(*_: object, **__: object) -> NoReturn:
    """Say which command stores what files hold."""
    elsewhere("cmfd run --dvc add --dvc-push -o FILE -- COMMAND")


def artifact_pull(*_: object, **__: object) -> NoReturn:
    """Say which command brings what files held."""
    elsewhere("cmfd artifacts pull DIGEST")


def repo_push(*_: object, **__: object) -> NoReturn:
    """Say which commands send all of it."""
    elsewhere("git push && dvc push && cmfd push")


def repo_pull(*_: object, **__: object) -> NoReturn:
    """Say which commands bring all of it."""
    elsewhere("git pull && dvc pull && cmfd pull")


def dvc_ingest(*_: object, **__: object) -> NoReturn:
    """Say which command takes in a pipeline of DVC's."""
    elsewhere("cmfd dvc ingest")
