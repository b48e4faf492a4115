"""A site as frames of pandas, polars and Arrow, and as files of tables."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, ipc
from support.energy import a_row
from support.packs import an_id
from support.sites import BEGIN_NS, ASite, Invoke, a_run, invoker, set_param

from cmfd.errors import ConfigError, FilterError, NotFoundError
from cmfd.query.index import open_index
from cmfd.query.metrics import points
from cmfd.query.site import Site
from cmfd.query.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from support.packs import Content

    from cmfd.query.frames import Like

LARGE = 2**63 - 1


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Three runs of two ranks; one is of another rate, one has integers and a NaN."""
    contents = [
        a_run(0, loss=[3.0, 2.0], accuracy=[0.5, 0.75]),
        a_run(1, loss=[4.0, math.nan]),
        a_run(2, n_ranks=1, seen=[7, LARGE]),
    ]
    set_param(contents[0], 0, "rate", "float", 0.1)
    set_param(contents[1], 1, "rate", "float", 0.5)
    set_param(contents[1], 1, "optimizer", "str", "adam")
    set_param(contents[2], 2, "optimizer", "str", "007")
    fact = (an_id("run", 0), "project", BEGIN_NS, an_id("proc", 0), "str", "dark matter")
    contents[0]["fact"] = [fact]
    contents[0]["energy"] = [a_row(run=0, execution=0, uj=7)]
    contents[0]["note"] = [(b"n" * 16, "digest", "tag", "seen", BEGIN_NS, 1000, "ada")]
    return ASite(tmp_path / "site").take(*contents)


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site."""
    return invoker(site, tmp_path, monkeypatch)


def test_every_table_is_the_same_in_every_library(site: ASite) -> None:
    """Columns, types and rows; what each column means comes with it."""
    with Site(site.path) as opened:
        for name, table in TABLES.items():
            arrow = opened.frame(name, like="arrow")
            pandas, polars = (opened.frame(name, like=like) for like in ("pandas", "polars"))
            names = [column.name for column in table.columns]
            assert arrow.column_names == list(pandas.columns) == polars.columns == names
            assert len(arrow) == len(pandas) == len(polars)
            assert len(arrow), name
            for field in arrow.schema:
                assert field.metadata[b"description"]
        assert opened.frame("energy").energy_uj.tolist() == [7]
        assert opened.frame("facts").value.tolist() == ["dark matter"]
        assert opened.frame("packs").sealed.dt.tz is not None


def test_values_keep_all_their_bits(site: ASite) -> None:
    """A whole number above 2^53, a NaN, a text that looks like a number."""
    with Site(site.path) as opened:
        points = opened.frame("points")
        seen = points[points.name == "seen"]
        assert seen.whole.tolist() == [7, LARGE]
        loss = points[(points.name == "loss") & (points["rank"] == 0)]
        values = dict(zip(zip(loss.execution, loss.step, strict=True), loss.value, strict=True))
        assert math.isnan(values.pop((an_id("exec", 1).hex(), 1)))
        assert sorted(values.values()) == [2.0, 3.0, 4.0]
        assert points["at"].min() == pd.Timestamp(BEGIN_NS, tz="UTC")
        params = opened.frame("params", like="polars").filter(pl.col("key") == "optimizer")
        assert sorted(params["value"]) == ["007", "adam"]
        assert params["number"].null_count() == 2


def test_a_filter_chooses(site: ASite) -> None:
    """Executions, and their runs, values and artifacts with them."""
    chosen = an_id("exec", 1).hex()
    with Site(site.path) as opened:
        for name in ("executions", "params", "metrics", "points", "events"):
            assert set(opened.frame(name, "rate = 0.5").execution) == {chosen}, name
        assert len(opened.frame("runs", "rate = 0.5")) == 1
        assert len(opened.frame("artifacts", "rate = 0.5")) < len(opened.frame("artifacts"))
        assert len(opened.frame("points", "rate > 7")) == 0
        with pytest.raises(ConfigError, match="of no execution"):
            opened.frame("packs", "rate = 0.5")
        with pytest.raises(FilterError, match="character"):
            opened.frame("runs", "rate =")
        with pytest.raises(NotFoundError, match="executions"):
            opened.frame("execution")


@pytest.mark.parametrize("like", ["pandas", "polars", "arrow"])
def test_parameters_become_columns(site: ASite, like: Like) -> None:
    """Numbers where all are numbers; what an execution has not is missing."""
    with Site(site.path) as opened:
        wide = opened.params(like=like)
    table = pa.table(wide) if like == "polars" else wide
    rows = table.to_pylist() if isinstance(table, pa.Table) else table.to_dict("records")
    found = {row["execution"]: row for row in rows}
    assert found[an_id("exec", 0).hex()]["rate"] == 0.1
    assert found[an_id("exec", 1).hex()]["optimizer"] == "adam"
    assert found[an_id("exec", 2).hex()]["optimizer"] == "007"
    assert found[an_id("exec", 2).hex()]["rate"] != 0.1


def test_metrics_become_columns(site: ASite) -> None:
    """By rank, or over all ranks: rank 1 is 10 above rank 0."""
    first = an_id("exec", 0).hex()
    with Site(site.path) as opened:
        by_rank = opened.metrics(like="polars").filter(pl.col("execution") == first)
        assert by_rank.sort("rank", "step").select("rank", "step", "loss", "accuracy").rows() == [
            (0, 0, 3.0, 0.5), (0, 1, 2.0, 0.75), (1, 0, 13.0, 10.5), (1, 1, 12.0, 10.75),
        ]  # fmt: skip
        assert by_rank["seen"].null_count() == len(by_rank)
        for over, expected in (("mean", [8.0, 7.0]), ("min", [3.0, 2.0]), ("max", [13.0, 12.0])):
            reduced = opened.metrics(over=over, like="polars")  # type: ignore[arg-type] # each is one
            assert reduced.filter(pl.col("execution") == first)["loss"].to_list() == expected
            assert "rank" not in reduced.columns
        assert len(opened.metrics("rate > 7")) == 0


def test_a_step_has_one_row(tmp_path: Path) -> None:
    """Also where there are many: all metrics of a rank's step stand in it, in order."""
    values = [float(step) for step in range(40)]
    contents = [a_run(n, loss=values, accuracy=values, rate=values) for n in range(4)]
    with Site(ASite(tmp_path / "many").take(*contents).path) as opened:
        wide = opened.metrics()
        over = opened.metrics(over="max")
    assert len(wide) == 4 * 2 * 40
    assert not wide.isna().to_numpy().any()
    assert len(over) == 4 * 40
    assert wide.equals(wide.sort_values(["execution", "rank", "step"], ignore_index=True))


