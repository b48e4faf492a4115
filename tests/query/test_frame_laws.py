"""Frames have what a reader of single values has, whatever was logged and in whatever parts."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from collections import defaultdict
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.packs import an_id, small_run
from support.sites import BEGIN_NS, ASite, chunk

from cmfd.query import metrics, tables
from cmfd.query.index import value_of
from cmfd.query.site import Site

if TYPE_CHECKING:
    from support.packs import Content

    from cmfd.query.frames import Reduction

FLOATS = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e308]), st.floats())
INTS = st.integers(-(2**63), 2**63 - 1)
NAMES = st.sampled_from(["loss", "seen", "step", "rank", "execution", 'a "b"\n', "ä"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
PARAMS = st.one_of(
    st.tuples(st.just("int"), INTS),
    st.tuples(st.just("float"), FLOATS.map(lambda value: "NaN" if math.isnan(value) else value)),
    st.tuples(st.just("bool"), st.integers(0, 1)),
    st.tuples(st.just("str"), TEXTS),
    st.just(("null", "null")),
    st.tuples(
        st.just("json"), st.one_of(st.integers(2**63, 2**70), st.lists(TEXTS)).map(json.dumps)
    ),
)


@st.composite
def contents(draw: st.DrawFn) -> list[Content]:
    """Make runs whose ranks log metrics in several chunks: steps in any order, and again."""
    made = []
    for number in range(draw(st.integers(1, 2))):
        content = small_run(number, n_ranks=draw(st.integers(1, 2)), n_params=0)
        execution = an_id("exec", number)
        content["series"], content["chunk"] = [], []
        for rank in range(len(content["process"])):
            instance = an_id("proc", number * 1000 + rank)
            for series, name in enumerate(draw(st.lists(NAMES, unique=True, max_size=3)), 1):
                values = draw(st.sampled_from([FLOATS, INTS]))
                kind = "int" if values is INTS else "float"
                content["series"].append((instance, series, execution, name, kind))
                for block in range(draw(st.integers(0, 2))):
                    logged = draw(st.lists(values, min_size=1, max_size=4))
                    steps = [draw(st.integers(-1, 2)) for _ in logged]
                    content["chunk"].append(chunk(instance, series, steps, logged, block=block))
            for key in draw(st.lists(NAMES, unique=True, max_size=2)):
                said = draw(PARAMS)
                content["param"].append((execution, key, *said, BEGIN_NS, instance, 0))
        made.append(content)
    return made


def _bits(value: Any) -> Any:
    return struct.pack("d", value) if isinstance(value, float) else value


def _logged(site: Site) -> list[tuple[Any, ...]]:
    """Return execution, metric, rank, step, time and value of everything, read one by one."""
    asked = "SELECT DISTINCT run_id, execution, name FROM metrics ORDER BY run_id, execution, name"
    return [
        (execution, name, rank, step, at_ns, value)
        for run, execution, name in site._db.execute(asked)
        for _, step, rank, at_ns, value in metrics.points(
            site._db, run, name, execution=execution
        ).rows()
    ]


@pytest.mark.slow
@settings(deadline=None, max_examples=25)  # a site each
@given(contents(), st.integers(1, 5))
def test_frames_have_what_single_values_are(made: list[Content], at_a_time: int) -> None:
    """Every value to the bit, in the same order, however many are read at a time."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROWS", at_a_time)
        with Site(ASite(Path(place, "site")).take(*made).path) as site:
            logged = _logged(site)
            long = site.frame("points", like="polars").with_columns(pl.col("at").to_physical())
            assert [
                (*row[:5], _bits(row[5]), row[6])
                for row in long.drop("pipeline", "stage").rows()
            ] == [
                (*row[:5], _bits(float(row[5])), row[5] if isinstance(row[5], int) else None)
                for row in logged
            ]  # fmt: skip
            for over in (None, "min", "max", "mean"):
                _is_wide(site.metrics(over=over, like="arrow").to_pylist(), logged, over)
            _has_params(site, site.params(like="arrow").to_pylist())


def _is_wide(rows: list[dict[str, Any]], logged: list[Any], over: Reduction | None) -> None:
    """Compare a wide frame with values of a step gathered one by one."""
    cells: dict[Any, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for execution, name, rank, step, _, value in sorted(logged, key=itemgetter(4)):
        cells[execution, None if over else rank, step][name].append(float(value))
    keys = [(row["execution"], row.get("rank") if not over else None, row["step"]) for row in rows]
    assert keys == sorted(cells)
    taken = {"execution", "step", *(() if over else ("rank",))}
    for key, row in zip(keys, rows, strict=True):
        for name in {one[1] for one in logged}:
            found = row[f"metric.{name}" if name in taken else name]
            if name not in cells[key]:
                assert found is None
                continue
            _is_reduced(found, cells[key][name], over)


def _is_reduced(found: float, values: list[float], over: Reduction | None) -> None:
    numbers = [value for value in values if not math.isnan(value)]
    if over is None:
        assert _bits(found) == _bits(values[-1])
    elif over == "mean":
        if all(map(math.isfinite, values)) and math.isfinite(sum(values)):
            assert found == pytest.approx(fmean(values), rel=1e-9, abs=1e-9 * max(map(abs, values)))
        else:
            assert not math.isfinite(found)
    else:
        reduced = {"min": min, "max": max}[over](numbers, default=math.nan)
        assert found == reduced or (math.isnan(found) and math.isnan(reduced))


def _has_params(site: Site, rows: list[dict[str, Any]]) -> None:
    """Compare columns of parameters with what the lowest rank said."""
    said: dict[str, dict[str, tuple[str, Any]]] = defaultdict(dict)
    asked = "SELECT execution, key, value_type, value FROM params ORDER BY rank DESC"
    for execution, key, value_type, value in site._db.execute(asked):
        said[execution][key] = (value_type, value_of(value_type, value))
    assert {row["execution"] for row in rows} == set(said)
    for row in rows:
        for key, (value_type, value) in said[row["execution"]].items():
            found = row["param.execution" if key == "execution" else key]
            if value is None:
                assert found is None
            elif isinstance(found, str):
                assert found == (str(value).lower() if value_type == "bool" else str(value)) or (
                    value_type in ("json", "float")
                )
            else:
                assert _bits(found) == _bits(type(found)(value))
