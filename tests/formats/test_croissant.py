"""Datasets in Croissant, read by MLCommons' own library."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.packs import an_id
from support.sites import ASite, a_run

from cmfd.content.files import hash_path
from cmfd.merge.notes import say
from cmfd.model import NoteKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cmfd = Callable[..., Any]

READ = """
import json, os, sys
import mlcroissant

dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
issues = dataset.metadata.issues
rows = {one.id: list(dataset.records(one.id)) for one in dataset.metadata.record_sets}
print(json.dumps({"errors": sorted(issues.errors), "rows": rows}, default=bytes.decode), flush=True)
os._exit(0)  # libraries that it loads have threads that, now and then, abort at Python's end
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site: a stage wrote a table, a directory with tables, and what is gone."""
    (tmp_path / "hits 1.csv").write_text("id,energy,kind\n1,0.5,a\n2,1.5,b\n")
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    table = pa.table({"n": [1, 2], "at": [[0.5], [1.0, 2.0]], "odd": [b"x", b"y"]})
    parquet.write_table(table, tmp_path / "parts" / "deep" / "a.parquet")
    (tmp_path / "parts" / "readme.txt").write_text("what it is")
    (tmp_path / "gone.csv").write_text("a\n1\n")
    content = a_run(1)
    for name in ("hits 1.csv", "parts", "gone.csv"):
        found = hash_path(tmp_path / name)
        content["artifact"].append((found.digest, found.strong, found.size_bytes, found.n_files))
        content["event"].append((
            an_id("exec", 1), "output", found.digest, name, 5, an_id("proc", 1000), "dataset", "n1",
            str(tmp_path / name), 0, "", "",
        ))  # fmt: skip
    (tmp_path / "gone.csv").unlink()
    return ASite(tmp_path / "site").take(content).path


def read(path: Path) -> dict[str, Any]:
    """Return what the library finds wrong, and all records, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ, path],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not standard" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_its_library_reads_what_was_written(cmfd: Cmfd, site: Path, tmp_path: Path) -> None:
    """A file and a directory, from elsewhere: no errors, and the values of the tables."""
    say(site, NoteKind.LABEL, {hash_path(tmp_path / "parts").digest: "parts of it"})
    for name in ("hits 1.csv", "parts"):
        cmfd("export", "croissant", name, "-o", str(tmp_path / "told" / f"{name}.json"))
    hits = read(tmp_path / "told" / "hits 1.csv.json")
    assert hits["errors"] == []
    (rows,) = hits["rows"].values()
    assert [list(row.values()) for row in rows] == [[1, 0.5, "a"], [2, 1.5, "b"]]
    parts = read(tmp_path / "told" / "parts.json")
    assert parts["errors"] == []
    (rows,) = parts["rows"].values()
    assert [row["deep/a.parquet/rows/n"] for row in rows] == [1, 2]
    said = json.loads((tmp_path / "told" / "parts.json").read_text())
    assert said["description"] == "parts of it"
    assert [one["@id"] for one in said["distribution"]] == ["deep/a.parquet", "readme.txt"]


def test_what_is_not_here_is_named_where_it_was(cmfd: Cmfd, site: Path, tmp_path: Path) -> None:
    """With its digests, without columns; a directory is nothing without its files."""
    said = cmfd("export", "croissant", "gone.csv", "--license", "CC-BY-4.0")
    (file,) = said["distribution"]
    assert file["contentUrl"] == f"file://n1{tmp_path}/gone.csv"
    assert (file["md5"], len(file["sha256"])) == (said["identifier"].removeprefix("md5:"), 64)
    assert said["recordSet"] == []
    assert said["description"] == "As cmfd recorded it: written by digits.train."
    assert said["license"] == "CC-BY-4.0"
    (tmp_path / "parts" / "readme.txt").unlink()
    assert "nothing was written" in cmfd("export", "croissant", "parts", code=21)
    assert site.exists()
