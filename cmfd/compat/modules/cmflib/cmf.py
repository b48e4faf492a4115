"""`Cmf`, and the functions beside it."""

from cmfd.compat.functions import (
    artifact_list,
    artifact_pull,
    artifact_push,
    cmf_init,
    cmf_init_show,
    dvc_ingest,
    execution_list,
    metadata_export,
    metadata_pull,
    metadata_push,
    pipeline_list,
    repo_pull,
    repo_push,
)
from cmfd.compat.writer import Cmf

__all__ = [
    "Cmf", "artifact_list", "artifact_pull", "artifact_push", "cmf_init", "cmf_init_show",
    "dvc_ingest", "execution_list", "metadata_export", "metadata_pull", "metadata_push",
    "pipeline_list", "repo_pull", "repo_push",
]  # fmt: skip
