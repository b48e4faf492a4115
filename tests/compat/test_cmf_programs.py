"""Programs written for CMF's library run as they are, and what they log is kept whole."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.dvc import Repo
from support.wrapper import CMFD, Node

if TYPE_CHECKING:
    from pathlib import Path

PREPARE = """
from cmflib.cmf import Cmf

writer = Cmf(filename="mlmd", pipeline_name="tracks", graph=False)
writer.create_context(pipeline_stage="Prepare", custom_properties={"owner": "ada"})
params = {"split": 0.1 + 0.2, "seed": 2**63, "none": None, "nan": float("nan"), "shuffle": True}
execution = writer.create_execution(execution_type="Prepare", custom_properties=params)
assert execution.properties["Execution_type_name"].string_value == "tracks/Prepare"
data = writer.log_dataset(
    "hits.csv", "input", custom_properties={"kind": "raw", "path": "a name of ours"},
    label="labels.csv", label_properties={"by": "eve"},
)
assert data.name == f"hits.csv:{data.uri}"
open("train.tsv", "w").write("1 2 3")
writer.log_dataset("train.tsv", "output")
part = writer.create_dataslice(name="barrel")
part.add_data(path="./hits.csv", custom_properties={"eta": "low"})
part.commit()
members = writer.read_dataslice(name="barrel")
assert members.loc["./hits.csv", "eta"] == "low"
writer.update_dataslice("barrel", "./hits.csv", {"eta": "high"})
assert writer.read_dataslice("barrel").loc["./hits.csv", "eta"] == "high"
writer.finalize()
"""

TRAIN = """
from cmflib.cmf import Cmf
from cmflib.cmfquery import CmfQuery

writer = Cmf("mlmd", "tracks")
writer.create_context("Train")
writer.create_execution("Train-execution", {"lr": 1e-7})
writer.log_dataset("train.tsv", "input")
for step in range(3):
    writer.log_metric("course", {"loss": 1 / (step + 1)})
writer.commit_metrics("course")
open("model.bin", "w").write("weights")
model = writer.log_model(
    path="model.bin", event="output", model_framework="torch", model_type="gnn", model_name="t1"
)
writer.finalize()
writer.log_execution_metrics("scores", {"auc": 0.123456789012345, "bad": float("nan")})

query = CmfQuery("mlmd")
assert query.get_pipeline_names() == ["tracks"]
assert query.get_pipeline_stages("tracks") == ["tracks/Prepare", "tracks/Train"]
trained = query.get_all_executions_in_stage("tracks/Train")
assert {"Git_Start_Commit", "Git_End_Commit", "id", "name"} < set(trained.columns)
assert trained["custom_properties_lr"].tolist() == [1e-7]
number = int(trained["id"][0])
used = query.get_all_artifacts_for_execution(number)
assert sorted(zip(used["event"], used["type"])) == [
    ("INPUT", "Dataset"), ("INPUT", "Environment"), ("OUTPUT", "Metrics"), ("OUTPUT", "Model"),
    ("OUTPUT", "Step_Metrics"),
]
assert model.name in query.get_all_artifacts()
above = query.get_all_parent_artifacts(model.name)["name"].tolist()
assert any(name.startswith("hits.csv:") for name in above)
hits = next(name for name in above if name.startswith("hits.csv:"))
assert model.name in query.get_all_child_artifacts(hits)["name"].tolist()
assert query.find_producer_execution(model.name).id == number
assert query.get_one_hop_parent_executions([number])[0].type == "Prepare"
assert query.get_all_executions_for_artifact("no such").empty
assert "tracks/Train" in query.dumptojson("tracks")
"""

AGAIN = """
from cmflib.cmf import Cmf
from cmflib.cmfquery import CmfQuery

writer = Cmf("mlmd", "tracks")
stage = writer.create_context("Fit")
first = writer.create_execution("fit-1", {"a": 1}, create_new_execution=False)
same = writer.create_execution("fit-1", {"b": 2}, create_new_execution=False)
assert first.id == same.id
(found,) = CmfQuery("mlmd").get_all_exe_in_stage(stage.name)
assert (found.id, found.name) == (first.id, "fit-1")
"""

LATER = """
from cmflib.cmf import Cmf
from cmflib.cmfquery import CmfQuery

writer = Cmf("mlmd", "tracks")
stage = writer.child_context = writer.create_context("Fit")
(found,) = CmfQuery("mlmd").get_all_exe_in_stage(stage.name)
writer.execution = found
writer.update_execution(found.id, {"c": 3})
writer.log_execution_metrics("late", {"auc": 0.25})
"""

KNOWN = """
from cmflib.cmf import Cmf

