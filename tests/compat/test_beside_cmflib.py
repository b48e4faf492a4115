"""The same programs under CMF's own library and under cmfd: the same graph comes of both."""

from __future__ import annotations

import gzip
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
