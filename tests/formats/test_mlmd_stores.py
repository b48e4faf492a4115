"""Stores of ML Metadata come in whole, and go out so that its own library opens them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import cmf

from cmfd.store.connection import sql

if TYPE_CHECKING:
    from collections.abc import Callable

    Cmfd = Callable[..., Any]

CONTENT = """
INSERT INTO Type VALUES (1, 'mlmd.Dataset', NULL, 1, 'a base type', NULL, NULL, 'x-1');
INSERT INTO Type VALUES (2, 'Examples', 'v2', 1, NULL, NULL, NULL, NULL);
INSERT INTO Type VALUES (3, 'Trainer', NULL, 0, NULL, NULL, NULL, NULL);
INSERT INTO Type VALUES (4, 'pipeline', NULL, 2, NULL, NULL, NULL, NULL);
INSERT INTO Type VALUES (5, 'pipeline_run', NULL, 2, NULL, NULL, NULL, NULL);
INSERT INTO TypeProperty VALUES (2, 'span', 1), (2, 'split_names', 3);
INSERT INTO ParentType VALUES (2, 1);
INSERT INTO Context VALUES (1, 4, 'taxi', NULL, 1000, 1001), (2, 5, 'taxi.1', NULL, 1002, 1003);
INSERT INTO ParentContext VALUES (2, 1);
INSERT INTO ContextProperty VALUES (1, 'owner', 1, NULL, NULL, 'ada', NULL, NULL, NULL);
INSERT INTO Artifact VALUES (1, 2, '/data/1', 2, 'examples', NULL, 1004, 1005);
INSERT INTO Artifact VALUES (2, 2, '/data/2', NULL, NULL, 'x-9', 1006, 1006);
INSERT INTO ArtifactProperty VALUES
    (1, 'span', 0, 9223372036854775807, NULL, NULL, NULL, NULL, NULL),
    (1, 'split_names', 0, NULL, NULL, '["train"]', NULL, NULL, NULL),
    (1, 'share', 1, NULL, 0.1234567890123, NULL, NULL, NULL, NULL),
    (1, 'blob', 1, NULL, NULL, NULL, x'00ff', NULL, NULL),
    (1, 'proto', 1, NULL, NULL, NULL, NULL, x'0a01', NULL),
    (1, 'shuffled', 1, NULL, NULL, NULL, NULL, NULL, 1);
INSERT INTO Execution VALUES (1, 3, 4, NULL, NULL, 1007, 1009);
INSERT INTO Execution VALUES (2, 3, 3, 'again', NULL, 1010, 1011);
INSERT INTO ExecutionProperty VALUES (1, 'lr', 1, NULL, 1e-7, NULL, NULL, NULL, NULL);
INSERT INTO Event VALUES (1, 1, 1, 2, 1007), (2, 2, 1, 4, 1008), (3, 2, 2, 3, 1010);
INSERT INTO EventPath VALUES (1, 0, NULL, 'examples'), (1, 1, 0, NULL);
INSERT INTO Association VALUES (1, 2, 1), (2, 2, 2);
INSERT INTO Attribution VALUES (1, 2, 1);
"""
TABLES = (
    "Type", "TypeProperty", "ParentType", "Context", "ParentContext", "ContextProperty", "Artifact",
    "ArtifactProperty", "Execution", "ExecutionProperty", "Event", "EventPath", "Association",
    "Attribution", "MLMDEnv",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store as TFX would write one, with a value of each type."""
    path = tmp_path / "metadata.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql("mlmd/schema") + CONTENT)
    return path


def rows(path: Path) -> dict[str, list[Any]]:
    """Return all rows of a store."""
    with closing(sqlite3.connect(path)) as db:
        return {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in TABLES}


def test_a_store_goes_out_as_it_came_in(cmfd: Cmfd, store: Path, tmp_path: Path) -> None:
    """Row by row: types, versions, parents, paths of events, bytes, numbers."""
    done = cmfd("import", "mlmd", str(store), "--json")
    assert [(one["pipeline"], one["stage"], one["state"]) for one in done] == [
        ("taxi", "Trainer", "new"), ("taxi", "Trainer", "new")
    ]  # fmt: skip
    digest = cmfd("site", "digest")
    cmfd("import", "mlmd", str(store))
    assert cmfd("site", "digest") == digest
    out = tmp_path / "out.sqlite"
    cmfd("export", "mlmd", str(out))
    assert rows(out) == rows(store)
    assert "is there already" in cmfd("export", "mlmd", str(out), code=3)
    assert rows(out) == rows(store)


def test_how_executions_ended_and_what_they_used_is_known(cmfd: Cmfd, store: Path) -> None:
    """A state of MLMD's is a status; what came of an artifact is found."""
    cmfd("import", "mlmd", str(store))
    runs = cmfd("runs", "--json")
    assert sorted(one["status"] for one in runs) == ["completed", "failed"]
    (digest,) = [
        one["digest"] for one in cmfd("artifacts", "list", "--json") if one["path"] == "examples"
    ]
    assert len(cmfd("impact", digest, "--json")["executions"]) == 2


