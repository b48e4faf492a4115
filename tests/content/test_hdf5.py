"""The identity of data sets inside HDF5 files: what they hold, not how it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd.content.hdf5 import BLOCK_BYTES, hash_datasets
from cmfd.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HITS = np.arange(600, dtype=np.float32).reshape(200, 3)


def digest_of(path: Path, fill: Callable[[h5py.File], Any], name: str = "x") -> str:
    """Return the digest of the data set `name` of a new file."""
    with h5py.File(path, "w") as file:
        fill(file)
    (found,) = hash_datasets(path, [name])
    return found.digest


def below(path: Path) -> dict[str, str]:
    """Return the digests of all data sets of a file."""
    (root,) = hash_datasets(path, ["/"])
    return {item.name: item.digest for item in root.members}


def plain(file: h5py.File) -> None:
    file["x"] = HITS


@pytest.mark.parametrize(
    "fill",
    [
        pytest.param(lambda f: f.create_dataset("x", data=HITS, chunks=(7, 2)), id="chunks"),
        pytest.param(
            lambda f: f.create_dataset("x", data=HITS, compression="gzip", shuffle=True),
            id="compression",
        ),
        pytest.param(lambda f: f.create_dataset("x", data=HITS.astype(">f4")), id="byte order"),
        pytest.param(
            lambda f: f.create_dataset("x", data=HITS, maxshape=(None, 3), fillvalue=7), id="growth"
        ),
        pytest.param(
            lambda f: [f.create_dataset(name, data=HITS) for name in ("a/before", "x")], id="place"
        ),
    ],
)
def test_how_it_is_stored_does_not_count(tmp_path: Path, fill: Callable[[h5py.File], Any]) -> None:
    assert digest_of(tmp_path / "b.h5", fill) == digest_of(tmp_path / "a.h5", plain)


def _changed(file: h5py.File) -> None:
    values = HITS.copy()
    values[199, 2] += 1
    file["x"] = values


def _with_attribute(file: h5py.File) -> None:
    plain(file)
    file["x"].attrs["unit"] = "mm"


@pytest.mark.parametrize(
    "fill",
    [
        pytest.param(_changed, id="a value"),
        pytest.param(lambda f: f.create_dataset("x", data=HITS.reshape(3, 200)), id="shape"),
        pytest.param(lambda f: f.create_dataset("x", data=HITS.astype("f8")), id="type"),
        pytest.param(_with_attribute, id="an attribute"),
        pytest.param(lambda f: f.create_dataset("x", data=HITS.view("i4")), id="the same bits"),
    ],
)
def test_what_it_holds_counts(tmp_path: Path, fill: Callable[[h5py.File], Any]) -> None:
    assert digest_of(tmp_path / "b.h5", fill) != digest_of(tmp_path / "a.h5", plain)


def test_one_data_set_changes_and_the_others_stay(tmp_path: Path) -> None:
    """What used another data set of the file is not touched by the change."""
    path = tmp_path / "hits.h5"
    with h5py.File(path, "w") as file:
        file["train/x"], file["train/y"], file["test/x"] = HITS, HITS[:, 0], HITS[:9]
    before = below(path)
    with h5py.File(path, "r+") as file:
        file["train/y"][0] = 17
    after = below(path)
    assert list(after) == ["/test/x", "/train/x", "/train/y"]
    assert [name for name in after if after[name] != before[name]] == ["/train/y"]


def test_a_group_stands_for_what_is_below_it(tmp_path: Path) -> None:
    path = tmp_path / "hits.h5"
    with h5py.File(path, "w") as file:
        file["train/x"], file["train/deep/y"], file["test/x"] = HITS, HITS, HITS
    group, single = hash_datasets(path, ["train", "/train/x"])
    deep, flat = group.members
    assert [deep.name, flat.name] == ["/train/deep/y", "/train/x"]
    assert deep.digest == flat.digest == single.digest, "the name does not count"
    assert (group.size_bytes, single.size_bytes) == (2 * HITS.nbytes, HITS.nbytes)
    assert group.digest.endswith(".group")
    with h5py.File(path, "r+") as file:
        file["test/x"][0] = 1
    assert hash_datasets(path, ["train"]) == [group]
    with h5py.File(path, "r+") as file:
        file["train"].move("x", "z")
    assert hash_datasets(path, ["train"])[0].digest != group.digest


def test_text_lists_enums_compounds_and_references(tmp_path: Path) -> None:
    """Whatever HDF5 can hold has a digest, which one changed value changes."""
    compound = np.dtype([("id", ">i4"), ("name", "S8"), ("at", "<f8", (3,))], align=True)
    rows = np.zeros(4, compound)
    rows["name"] = [b"a", b"b", b"c", b"d"]

    def fill(file: h5py.File) -> None:
        file["text"] = ["ab", "c"]
        file["fixed"] = np.array([b"ab", b"c"])
        lists = file.create_dataset("lists", (2,), h5py.vlen_dtype("i4"))
        lists[0], lists[1] = [1, 2], [3]
        file.create_dataset("enum", data=[0, 1], dtype=h5py.enum_dtype({"no": 0, "yes": 1}))
        file.create_dataset("rows", data=rows)
        file.create_dataset("links", data=[file["rows"].ref], dtype=h5py.ref_dtype)
        file["nothing"] = h5py.Empty("f4")
        file["none"] = np.zeros((0, 3))
        file["one"] = 5
        file["yes"] = [True, False]
        file["rows"].attrs["names"] = ["q", "r"]
        file["text"].attrs["none"] = h5py.Empty("i4")

    def read(path: Path, change: Callable[[h5py.File], Any]) -> dict[str, str]:
        with h5py.File(path, "w") as file:
            fill(file)
            change(file)
        return below(path)

    before = read(tmp_path / "a.h5", lambda _: None)
    assert len(set(before.values())) == len(before)
    changes: dict[str, Callable[[h5py.File], Any]] = {
        "/text": lambda f: f["text"].__setitem__(1, "d"),
        "/fixed": lambda f: f["fixed"].__setitem__(1, b"d"),
        "/lists": lambda f: f["lists"].__setitem__(1, [4]),
        "/enum": lambda f: f["enum"].__setitem__(0, 1),
        "/rows": lambda f: f["rows"].__setitem__(slice(0, 1), rows[1:2]),
        "/links": lambda f: f["links"].__setitem__(0, f["text"].ref),
        "/one": lambda f: f["one"].__setitem__((), 6),
        "/yes": lambda f: f["yes"].__setitem__(1, 1),
    }
    for name, change in changes.items():
        after = read(tmp_path / "b.h5", change)
        assert {key for key in after if after[key] != before[key]} == {name}


def test_text_is_the_same_however_long_its_slots(tmp_path: Path) -> None:
    short = digest_of(
        tmp_path / "a.h5", lambda f: f.create_dataset("x", data=np.array([b"ab"], "S2"))
    )
    long = digest_of(
        tmp_path / "b.h5", lambda f: f.create_dataset("x", data=np.array([b"ab"], "S9"))
    )
    assert short == long


def test_dimension_scales_do_not_tie_files_together(tmp_path: Path) -> None:
    """That another data set uses a scale is HDF5's bookkeeping in the scale."""

    def scale(file: h5py.File) -> None:
        file["x"] = HITS
        file["x"].make_scale("layer")

    def used(file: h5py.File) -> None:
        scale(file)
        file["y"] = HITS
        file["y"].dims[0].attach_scale(file["x"])

    assert digest_of(tmp_path / "a.h5", scale) == digest_of(tmp_path / "b.h5", used)