writer = Cmf("mlmd", "tracks")
writer.create_context("Known")
writer.create_execution("Known")
props = {"url": "tracks:/store/a", "uri": "b" * 32, "model_type": "gnn"}
data = writer.log_dataset_with_version("far.csv", "a" * 32, "input", props, {"kind": "raw"})
model = writer.log_model_with_version("far.bin", "output", props, {"depth": 3})
assert (data.name, model.uri) == (f"far.csv:{'a' * 32}", "b" * 32)
writer.log_label_with_version("labels", "c" * 32)
writer.log_python_env_from_client("env.txt", "d" * 32)
writer.log_step_metrics_from_client(f"course:{'e' * 32}:7", "e" * 32)
writer.create_dataslice("part").log_dataslice_from_client("f" * 32)
named = "scores:97636a0a-e67f-11f1-b54e-02fc00000001:7"
assert writer.log_execution_metrics_from_client(named, {"auc": 0.5}).uri == named[7:43]
(model,) = writer.update_model_url([model], "elsewhere:/b")
writer.update_dataset_url(data, "elsewhere:/a")
assert data.properties["url"].string_value == "tracks:/store/a,elsewhere:/a"

writer.create_execution("Linked")
writer.link_artifacts(data, model)
writer.link_artifacts(data, model)
"""

NANO = """
from cmflib.cmf import Cmf

Cmf().log_dataset("hits.csv", "input")
"""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node without a daemon, with files to log."""
    made = Node(tmp_path, {"CMFD_AUTOSTART": "false", "CMFD_STRICT": "true"})
    (made.cwd / "hits.csv").write_text("1,2\n")
    (made.cwd / "labels.csv").write_text("1,a\n")
    return made


def run(node: Node, program: str, name: str) -> None:
    """Run a program as a user does."""
    (node.cwd / name).write_text(program)
    done = node.cmfd("run", "--cmf-compat", "-q", "--", sys.executable, name)
    assert done.returncode == 0, done.stderr.decode()


def exported(node: Node, *words: str) -> Any:
    """Return an export, as CMF would write it."""
    done = node.cmfd("export", "cmf", *words)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.slow
def test_programs_of_a_pipeline_run_as_they_are(node: Node) -> None:
    """Names, kinds and edges are CMF's; floats have all their bits; nothing that is odd is lost."""
    run(node, PREPARE, "prepare.py")
    run(node, TRAIN, "train.py")
    (pipeline,) = exported(node)["Pipeline"]
    prepare, train = pipeline["stages"]
    assert prepare["custom_properties"] == {"owner": "ada"}
    (execution,) = prepare["executions"]
    said = execution["custom_properties"]
    assert (said["split"], said["seed"], said["none"]) == (0.1 + 0.2, 2**63, None)
    assert said["nan"] != said["nan"]  # what a NaN is
    kinds = [(one["type"], one["artifact"]["type"]) for one in execution["events"]]
    assert sorted(kinds) == [
        (3, "Dataset"), (3, "Environment"), (3, "Label"), (4, "Dataset"), (4, "Dataslice")
    ]  # fmt: skip
    by_type = {
        (one["type"], one["artifact"]["type"]): one["artifact"] for one in execution["events"]
    }
    data, label = by_type[3, "Dataset"], by_type[3, "Label"]
    assert data["custom_properties"] == {
        "kind": "raw", "path": "a name of ours", "labels": "labels.csv",
        "labels_uri": f"labels.csv:{label['uri']}",
    }  # fmt: skip
    assert label["custom_properties"] == {"by": "eve", "dataset_uri": data["uri"]}
    (training,) = train["executions"]
    model = next(e["artifact"] for e in training["events"] if e["artifact"]["type"] == "Model")
    assert model["properties"]["model_framework"] == "torch"
    scores = next(e["artifact"] for e in training["events"] if e["artifact"]["type"] == "Metrics")
    assert scores["custom_properties"]["auc"] == 0.123456789012345

    last = {one["name"]: one["last"] for one in node.last()["metrics"]}
    assert (last["auc"], last["course.loss"]) == (0.123456789012345, 1 / 3)


@pytest.mark.slow
def test_an_execution_can_be_gone_on_with(node: Node) -> None:
    """By its name, and by what a query returned, in the same program and in a later one."""
    run(node, AGAIN, "again.py")
    run(node, LATER, "later.py")
    (pipeline,) = exported(node)["Pipeline"]
    (execution,) = pipeline["stages"][0]["executions"]
    said = execution["custom_properties"]
    assert [said[key] for key in "abc"] == [1, 2, 3]
    (late,) = [e for e in execution["events"] if e["artifact"]["type"] == "Metrics"]
    assert late["artifact"]["name"].startswith("late:")


