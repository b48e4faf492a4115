"""The same programs under CMF's own library and under cmfd: the same graph comes of both."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from pathlib import Path

import pytest
from support.cmf_study import FILES, PIPELINES, PROGRAMS
from support.cmflib import PYTHON, SOURCES, Side, both, graph_of, prepare_dice, tables, told

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PYTHON not in os.environ, reason=f"{PYTHON} does not name a Python that has cmflib"
    ),
]

STARTED = (
    "src/parse.py artifacts/data.xml.gz artifacts/parsed",
    "src/featurize.py artifacts/parsed artifacts/features",
    "src/train.py artifacts/features artifacts/model",
    "src/test.py artifacts/model artifacts/features artifacts/test_results",
    "test-data-slice.py",
    "test_execution_update/test_execution_update.py",
    "test_execution_update/test_execution_update_method_1.py",
    "test_execution_update/test_execution_update_method_2.py",
)
QUERY = ("src/query.py", "mlmd")
NANO = ("src/parse.py artifacts/data.xml.gz artifacts/parsed",)
AUTOMATIC = (
    "pipeline/fetch.py",
    "pipeline/preprocess.py dataset=workspace/iris.pkl",
    "pipeline/train.py train_dataset=workspace/train.pkl",
    "pipeline/test.py test_dataset=workspace/test.pkl model=workspace/model.pkl",
)


def test_programs_of_a_study(tmp_path: Path) -> None:
    """Names, types, edges, digests and properties are equal, and so is what queries print."""
    real, ours = sides = both(tmp_path, "work", {**FILES, **PROGRAMS})
    for side in sides:
        for name in PROGRAMS:
            side.run(name)
    print(told(sides))

    for pipeline in PIPELINES:
        assert graph_of(ours.exported(pipeline)) == graph_of(real.exported(pipeline))
    assert ours.printed == real.printed
    real.passed_on(PIPELINES)


def a_text(rows: int = 1500) -> bytes:
    """Return posts, as CMF's example reads them; its own are a large file."""
    chance = random.Random(3)
    words = ["python", "data", "model", "train", "loss", "graph", "node", "edge", "hit"]
    made = []
    for number in range(rows):
        is_python = chance.random() < 0.4
        some = words[:6] if is_python else words[3:]
        body = " ".join(chance.choice(some) for _ in range(30))
        tag = "python" if is_python else "r"
        made.append(f'<row Id="{number}" Tags="&lt;{tag}&gt;" Title="t{number}" Body="{body}" />\n')
    return gzip.compress("".join(made).encode(), mtime=0)


@pytest.mark.skipif(SOURCES not in os.environ, reason=f"{SOURCES} does not name a checkout of CMF")
@pytest.mark.parametrize(
    ("example", "commands", "pipelines"),
    [
        ("example-get-started", STARTED, ["Test-env", "test-execution-update"]),
        ("nano-cmf", NANO, ["nano-cmf"]),
        ("auto_logging_v01", AUTOMATIC, ["iris"]),
    ],
)
def test_examples_of_cmf_itself(
    tmp_path: Path, example: str, commands: tuple[str, ...], pipelines: list[str]
) -> None:
    """Unmodified, from its sources."""
    sources = Path(os.environ[SOURCES])
    sides = both(tmp_path, example, {}, sources / "examples" / example)
    for side in sides:
        prepare(side, sources)
        for command in commands:
            side.run(*command.split())
    print(told(sides))

    for pipeline in pipelines:
        real, ours = (graph_of(side.exported(pipeline)) for side in sides)
        assert ours == real
    if (sources / "examples" / example / "src/query.py").exists() and all(
        map(has_old_pandas, sides)
    ):
        for side in sides:
            side.run(*QUERY)
        real_tables, our_tables = (tables(side.printed[" ".join(QUERY)]) for side in sides)
        assert our_tables == real_tables
        assert our_tables


def has_old_pandas(side: Side) -> bool:
    """Tell whether programs of a side find a Pandas that their `query.py` was written for."""
    printed = side.call(*side.python(), "-c", "import pandas; print(pandas.__version__)")
    return int(printed.split(".")[0]) < 3


def prepare(side: Side, sources: Path) -> None:
    """Put files there that an example reads, and its module where it is found."""
    side.environ["CMF_PIPELINE"] = "iris"
    prepare_dice(side, str(sources))
    artifacts = side.path / "artifacts"
    artifacts.mkdir(exist_ok=True)
    (artifacts / "data.xml.gz").write_bytes(a_text())
    (artifacts / "labels.csv").write_text("id,label\n1,a\n2,b\n")


KEEPING = """
from pathlib import Path

from cmflib import cmf

writer = cmf.Cmf(filepath="mlmd", pipeline_name="kept")
writer.create_context(pipeline_stage="train")
writer.create_execution(execution_type="train")
writer.log_dataset("data/raw.csv", "input")
for step in range(2):
    Path("model.bin").write_text(f"weights {step}")
    writer.log_model(path="model.bin", event="output")
Path("parts").mkdir()
Path("parts/a.txt").write_text("a")
writer.log_dataset("parts", "output")
writer.finalize()
"""


def test_what_dvc_and_git_have_afterwards(tmp_path: Path) -> None:
    """With `--dvc add` DVC has the same; a branch and a commit are made by CMF's library only."""
    sides = both(tmp_path, "work", {"data/raw.csv": "1,2\n", "keep.py": KEEPING})
    real, ours = sides
    ours.keep_in_dvc(tmp_path / "store")
    before = ours.call("git", "rev-parse", "HEAD")
    for side in sides:
        side.run("keep.py")

    assert kept(ours) == kept(real)
    assert ours.call("dvc", "status", "--quiet") == ""
    Path(ours.path, "model.bin").unlink()
    ours.call("dvc", "checkout", "--quiet", "model.bin")
    assert Path(ours.path, "model.bin").read_text() == "weights 1"
    assert cached(ours) == cached(real)

    assert real.call("git", "branch", "--show-current").strip() == "mlmd"
    assert "model.bin.dvc" in real.call("git", "show", "--name-only", "HEAD")
    assert ours.call("git", "rev-parse", "HEAD") == before
    assert "?? model.bin.dvc" in ours.call("git", "status", "--porcelain", "--untracked-files")


def kept(side: Side) -> dict[str, str]:
    """Return what DVC's files of a side say, but for those of the library's own making."""
    found = side.path.rglob("*.dvc")
    return {
        str(path.relative_to(side.path)): path.read_text("utf-8")
        for path in found
        if path.is_file() and "cmf_artifacts" not in path.parts
    }


def cached(side: Side) -> set[str]:
    """Return the digests of what was logged that DVC's cache of a side has."""
    known = ("weights 0", "weights 1", "1,2\n", "a")
    digests = {hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in known}
    there = {"".join(path.parts[-2:]) for path in side.path.glob(".dvc/cache/files/md5/*/*")}
    return there & digests
