"""A server of CMF's, as it is: sites feed and drain it beside CMF's own commands."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import cmf, cmf_installed
from support.cmflib import PYTHON, Ours, Real, graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PYTHON not in os.environ, reason=f"{PYTHON} does not name a Python that has cmflib"
    ),
]

CMFD = (sys.executable, "-m", "cmfd")
PROGRAM = """
import sys
from pathlib import Path

from cmflib import cmf

writer = cmf.Cmf(filepath="mlmd", pipeline_name=sys.argv[1])
writer.create_context(pipeline_stage="train", custom_properties={"owner": "ada"})
writer.create_execution(execution_type="train", custom_properties={"trees": 7, "rate": 0.25})
writer.log_dataset(f"{sys.argv[1]}.csv", "input", custom_properties={"kind": "raw"})
Path("model.bin").write_text(f"weights of {sys.argv[1]}")
writer.log_model(path="model.bin", event="output", model_framework="none", model_name="forest")
writer.log_execution_metrics("scores", {"auc": 0.875, "tries": 3})
writer.finalize()
"""
FILES = {"train.py": PROGRAM, "theirs.csv": "1,2\n", "ours.csv": "2,1\n"}
"""Of the same content CMF has one list of properties, whichever pipeline said what."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of one."""
    if lacking := cmf_installed.missing():
        pytest.skip(f"the Python that {PYTHON} names has no server of CMF's: it lacks {lacking}")
    with cmf_installed.serving(tmp_path_factory.mktemp("cmf") / "server") as url:
        yield url


@pytest.fixture(scope="module")
def real(server: str, tmp_path_factory: pytest.TempPathFactory) -> Real:
    """Return where CMF's own commands use that server."""
    made = Real(tmp_path_factory.mktemp("real") / "work", server=server)
    made.prepare(FILES)
    return made


def executions(said: Any) -> dict[str, Any]:
    """Return the executions of a document by their UUIDs."""
    found = [e for p in said["Pipeline"] for s in p["stages"] for e in s["executions"]]
    return {one["properties"]["Execution_uuid"]: one for one in found}


def used(execution: Any) -> list[Any]:
    """Return what an execution used, by what it is."""
    return sorted(
        (one["type"], one["artifact"]["type"], one["artifact"]["uri"])
        for one in execution["events"]
    )


def merged(pipeline: Any) -> list[Any]:
    """
    Return the graph of a pipeline, without what merging changes in CMF.

    That is the type of executions, and what it notes of when something was made.
    """
    for stage in pipeline["stages"]:
        for one in stage["executions"]:
            one["type"] = ""
            for node in (stage, one, *(event["artifact"] for event in one["events"]), pipeline):
                node["custom_properties"].pop("original_create_time_since_epoch", None)
    return graph_of(pipeline)


def test_from_site_to_site(server: str, tmp_path: Path) -> None:
    """Nothing is dropped; what its database has no room for goes as text, with a warning."""
    document = cmf.document()
    executions(document)[cmf.PREPARE_UUID]["custom_properties"] |= {
        "n_bytes": 2**31, "most": 2**31 - 1, "nothing": None
    }  # fmt: skip
    here = Ours(tmp_path / "here")
    here.prepare({"a.json": json.dumps(document)})
    here.call(*CMFD, "import", "cmf", "a.json")
    remote = f"cmf+{server}"

    (done,) = json.loads(here.call(*CMFD, "push", remote, "--json"))
    assert (done["state"], done["n_executions"]) == ("success", 2)
    assert done["as_text"] == [
        "Tracks/Prepare: n_bytes", "Tracks/Prepare: nothing", "Tracks/Train: n_est", "scores: loss"
    ]  # fmt: skip
    (again,) = json.loads(here.call(*CMFD, "push", remote, "--json"))
    assert again["state"] == "exists"

    there = ("--site", str(tmp_path / "there"))
    taken = json.loads(here.call(*CMFD, "pull", remote, "--pipeline", "Tracks", "--json", *there))
    assert [one["state"] for one in taken] == ["new", "new"]
    ours = executions(json.loads(here.call(*CMFD, "export", "cmf")))
    theirs = executions(json.loads(here.call(*CMFD, "export", "cmf", *there)))
    assert {uuid: used(one) for uuid, one in ours.items()} == {
        uuid: used(one) for uuid, one in theirs.items()
    }
    prepared = theirs[cmf.PREPARE_UUID]["custom_properties"]
    assert (prepared["n_bytes"], prepared["most"]) == (str(2**31), 2**31 - 1)
    assert theirs[cmf.PREPARE_UUID]["type"] == "Tracks/Prepare"
    known = json.loads(here.call(*CMFD, "pull", remote, "--pipeline", "Tracks", "--json", *there))
    assert [one["state"] for one in known] == ["known", "known"]


def test_from_cmf_to_a_site(real: Real, tmp_path: Path) -> None:
    """What CMF's own command pushed comes with all that it recorded."""
    real.run("train.py", "theirs")
    assert "SUCCESS" in real.call("cmf", "metadata", "push", "-p", "theirs")
    site = ("--site", str(tmp_path / "site"))
    real.call(*CMFD, "pull", f"cmf+{real.server}", "--pipeline", "theirs", *site)
    (said,) = json.loads(real.call(*CMFD, "export", "cmf", "--pipeline", "theirs", *site))[
        "Pipeline"
    ]
    assert merged(said) == merged(real.exported("theirs"))


def test_from_a_site_to_cmf(real: Real, tmp_path: Path) -> None:
    """CMF's own command pulls what a program recorded under cmfd."""
    ours = Ours(tmp_path / "ours" / "work")
    ours.prepare(FILES)
    ours.run("train.py", "ours")
    ours.call(*CMFD, "push", f"cmf+{real.server}", "--pipeline", "ours")
    assert "SUCCESS" in real.call("cmf", "metadata", "pull", "-p", "ours", "-f", "./pulled")
    assert merged(real.exported("ours", "pulled")) == merged(ours.exported("ours"))