@pytest.mark.slow
def test_content_can_be_logged_by_the_digest_that_it_is_known_by(node: Node) -> None:
    """It need not be here; what comes of what is an edge, too."""
    run(node, KNOWN, "known.py")
    (pipeline,) = exported(node)["Pipeline"]
    linked, known = pipeline["stages"][0]["executions"]
    used = sorted(
        (one["type"], one["artifact"]["type"], one["artifact"]["uri"]) for one in known["events"]
    )
    assert used[0] == (3, "Dataset", "a" * 32)
    assert (3, "Environment", "d" * 32) in used
    assert [(type_, uri) for _, type_, uri in used if type_ != "Environment"][1:] == [
        ("Label", "c" * 32), ("Dataslice", "f" * 32),
        ("Metrics", "97636a0a-e67f-11f1-b54e-02fc00000001"), ("Model", "b" * 32),
        ("Step_Metrics", "e" * 32),
    ]  # fmt: skip
    edges = [(one["type"], one["artifact"]["uri"]) for one in linked["events"]]
    assert edges[1:] == [(3, "a" * 32), (4, "b" * 32)]


FAILING = """
from cmflib import cmf

writer = cmf.Cmf("mlmd", "tracks")
writer.log_dataset("no such file", "input")
for failing in (
    lambda: writer.merge_created_context("tracks/Train"),
    lambda: writer.merge_created_execution("Train", "train.py"),
    lambda: cmf.metadata_push("tracks"),
    lambda: cmf.metadata_export("nowhere"),
):
    try:
        failing()
    except Exception as error:
        print(error)
    else:
        raise SystemExit("it said nothing")
cmf.artifact_pull("tracks")
"""


@pytest.mark.slow
def test_what_fails_shows(node: Node) -> None:
    """By an exit code, with what to do; a job only is not ended by what cannot be recorded."""
    (node.cwd / "failing.py").write_text(FAILING)
    command = ("run", "--cmf-compat", "-q", "--", sys.executable, "failing.py")
    strict = node.cmfd(*command)
    assert strict.returncode == 1
    assert b"what no such file holds is not known" in strict.stderr

    node.environ["CMFD_STRICT"] = "false"
    done = node.cmfd(*command)
    assert done.returncode == 1
    assert done.stderr.count(b"what no such file holds is not known") == 1
    assert b"cmfd artifacts pull" in done.stderr
    assert [line.split(". ")[-1] for line in done.stdout.decode().splitlines()] == [
        "Run: cmfd import cmf FILE, or cmfd pull cmf+http://SERVER",
        "Run: cmfd import cmf FILE, or cmfd pull cmf+http://SERVER",
        "Run: cmfd push cmf+http://SERVER --pipeline tracks",
        "`cmfd runs` lists what is.",
    ]


@pytest.mark.slow
def test_one_call_is_enough_and_many_programs_lose_nothing(node: Node) -> None:
    """Stage and execution are the program's; six at once are six executions."""
    (node.cwd / "nano.py").write_text(NANO)
    command = ("run", "--cmf-compat", "-q", "--", sys.executable, "nano.py")
    node.environ["CMFD_AUTO_MERGE"] = "false"
    started = [node.start(*command, stderr=subprocess.PIPE) for _ in range(6)]
    assert [one.communicate()[1] for one in started] == [b""] * 6
    node.cmfd("merge", str(node.node_dir))
    (pipeline,) = exported(node, "--pipeline", "work")["Pipeline"]
    (stage,) = pipeline["stages"]
    assert stage["name"] == "work/nano"
    assert len(stage["executions"]) == 6
    assert all(len(one["events"]) == 2 for one in stage["executions"])


@pytest.mark.slow
def test_a_query_leaves_runs_of_other_sites_where_they_belong(node: Node) -> None:
    """The node keeps what its user runs at any site; a question to one site moves nothing."""
    done = node.cmfd("run", "-q", "--site", "elsewhere", "--pipeline", "others", "--", "true")
    assert done.returncode == 0
    program = (
        "import cmfd; import cmfd.compat.as_cmflib; from cmflib.cmfquery import CmfQuery;"
        " cmfd.start('ours', 'ask'); assert CmfQuery().get_pipeline_names() == ['ours']"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=node.cwd, env=node.environment()
    )
    elsewhere = node.json("runs", "--site", "elsewhere")
    assert [found["stages"] for found in elsewhere] == [["others.true"]]


