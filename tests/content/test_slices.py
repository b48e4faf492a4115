"""A slice is its members, however they are said."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd.content.slices import files_document, rows_document, slice_digest

ROWS = st.lists(
    st.one_of(
        st.integers(0, 60),
        st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda r: (r[0], sum(r))),
    ),
    min_size=1,
)


def rows_of(said: list[int | tuple[int, int]]) -> set[int]:
    return {n for row in said for n in (range(*row) if isinstance(row, tuple) else [row])}


@given(one=ROWS, other=ROWS)
def test_the_same_rows_are_the_same_slice(
    one: list[int | tuple[int, int]], other: list[int | tuple[int, int]]
) -> None:
    same = rows_document("md5:1", one) == rows_document("md5:1", other)
    assert same == (rows_of(one) == rows_of(other))


def test_the_data_set_counts() -> None:
    assert rows_document("md5:1", [1]) != rows_document("md5:2", [1])


def test_files_in_any_order() -> None:
    one = files_document({"a": "md5:1", "b": "md5:2"})
    assert one == files_document({"b": "md5:2", "a": "md5:1"})
    assert one == '{"files":[["a","md5:1"],["b","md5:2"]]}'
    assert slice_digest(one) == "slice:" + hashlib.sha256(one.encode()).hexdigest()


@pytest.mark.parametrize("rows", [[-1], [(3, 3)], [(5, 2)]])
def test_rows_that_are_none(rows: list[int | tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="no rows"):
        rows_document("md5:1", rows)
