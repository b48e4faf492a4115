"""Parts of files as artifacts: data sets of HDF5 files, slices; quick digests; known content."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

import cmfd
from cmfd.content.files import hash_path
from cmfd.content.hdf5 import hash_datasets
from cmfd.content.quick import N_SAMPLES, SAMPLE_BYTES, quick_hash
from cmfd.merge.batch import merge_site
from cmfd.query.index import open_index

if TYPE_CHECKING:
    from collections.abc import Callable

    Query = Callable[[str], list[tuple[Any, ...]]]

HITS = np.arange(600, dtype=np.float32).reshape(200, 3)
EVENTS = "SELECT direction, kind, path, digest, problem FROM events ORDER BY path"
LINKS = """
SELECT s.digest, l.name, o.digest FROM link AS l
JOIN artifact AS s ON s.id = l.subject_id JOIN artifact AS o ON o.id = l.object_id ORDER BY l.name
"""
"""Content that contains content, as the index has it."""


@pytest.fixture
def site(node: Path, monkeypatch: pytest.MonkeyPatch) -> Query:
    """Raise what goes wrong; returns what a query finds once all is merged."""
    monkeypatch.setenv("CMFD_STRICT", "true")

    def query(text: str) -> list[tuple[Any, ...]]:
        merge_site(node.parent / "site", (node / "journals").glob("*.cmfj"))
        with open_index(node.parent / "site") as db:
            return db.execute(text).fetchall()

    return query


def write(path: str = "hits.h5") -> None:
    with h5py.File(path, "w") as file:
        file["train/x"], file["train/y"], file["test/x"] = HITS, HITS[:, 0], HITS[:9]


def test_data_sets_are_artifacts_of_their_own(
    site: Query,
) -> None:
    """And parts of the file, by the digest it has as a whole."""
    write()
    with cmfd.start("tracks", "train") as ex:
        assert ex.input("hits.h5", datasets=["/train/x", "test"]) == "hits.h5"
    ex.session.close()

    x, test = hash_datasets("hits.h5", ["/train/x", "test"])
    assert site(EVENTS) == [
        ("input", "hdf5-dataset", "hits.h5::/test", test.digest, ""),
        ("input", "hdf5-dataset", "hits.h5::/train/x", x.digest, ""),
    ]
    whole, (inside,) = hash_path("hits.h5").digest, test.members
    assert site(LINKS) == [
        (whole, "/test", test.digest),
        (test.digest, "/test/x", inside.digest),
        (whole, "/train/x", x.digest),
    ]


def test_a_data_set_that_is_not_there_is_said(
    site: Query,
) -> None:
    """The touch stays, with the reason; the job goes on."""
    write()
    with cmfd.start("tracks", "train") as ex:
        ex.output("hits.h5", datasets="train/z")
    ex.session.close()
    ((direction, _, path, digest, problem),) = site(EVENTS)
    assert (direction, path) == ("output", "hits.h5::/train/z")
    assert digest.startswith("stat:")
    assert "no data set or group '/train/z'" in problem


@pytest.mark.slow
def test_the_end_waits_while_another_thread_only_begins_to_hash(
    site: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module is there before what it counts with: nothing that was said is lost for it."""
    write()
    half = ModuleType("cmfd.content.files")
    with cmfd.start("tracks", "train") as ex:
        ex.output("hits.h5")
        assert ex.session.hashing.wait(10)
        with monkeypatch.context() as importing:
            importing.setitem(sys.modules, "cmfd.content.files", half)
            ex.end()
    ex.session.close()

    digest = hash_path("hits.h5").digest
    assert site(EVENTS) == [("output", "dataset", "hits.h5", digest, "")]
    assert site("SELECT status FROM executions") == [("completed",)]