@pytest.mark.slow
def test_lists_are_of_one_pipeline_and_of_a_name_or_uuid(node: Node) -> None:
    """The functions beside `Cmf`, as CMF's own commands ask."""
    program = """
import cmfd.compat.as_cmflib
from cmflib import cmf
for name in ("a", "b"):
    log = cmf.Cmf("mlmd", name)
    log.create_context("s")
    for number in range(2):
        file = f"{name}{number}.csv"
        open(file, "w").write(file)
        log.create_execution(f"e{number}")
        log.log_dataset(file, "output")
assert sorted(cmf.pipeline_list()) == ["a", "b"]
found = cmf.execution_list("a")
assert len(found) == 2
uuid = found["Execution_uuid"].iloc[0]
assert list(cmf.execution_list("a", execution_uuid=uuid)["Execution_uuid"]) == [uuid]
environment, *files = sorted(cmf.artifact_list("b")["name"], key=lambda name: name[0] == "b")
assert environment.startswith("cmf_artifacts/python_env_")
assert sorted(name.partition(":")[0] for name in files) == ["b0.csv", "b1.csv"]
assert len(cmf.artifact_list("b", artifact_name="b1.csv")) == 1
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=node.cwd, env=node.environment()
    )


@pytest.mark.slow
def test_each_question_is_answered_with_what_was_logged_until_then(node: Node) -> None:
    """By this program, however soon it asks again, and by those that it has run meanwhile."""
    program = f"""
import cmfd, cmfd.compat.as_cmflib, subprocess
from cmflib.cmfquery import CmfQuery
ask = CmfQuery()
with cmfd.start("ours", "first") as ex:
    for number in range(5):
        ex.param(f"p{{number}}", number)
        (row,) = ask.get_all_executions_in_stage("ours/first").to_dict("records")
        assert [row[f"custom_properties_p{{n}}"] for n in range(number + 1)] == [*range(number + 1)]
command = [*{CMFD!r}, "run", "-q", "--pipeline", "others", "--", "true"]
subprocess.run(command, check=True)
assert sorted(ask.get_pipeline_names()) == ["others", "ours"] == sorted(ask.get_pipeline_names())
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=node.cwd, env=node.environment()
    )


def test_nobody_gets_it_who_did_not_ask(node: Node) -> None:
    """Neither by importing cmfd nor by having it installed; a line asks for it."""
    program = (
        "import cmfd, sys; assert not [n for n in sys.modules if 'compat' in n]; import cmflib"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=node.cwd
    )
    assert "No module named 'cmflib'" in done.stderr
    program = (
        "import cmfd.compat.as_cmflib; from cmflib.cmf import Cmf, metadata_export; Cmf.DataSlice"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=node.cwd)


KEEPING = """
import subprocess
from cmflib.cmf import Cmf

writer = Cmf("mlmd", "tracks")
writer.create_context("Train")
writer.create_execution("Train")
for step in range(2):
    open("model.bin", "w").write(f"weights {step}")
    model = writer.log_model(path="model.bin", event="output")
subprocess.run(["git", "add", "model.bin.dvc", ".gitignore"], check=True)
subprocess.run(["git", "commit", "-q", "-m", "a model"], check=True)
writer.finalize()
print(model.uri)
"""


@pytest.mark.slow
def test_dvc_stores_what_a_program_logs_where_that_is_asked_for(tmp_path: Path) -> None:
    """Each version of it; and the commit at the end is known where the program made one."""
    repo = Repo.make(tmp_path / "work")
    repo.commit()
    node = Node(tmp_path, {**repo.environ, "CMFD_AUTOSTART": "false", "CMFD_STRICT": "true"})
    (node.cwd / "keep.py").write_text(KEEPING)
    kept = ("run", "--cmf-compat", "--dvc", "add", "-q", "--", sys.executable, "keep.py")
    done = node.cmfd(*kept)
    assert done.returncode == 0, done.stderr.decode()
    uri = done.stdout.decode().strip()
    assert f"md5: {uri}" in (node.cwd / "model.bin.dvc").read_text()
    cache = node.cwd / ".dvc" / "cache" / "files" / "md5"
    texts = {path.read_text() for path in cache.glob("*/*") if path.is_file()}
    assert {"weights 0", "weights 1"} < texts

    (execution,) = exported(node)["Pipeline"][0]["stages"][0]["executions"]
    said = execution["properties"]
    assert said["Git_End_Commit"] == repo.git("rev-parse", "HEAD")
    assert said["Git_Start_Commit"] == repo.git("rev-parse", "HEAD~")
