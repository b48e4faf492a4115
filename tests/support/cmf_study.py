"""
Programs that were written for CMF's library, in the shapes that its own examples have.

They run under either library: what odd values come to, which CMF's refuses, is tested elsewhere.
"""

from __future__ import annotations

FILES = {
    "data/raw.csv": "".join(f"{n},{n % 7},{n % 3}\n" for n in range(60)),
    **{
        f"data/{name}.csv": f"{name}\n" + "".join(f"{n},{n % 7}\n" for n in range(60))
        for name in ("updates", "automatic", "work")
    },
    "data/labels.csv": "id,label\n1,muon\n2,pion\n",
}
"""What is there before the first of them runs: a file for each pipeline."""

PROGRAMS = {
    "parse.py": """
from pathlib import Path

from cmflib import cmf

writer = cmf.Cmf(filepath="mlmd", pipeline_name="study", graph=False)
writer.create_context(pipeline_stage="Parse", custom_properties={"owner": "ada"})
writer.create_execution(
    execution_type="Parse-execution", custom_properties={"split": 0.25, "seed": 7, "how": "first"}
)
writer.log_dataset(
    "data/raw.csv", "input", custom_properties={"kind": "raw"},
    label="data/labels.csv", label_properties={"by": "eve"},
)
rows = Path("data/raw.csv").read_text().splitlines()
Path("parsed").mkdir(exist_ok=True)
Path("parsed/train.tsv").write_text("\\n".join(rows[:45]))
Path("parsed/test.tsv").write_text("\\n".join(rows[45:]))
writer.log_dataset("parsed/train.tsv", "output")
writer.log_dataset("parsed/test.tsv", "output", custom_properties={"n": 15})
writer.finalize()
""",
    "featurize.py": """
from pathlib import Path

from cmflib import cmf

writer = cmf.Cmf(filepath="mlmd", pipeline_name="study", graph=False)
writer.create_context(pipeline_stage="Featurize")
writer.create_execution(execution_type="Featurize-execution", custom_properties={"grams": 2})
for part in ("train", "test"):
    writer.log_dataset(f"parsed/{part}.tsv", "input")
Path("features").mkdir(exist_ok=True)
for part in ("train", "test"):
    Path(f"features/{part}.txt").write_text(Path(f"parsed/{part}.tsv").read_text().upper())
writer.log_dataset("features", "output")
writer.finalize()
""",
    "train.py": """
from pathlib import Path

from cmflib import cmf

writer = cmf.Cmf(filepath="mlmd", pipeline_name="study", graph=False)
writer.create_context(pipeline_stage="Train")
writer.create_execution(
    execution_type="Train-execution", custom_properties={"trees": 100, "rate": "0.1"}
)
writer.log_dataset("features", "input")
for step in range(4):
    writer.log_metric("course", {"loss": 1 / (step + 1), "rate": step * 0.5})
writer.commit_metrics("course")
Path("model.bin").write_text("weights of a model")
writer.log_model(
    path="model.bin", event="output", model_framework="none", model_type="forest",
    model_name="forest:default", custom_properties={"depth": 3},
)
writer.finalize()
""",
    "evaluate.py": """
from cmflib import cmf

writer = cmf.Cmf(filepath="mlmd", pipeline_name="study", graph=False)
writer.create_context(pipeline_stage="Evaluate")
writer.create_execution(execution_type="Evaluate-execution")
writer.log_model(
    path="model.bin", event="input", model_framework="none", model_type="forest",
    model_name="forest:default",
)
writer.log_dataset("features", "input")
writer.finalize()
writer.log_execution_metrics("scores", {"auc": 0.875, "tries": 3, "word": "good"})
""",
    "query.py": """
from cmflib.cmfquery import CmfQuery

query = CmfQuery("mlmd")
print(sorted(query.get_pipeline_names()))
for stage in sorted(query.get_pipeline_stages("study")):
    found = query.get_all_executions_in_stage(stage)
    print(stage, len(found), sorted(found.columns))
    for number in found["id"].tolist():
        used = query.get_all_artifacts_for_execution(number)
        print(" ", sorted(zip(used["event"], used["type"])))
        for execution in query.get_one_hop_parent_executions([number]):
            print("  after", execution.properties["Execution_type_name"].string_value)
(raw,) = [name for name in query.get_all_artifacts() if name.startswith("data/raw.csv:")]
(model,) = [name for name in query.get_all_artifacts() if name.startswith("model.bin:")]
print(sorted(query.get_all_artifact_types()))
print(sorted(query.get_artifact(raw)["type"]))
print(sorted(set(query.get_all_parent_artifacts(model)["type"])))
print(sorted(set(query.get_all_child_artifacts(raw)["type"])))
print(sorted(query.get_one_hop_child_artifacts(raw)["name"]))
uses = query.get_all_executions_for_artifact(model)
print(sorted(uses.columns), sorted(zip(uses["Type"], uses["stage"])))
""",
    "slices.py": """
from pathlib import Path

from cmflib import cmf

Path("data/images").mkdir(exist_ok=True)
for number in range(6):
    Path(f"data/images/{number}.txt").write_text(f"image {number}")
writer = cmf.Cmf(filepath="mlmd", pipeline_name="study", graph=False)
writer.create_context(pipeline_stage="Parse")
writer.create_execution(execution_type="Slices")
writer.log_dataset("data/images", "input")
for name, chosen in (("slice-1", (0, 1, 2)), ("slice-2", (3, 4))):
    part = writer.create_dataslice(name=name)
    for number in chosen:
        part.add_data(path=f"data/images/{number}.txt", custom_properties={"key": f"v{number}"})
    part.commit()
members = writer.read_dataslice(name="slice-1")
print(sorted(members.index), members["key"].tolist(), members["hash"].tolist())
first = "data/images/0.txt"
writer.update_dataslice(name="slice-1", record=first, custom_properties={"key": "new"})
print(writer.read_dataslice(name="slice-1")["key"].tolist())
writer.finalize()
""",
    "update.py": """
from cmflib.cmf import Cmf

writer = Cmf("mlmd", "updates")
writer.create_context("Train", {"test": "1"})
first = writer.create_execution("kept", create_new_execution=False)
writer.update_execution(first.id, {"one": "1"})
same = writer.create_execution("kept", create_new_execution=False)
assert first.id == same.id
writer.update_execution(same.id, {"two": "2"})
writer.finalize()
""",
    "update_later.py": """
from cmflib.cmf import Cmf
from cmflib.cmfquery import CmfQuery

writer = Cmf("mlmd", "updates")
stage = writer.child_context = writer.create_context("Train")
(found,) = CmfQuery("mlmd").get_all_exe_in_stage(stage.name)
print(found.name, found.custom_properties["one"].string_value)
writer.execution = found
writer.log_dataset("data/updates.csv", "input", custom_properties={"user": "metadata"})
writer.log_execution_metrics("late", {"auc": 0.25})
writer.finalize()
""",
    "automatic.py": """
import functools
from pathlib import Path

from cmflib import cmf


def step(**files):
    def decorated(function):
        @functools.wraps(function)
        def called():
            writer = cmf.Cmf(filepath="mlmd", pipeline_name="automatic", graph=False)
            writer.create_context(pipeline_stage=function.__name__)
            writer.create_execution(execution_type=function.__name__)
            for path in files.get("reads", ()):
                writer.log_dataset(url=path, event="input")
            scores = function()
            for path in files.get("writes", ()):
                writer.log_dataset(url=path, event="output")
            if scores:
                writer.log_execution_metrics(function.__name__, scores)
            writer.finalize()

        return called

    return decorated


@step(reads=["data/automatic.csv"], writes=["clean.csv"])
def clean():
    Path("clean.csv").write_text(Path("data/automatic.csv").read_text().replace("7", "8"))


@step(reads=["clean.csv"])
def fit():
    return {"accuracy": 0.9375}


clean()
fit()
""",
    "nano.py": """
from cmflib.cmf import Cmf

Cmf().log_dataset("data/work.csv", "input")
""",
}  # fmt: skip
"""In the order in which they run."""

PIPELINES = ("study", "updates", "automatic", "work")