def test_whole_parameters_keep_all_their_bits(tmp_path: Path) -> None:
    """As a seed of 63 bits; a column with a float in it is of floats."""
    contents = [a_run(0), a_run(1), a_run(2)]
    set_param(contents[0], 0, "seed", "int", LARGE)
    set_param(contents[1], 1, "seed", "int", 0)
    set_param(contents[0], 0, "rate", "int", 1)
    set_param(contents[1], 1, "rate", "float", 0.5)
    with Site(ASite(tmp_path / "seeds").take(*contents).path) as opened:
        found = opened.params("seed >= 0", like="arrow").sort_by("seed").to_pylist()
    assert [(row["seed"], row["rate"]) for row in found] == [(0, 0.5), (LARGE, 1.0)]


def test_what_no_float_can_be_is_a_text(tmp_path: Path) -> None:
    """It is no number of a table, and the others are there."""
    content = a_run(0)
    huge = str(10**400)
    set_param(content, 0, "huge", "json", huge)
    with Site(ASite(tmp_path / "huge").take(content).path) as opened:
        found = opened.frame("params", like="arrow").to_pylist()
        assert [(row["value"], row["number"]) for row in found if row["key"] == "huge"] == [
            (huge, None)
        ]
        assert opened.params().huge.tolist() == [huge]


def test_tables_become_files(invoke: Invoke, tmp_path: Path) -> None:
    """Parquet, CSV and Arrow have the same rows; what is there is replaced."""
    into = tmp_path / "new" / "tables"
    for kind in ("parquet", "csv", "arrow", "parquet"):
        done = invoke("export", kind, str(into), "--json")
        n_rows = json.loads(done.stdout)
        assert set(n_rows) == set(TABLES)
    assert {path.name for path in into.iterdir()} == {
        f"{name}.{kind}" for name in TABLES for kind in ("parquet", "csv", "arrow")
    }
    for name, n in n_rows.items():
        assert len(duckdb.read_parquet(str(into / f"{name}.parquet"))) == n
        assert len(csv.read_csv(into / f"{name}.csv")) == n
        assert len(ipc.open_file(into / f"{name}.arrow").read_all()) == n
    best = duckdb.sql(f"""
        SELECT p.number, max(m.max) FROM '{into}/params.parquet' AS p
        JOIN '{into}/metrics.parquet' AS m USING (execution)
        WHERE p.key = 'rate' AND m.name = 'loss' GROUP BY p.number ORDER BY 1
    """)
    assert best is not None
    assert best.fetchall() == [(0.1, 13.0), (0.5, 14.0)]


def test_a_part_is_written_and_a_problem_told(invoke: Invoke, tmp_path: Path) -> None:
    """A filter leaves the tables away that know no executions; what cannot be written is said."""
    into = tmp_path / "tables"
    assert invoke("export", "csv", str(into), "--where", "rate = 0.5").stdout == ""
    assert not (into / "packs.csv").exists()
    assert len(csv.read_csv(into / "runs.csv")) == 1
    (tmp_path / "file").write_text("")
    below = str(tmp_path / "file" / "below")
    said = invoke("export", "csv", below, "--table", "runs", code=21).stderr
    assert "cannot be written" in said


@pytest.mark.sqlite
def test_the_values_of_a_run_cost_the_same_in_a_larger_site(tmp_path: Path) -> None:
    """However many others logged a metric of that name: SQLite takes as many steps."""
    steps = []
    for n_runs in (2, 60):
        content: Content = {}
        for number in range(n_runs):
            for table, rows in a_run(number, loss=[2.0]).items():
                content.setdefault(table, []).extend(rows)
        site = ASite(tmp_path / str(n_runs) / "site").take(content)
        with open_index(site.path) as db:
            taken: list[None] = []
            db.set_progress_handler(partial(taken.append, None), 1)
            assert len(points(db, 1, "loss").value) == 2
        steps.append(len(taken))
    assert steps[1] < 2 * steps[0]