def test_slices_and_the_metrics_for_them(site: Query) -> None:
    """Rows of a file, rows of a data set inside one, whole files: each contained in its whole."""
    write()
    np.save("hits.npy", HITS)
    Path("a.txt").write_text("a")
    with cmfd.start("tracks", "evaluate") as ex:
        barrel = ex.slice("barrel", "hits.npy", rows=[(0, 50), 70], query="layer < 4")
        ex.slice("inner", "hits.h5::/train/x", rows=range(9))
        ex.slice("chosen", files=["a.txt"], direction="output")
        ex.metric("accuracy", 0.5, slice=barrel)
        ex.metric("accuracy", 0.75, slice="inner")
        ex.metric("accuracy", 0.625)
    ex.session.close()

    events = {path: (direction, digest) for direction, _, path, digest, _ in site(EVENTS)}
    assert {path: direction for path, (direction, _) in events.items()} == {
        "barrel": "input", "inner": "input", "chosen": "output"
    }  # fmt: skip
    documents: dict[str, str] = dict(
        site("SELECT digest, document FROM slice_members JOIN artifact ON id = artifact_id")
    )
    assert json.loads(documents[events["barrel"][1]]) == {
        "of": hash_path("hits.npy").digest, "rows": [[0, 50], [70, 71]]
    }  # fmt: skip
    assert json.loads(documents[events["inner"][1]])["rows"] == [[0, 9]]
    assert json.loads(documents[events["chosen"][1]]) == {
        "files": [["a.txt", hash_path("a.txt").digest]]
    }
    assert {(name, subject) for subject, name, _ in site(LINKS)} == {
        ("barrel", hash_path("hits.npy").digest),
        ("inner", hash_datasets("hits.h5", ["/train/x"])[0].digest),
        ("/train/x", hash_path("hits.h5").digest),
        ("a.txt", events["chosen"][1]),
    }
    assert {name for (name,) in site("SELECT name FROM series")} == {
        "accuracy", "accuracy[barrel]", "accuracy[inner]"
    }  # fmt: skip


@pytest.mark.usefixtures("site")
def test_a_slice_of_nothing_is_wrong() -> None:
    """Rows need what they are rows of, and a slice is rows or files."""
    with cmfd.start("tracks", "evaluate") as ex:
        for wrong in ({}, {"rows": [1]}, {"of": "a", "rows": [1], "files": ["b"]}):
            with pytest.raises(ValueError, match="a slice is either"):
                ex.slice("s", **wrong)
    ex.session.close()


def test_a_quick_digest_says_what_it_is(site: Query) -> None:
    Path("large").write_bytes(b"x" * 4096)
    with cmfd.start("tracks", "train") as ex:
        ex.input("large", digest="quick")
        with pytest.raises(ValueError, match="'full' or 'quick'"):
            ex.input("large", digest="slow")
    ex.session.close()
    ((*_, digest, problem),) = site(EVENTS)
    assert (digest, problem) == (quick_hash("large").digest, "")
    assert digest.startswith("quick:")


def test_a_quick_digest_is_of_size_and_samples(tmp_path: Path) -> None:
    """A change in a sample, of the size or of a name shows; one between samples does not."""
    path = tmp_path / "large"
    size_bytes = 4 * N_SAMPLES * SAMPLE_BYTES
    with path.open("wb") as file:
        file.truncate(size_bytes)
    before = quick_hash(path)
    assert before.size_bytes == size_bytes

    def after(at: int, data: bytes) -> str:
        with path.open("r+b") as file:
            file.seek(at)
            kept = file.read(len(data))
            file.seek(at)
            file.write(data)
        found = quick_hash(path).digest
        with path.open("r+b") as file:
            file.seek(at)
            file.write(kept)
            file.truncate(size_bytes)
        return found

    assert after(0, b"x") != before.digest
    assert after(size_bytes - 1, b"x") != before.digest
    assert after(size_bytes, b"\0") != before.digest
    assert after(2 * SAMPLE_BYTES, b"x") == before.digest
    assert quick_hash(path) == before
    in_directory = quick_hash(tmp_path)
    path.rename(tmp_path / "renamed")
    assert quick_hash(tmp_path).digest != in_directory.digest
    assert (in_directory.digest[:6], in_directory.digest[-4:]) == ("quick:", ".dir")
    assert quick_hash(path).problem


def test_two_processes_read_a_file_once(site: Query, tmp_path: Path) -> None:
    """The second takes the first one's word, which lies in the node directory."""
    Path("data").write_bytes(b"x" * (1 << 20))
    for _ in range(2):
        with cmfd.start("tracks", "train") as ex:
            ex.input("data")
        ex.session.close()
    assert len(list((tmp_path / "node" / "journals" / "hashes").iterdir())) == 1
    assert {digest for *_, digest, _ in site(EVENTS)} == {hash_path("data").digest}