def test_large_data_is_read_in_pieces(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((BLOCK_BYTES // 800 + 777, 100))
    whole = digest_of(tmp_path / "a.h5", lambda f: f.create_dataset("x", data=values))
    pieces = digest_of(
        tmp_path / "b.h5", lambda f: f.create_dataset("x", data=values, chunks=(1000, 100))
    )
    assert whole == pieces


@given(
    values=arrays.arrays(
        dtype=st.one_of(arrays.integer_dtypes(), arrays.floating_dtypes(), arrays.boolean_dtypes()),
        shape=arrays.array_shapes(max_dims=3, max_side=6),
    )
)
def test_any_numbers_in_any_order_of_bytes(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray[Any, Any]
) -> None:
    directory = tmp_path_factory.mktemp("h")
    swapped = values.astype(values.dtype.newbyteorder())
    assert digest_of(directory / "a.h5", lambda f: f.create_dataset("x", data=values)) == digest_of(
        directory / "b.h5", lambda f: f.create_dataset("x", data=swapped)
    )


def test_what_is_none_is_said(tmp_path: Path) -> None:
    path = tmp_path / "no.h5"
    path.write_text("no HDF5")
    with pytest.raises(ContentError, match="cannot be read as HDF5"):
        hash_datasets(path, ["/"])
    with h5py.File(path, "w") as file:
        plain(file)
    with pytest.raises(ContentError, match="no data set or group '/y'"):
        hash_datasets(path, ["/y"])
