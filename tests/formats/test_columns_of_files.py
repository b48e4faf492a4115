"""Which columns files have, for the formats that say so."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from cmfd.errors import FormatError
from cmfd.formats.columns import Column, columns_of, is_table

if TYPE_CHECKING:
    from pathlib import Path

HITS = [Column("id", "int64"), Column("kind", "string"), Column("energy", "double")]


@pytest.mark.slow
def test_tables_say_their_columns(tmp_path: Path) -> None:
    """The same of the same table, however it is stored."""
    text = b"id,kind,energy\n1,a,0.5\n2,b,1.5\n"
    (tmp_path / "hits.csv").write_bytes(text)
    (tmp_path / "hits.tsv").write_bytes(text.replace(b",", b"\t"))
    (tmp_path / "hits.CSV.gz").write_bytes(gzip.compress(text))
    table = pa.table({"id": [1, 2], "kind": ["a", "b"], "energy": [0.5, 1.5]})
    parquet.write_table(table, tmp_path / "hits.parquet")
    feather.write_feather(table, tmp_path / "hits.arrow")
    for path in tmp_path.iterdir():
        assert is_table(path.name)
        assert columns_of(str(path)) == HITS, path.name
    assert not is_table("model.bin")
    assert not is_table("data.csv/part")


def test_data_sets_are_columns(tmp_path: Path) -> None:
    """Of a file all, with their shapes; of one of them, its own; records have fields."""
    path = str(tmp_path / "hits.h5")
    with h5py.File(path, "w") as file:
        file["train/x"] = np.zeros((4, 3), "f4")
        file["train/names"] = ["a", "b"]
        file["tracks"] = np.zeros(2, [("id", "i8"), ("pt", "f8")])
    tracks = Column("/tracks", "record", (2,), (Column("id", "int64"), Column("pt", "float64")))
    names = Column("/train/names", "string", (2,))
    x = Column("/train/x", "float32", (4, 3))
    assert columns_of(path) == [tracks, names, x]
    assert columns_of(f"{path}::/train/x") == [x]
    assert columns_of(f"{path}::/train") == [names, x]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("numbers.csv", b"1,2\n3,4\n"),
        ("twice.csv", b"a,a\n3,4\n"),
        ("none.csv", b""),
        ("none.parquet", b"PAR1"),
        ("none.h5", b"no"),
    ],
)
def test_what_names_no_columns_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    """Values in a first line are no names, and a damaged file ends no export."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError):
        columns_of(str(tmp_path / name))