def test_what_is_no_store_is_said(cmfd: Cmfd, store: Path, tmp_path: Path) -> None:
    """Another file, another database, a schema of the future: nothing is kept."""
    (tmp_path / "text").write_text("no database" * 100)
    assert "no store of ML Metadata" in cmfd("import", "mlmd", str(tmp_path / "text"), code=21)
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        db.execute("CREATE TABLE a (b)")
    assert "MLMDEnv" in cmfd("import", "mlmd", str(tmp_path / "other"), code=21)
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE MLMDEnv SET schema_version = 11")
    assert "schema 11" in cmfd("import", "mlmd", str(store), code=21)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("version", "place", "name"),
    [(0, "mlmd", ""), (2, "mlmd", ""), (5, "taxi", "first"), (9, "taxi", "first")],
)
def test_stores_of_older_schemas(
    cmfd: Cmfd, tmp_path: Path, version: int, place: str, name: str
) -> None:
    """Parameters, artifacts and events, and of contexts, names and times what there was then."""
    text = (Path(__file__).parent / "stores" / f"mlmd-{version}.sql").read_text("utf-8")
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as db:
        db.executescript(text)
    (done,) = cmfd("import", "mlmd", str(tmp_path / "old.sqlite"), "--json")
    assert (done["pipeline"], done["stage"], done["state"]) == (place, "Trainer", "new")
    cmfd("export", "mlmd", str(tmp_path / "new.sqlite"))
    with closing(sqlite3.connect(tmp_path / "new.sqlite")) as db:
        (found,) = db.execute(
            "SELECT e.name, p.int_value, t.name FROM Execution AS e"
            " JOIN ExecutionProperty AS p ON p.execution_id = e.id AND p.name = 'trees'"
            " JOIN Type AS t ON t.id = e.type_id"
        )
        assert found == (name or None, 7, "Trainer")
        used = db.execute(
            "SELECT v.type, a.uri, p.step_key FROM Event AS v"
            " JOIN Artifact AS a ON a.id = v.artifact_id"
            " JOIN EventPath AS p ON p.event_id = v.id AND p.step_key IS NOT NULL ORDER BY v.type"
        ).fetchall()
        assert used == [(3, "1d" * 16, "examples"), (4, "f0" * 16, "model")]


def test_cmfs_json_goes_into_a_store_and_back(cmfd: Cmfd, tmp_path: Path) -> None:
    """Whatever way it came, an execution is the same one."""
    (tmp_path / "a.json").write_text(json.dumps(cmf.document()))
    first = cmfd("import", "cmf", str(tmp_path / "a.json"), "--json")
    cmfd("export", "mlmd", str(tmp_path / "mlmd"))
    second = cmfd("import", "mlmd", str(tmp_path / "mlmd"), "--json", site="other")
    assert [one["execution"] for one in second] == [one["execution"] for one in first]
    (pipeline,) = cmfd("export", "cmf", site="other")["Pipeline"]
    numbers = {one["type_id"] for one in (pipeline, *pipeline["stages"])}
    assert len(numbers) == 2  # as CMF writes the numbers of types, of what a store has


QUERY = """
import sys
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

config = proto.ConnectionConfig()
config.sqlite.filename_uri = sys.argv[1]
store = metadata_store.MetadataStore(config)
(training,) = [one for one in store.get_executions() if one.type == "Train"]
events = store.get_events_by_execution_ids([training.id])
artifacts = store.get_artifacts_by_id([event.artifact_id for event in events])
(context,) = store.get_contexts_by_execution(training.id)
(pipeline,) = store.get_parent_contexts_by_context(context.id)
auc = [one.custom_properties["auc"].double_value for one in artifacts if one.type == "Metrics"]
print(pipeline.name, context.name, sorted(one.type for one in artifacts), auc)
"""


@pytest.mark.slow
def test_its_own_library_opens_and_queries_an_export(
    cmfd: Cmfd, tmp_path: Path, ml_metadata: str
) -> None:
    """Executions, events, artifacts, contexts and their parents, as programs ask for them."""
    (tmp_path / "a.json").write_text(json.dumps(cmf.document()))
    cmfd("import", "cmf", str(tmp_path / "a.json"))
    cmfd("export", "mlmd", str(tmp_path / "mlmd"))
    command = [ml_metadata, "-c", QUERY, str(tmp_path / "mlmd")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "Tracks Tracks/Train ['Dataset', 'Metrics', 'Model'] [0.87425192807]"
    )


@pytest.fixture
def ml_metadata() -> str:
    """Return a Python that has ml-metadata, which has wheels for few of them."""
    python = os.environ.get("CMFD_MLMD_PYTHON")
    if python is None:
        pytest.skip(
            "it needs ml-metadata, which stands in the way of newer attrs and protobuf: "
            "name a Python that has it in CMFD_MLMD_PYTHON"
        )
    return python
