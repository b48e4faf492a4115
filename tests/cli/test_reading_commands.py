"""Commands that read a site."""

from __future__ import annotations

import csv
import io
import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.packs import an_id, write_pack
from support.sites import BEGIN_NS, SECOND_NS, a_run, chunk, from_json, set_param

from cmfd.errors import ConfigError
from cmfd.merge.batch import merge_site
from cmfd.store.pack import finish

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import ASite, Invoke

RUN = [an_id("run", number).hex() for number in range(3)]


def test_runs_are_listed_latest_first(three_runs: ASite, invoke: Invoke) -> None:
    """The list has every run once, with its job, stages, ranks and how it ended."""
    del three_runs
    found = from_json(invoke("runs", "--json"))
    assert [run["run"] for run in found] == RUN[::-1]
    assert found[0]["stages"] == ["digits.train"]
    assert found[0]["n_ranks"] == 2
    assert found[0]["status"] == "completed"
    assert found[0]["ended_ns"] - found[0]["began_ns"] == 9 * SECOND_NS
    lines = invoke("runs").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["job", "2@c", "1@c", "0@c"]


@pytest.mark.parametrize(
    ("words", "n_found"),
    [
        (("--pipeline", "digits"), 3),
        (("--pipeline", "other"), 0),
        (("--stage", "train", "--user", "ann"), 3),
        (("--user", "bob"), 0),
        (("--status", "failed"), 0),
        (("-n", "2"), 2),
        (("--days", "1"), 0),
        (("--since", "2023-11-14T22:13:21Z"), 2),
        (("--since", "2023-11-15T00:00Z"), 0),
    ],
)
def test_runs_can_be_filtered(
    three_runs: ASite, invoke: Invoke, words: tuple[str, ...], n_found: int
) -> None:
    """Each filter keeps what fits it; runs of 2023 are none of the last day."""
    del three_runs
    assert len(from_json(invoke("runs", *words, "--json"))) == n_found


def test_one_beginning_of_a_time_is_said(three_runs: ASite, invoke: Invoke) -> None:
    """Not two, and one that is a time."""
    del three_runs
    said = invoke("runs", "--since", "2023-11-14", "--days", "1", code=ConfigError.exit_code)
    assert "--since or --days, not both" in said.output
    assert "is no time" in invoke("runs", "--since", "soon", code=2).stderr


def test_a_status_that_there_is_not_is_said(three_runs: ASite, invoke: Invoke) -> None:
    """Rather than that no run stands so."""
    del three_runs
    assert "completed" in invoke("runs", "--status", "complete", code=2).stderr


def test_an_execution_goes_by_its_job_before_the_beginning_of_its_id(
    site: ASite, invoke: Invoke
) -> None:
    """The ids of all executions here begin with 6, which is a job as well."""
    site.take(a_run(6), a_run(7))
    of_job_6 = an_id("exec", 6).hex()
    again = from_json(invoke("repro", "6", "--no-check", "--json"))
    assert again["execution"]["execution"] == of_job_6
    lineage = from_json(invoke("lineage", "up", "6", "--json"))
    assert [one["execution"] for one in lineage["executions"]] == [of_job_6]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (RUN[1], 1),
        (RUN[1].upper(), 1),
        (f"{RUN[1][:8]}-{RUN[1][8:]}", 1),
        ("last", 2),
        ("@-1", 2),
        ("@-3", 0),
        ("1", 1),
    ],
)
def test_a_run_goes_by_id_job_or_place(
    three_runs: ASite, invoke: Invoke, name: str, number: int
) -> None:
    """Full ids (in any spelling), job ids, and counting back all find their run."""
    del three_runs
    assert from_json(invoke("show", name, "--json"))["run"]["run"] == RUN[number]


def test_a_unique_beginning_names_a_run(site: ASite, invoke: Invoke) -> None:
    """Any beginning of the only run's id will do."""
    site.take(a_run(0, loss=[1.0]))
    assert from_json(invoke("show", RUN[0][:5], "--json"))["run"]["run"] == RUN[0]


def test_a_run_goes_by_its_executions(three_runs: ASite, invoke: Invoke) -> None:
    """What searches and leader boards list can be looked at; a run's own name goes before that."""
    del three_runs
    execution = an_id("exec", 1).hex()
    assert from_json(invoke("show", execution, "--json"))["run"]["run"] == RUN[1]
    assert invoke("params", execution).stdout == invoke("params", RUN[1]).stdout
    assert RUN[1] in invoke("show", execution[:8], code=4).stderr


def test_an_ambiguous_name_lists_the_candidates(three_runs: ASite, invoke: Invoke) -> None:
    """All three ids begin alike: the error says which they are."""
    del three_runs
    stderr = invoke("show", RUN[0][:6], code=4).stderr
    assert all(run in stderr for run in RUN)


@pytest.mark.parametrize("name", ["nobody", "ffff", "@-4", "@-0", ""])
def test_an_unknown_run_is_not_found(three_runs: ASite, invoke: Invoke, name: str) -> None:
    """The error says how to see which runs there are, and the exit code is 4."""
    del three_runs
    assert "cmfd runs" in invoke("show", name, code=4).stderr


def test_a_job_id_goes_before_the_beginning_of_an_id(site: ASite, invoke: Invoke) -> None:
    """Job 7 is found although every run's id begins with 7."""
    site.take(a_run(7, loss=[1.0]), a_run(8, loss=[1.0]))
    assert from_json(invoke("show", "7", "--json"))["run"]["job"] == "7"


def test_a_site_without_runs_says_so(site: ASite, invoke: Invoke) -> None:
    """No site, and a site that nothing was merged into, are not found and say what to do."""
    assert "cmfd site init" in invoke("runs", code=4).stderr
    site.take()
    assert from_json(invoke("runs", "--json")) == []
    assert "No such runs" in invoke("runs").stderr


def test_show_has_all_of_a_run(three_runs: ASite, invoke: Invoke) -> None:
    """Text and JSON have executions, parameters, metrics, artifacts and cost."""
    del three_runs
    found = from_json(invoke("show", "last", "--json"))
    assert found["wall_ns"] == 9 * SECOND_NS
    assert found["cpu_ns"] == 2 * SECOND_NS
    assert [one["rank"] for one in found["processes"]] == [0, 1]
    assert [one["key"] for one in found["params"]] == ["p0", "p1", "p2", "rate"]
    assert [one["name"] for one in found["metrics"]] == ["loss"]
    assert found["artifacts"][0]["path"] == "model.bin"
    text = invoke("show", "last").stdout
    for part in (RUN[2], "digits.train", "rate", "loss", "model.bin", "CPU 2.00 s", "95.4 MiB"):
        assert part in text


def test_show_says_that_packs_of_a_run_wait(three_runs: ASite, invoke: Invoke) -> None:
    """Whether something of it is merged or nothing is; and nothing of other runs' packs."""
    more = a_run(1)
    set_param(more, 1, "late", "int", 1)
    for content in (more, a_run(7)):
        write_pack(three_runs.path / "inbox", content)
    hint = "1 pack of it at the site to be merged: cmfd merge"
    assert hint in invoke("show", "1").stderr
    assert invoke("show", "2").stderr == ""
    assert hint in invoke("show", "7", code=4).stderr
    assert "merge" not in invoke("show", "8", code=4).stderr


def test_what_is_not_known_of_a_run_that_goes_on_is_not_shown(site: ASite, invoke: Invoke) -> None:
    """It has no end, so it took no time yet."""
    content = a_run(0)
    content["run_end"], content["process_state"] = [], []
    site.take(content)
    assert "running" in (shown := invoke("show", "last").stdout)
    assert "wall -" not in shown


def test_metrics_are_summed_up_over_ranks(three_runs: ASite, invoke: Invoke) -> None:
    """First and last are rank 0's; least and greatest are those of all ranks."""
    del three_runs
    (metric,) = from_json(invoke("metrics", "last", "--json"))
    expected = {"first": 1.0, "last": 1.5, "min": 1.0, "max": 12.0, "n_values": 8, "n_ranks": 2}
    assert expected.items() <= metric.items()
    assert metric["mean"] == pytest.approx(sum((1.0, 2.0, 1.0, 1.5)) / 4 + 5)
    assert (metric["goal"], metric["best"]) == ("min", 1.0)
    assert "▁" in invoke("metrics", "last").stdout


def test_the_values_of_a_metric_are_sorted_by_step_then_rank(
    three_runs: ASite, invoke: Invoke
) -> None:
    """Every value of every rank comes out, exactly."""
    del three_runs
    found = from_json(invoke("metrics", "0", "loss", "--json"))
    values = [3.0, 2.0, 1.0, 1.5]
    assert [(one["step"], one["rank"], one["value"]) for one in found] == [
        (step, rank, value + 10 * rank) for step, value in enumerate(values) for rank in (0, 1)
    ]
    assert found[0]["at_ns"] == BEGIN_NS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--rank", "1"), [(0, 1), (1, 1), (2, 1), (3, 1)]),
        (("--step", "1:3"), [(1, 0), (1, 1), (2, 0), (2, 1)]),
        (("--step", "3:"), [(3, 0), (3, 1)]),
        (("--step", ":1"), [(0, 0), (0, 1)]),
        (("--step", "2"), [(2, 0), (2, 1)]),
        (("--tail", "1"), [(3, 1)]),
        (("--rank", "0", "--step", "1:", "--tail", "2"), [(2, 0), (3, 0)]),
    ],
)
def test_values_can_be_chosen(
    three_runs: ASite, invoke: Invoke, words: tuple[str, ...], expected: list[tuple[int, int]]
) -> None:
    """By rank, by range of steps, and by how many of the last."""
    del three_runs
    found = from_json(invoke("metrics", "last", "loss", *words, "--json"))
    assert [(one["step"], one["rank"]) for one in found] == expected


def test_values_as_csv_are_whole(site: ASite, invoke: Invoke) -> None:
    """CSV has the header and every digit."""
    site.take(a_run(0, n_ranks=1, loss=[1 / 3]))
    rows = list(csv.DictReader(io.StringIO(invoke("metrics", "last", "loss", "--csv").stdout)))
    assert list(rows[0]) == ["execution", "step", "rank", "at_ns", "value"]
    assert float(rows[0]["value"]) == 1 / 3


def test_values_that_are_no_numbers_are_words(site: ASite, invoke: Invoke) -> None:
    """NaN and infinities are the same words in JSON, CSV and text, and never break a figure."""
    values = [math.nan, 1.0, math.inf, -math.inf, math.nan]
    site.take(a_run(0, n_ranks=1, loss=values))
    found = from_json(invoke("metrics", "last", "loss", "--json"))
    words = ["NaN", 1.0, "Infinity", "-Infinity", "NaN"]
    assert [one["value"] for one in found] == words
    rows = list(csv.reader(io.StringIO(invoke("metrics", "last", "loss", "--csv").stdout)))
    assert [row[-1] for row in rows[1:]] == [str(word) for word in words]
    text = invoke("metrics", "last", "loss").stdout
    assert text.startswith("x▄█▁x")
    assert text.splitlines()[2].endswith("NaN")
    (metric,) = from_json(invoke("metrics", "last", "--json"))
    assert metric["first"] == metric["last"] == "NaN"
    assert (metric["min"], metric["max"], metric["mean"]) == ("-Infinity", "Infinity", None)
    assert metric["n_nan"] == 2


def test_a_metric_of_nothing_but_nan_has_no_range(site: ASite, invoke: Invoke) -> None:
    """There is no least value, and that is not an error."""
    site.take(a_run(0, n_ranks=1, loss=[math.nan]))
    (metric,) = from_json(invoke("metrics", "last", "--json"))
    assert metric["min"] is metric["max"] is metric["mean"] is metric["best"] is None
    assert "loss" in invoke("metrics", "last").stdout


def test_integers_that_a_float_would_round_stay_exact(site: ASite, invoke: Invoke) -> None:
    """A value of 2**62 + 1 comes out as it went in, beside floats of the same name."""
    content = a_run(0, n_ranks=1, count=[0.5, 1.5])
    instance = an_id("proc", 0)
    content["series"].append((instance, 9, an_id("exec", 0), "count", "int"))
    content["chunk"].append(chunk(instance, 9, [2], [2**62 + 1]))
    site.take(content)
    found = from_json(invoke("metrics", "last", "count", "--json"))
    assert [one["value"] for one in found] == [0.5, 1.5, 2**62 + 1]


def test_values_that_cannot_be_decoded_hide_no_others(site: ASite, invoke: Invoke) -> None:
    """One chunk of a pack from elsewhere is damaged: it is named, and all else shown."""
    content = a_run(0, loss=[3.0, 2.0], accuracy=[0.5])
    damaged = next(i for i, row in enumerate(content["chunk"]) if row[0] == an_id("proc", 0))
    content["chunk"][damaged] = (*content["chunk"][damaged][:-1], b"?")
    site.take(content)

    metrics = {one["name"]: one for one in from_json(invoke("show", "last", "--json"))["metrics"]}
    assert (metrics["accuracy"]["first"], metrics["accuracy"]["problem"]) == (0.5, None)
    assert (metrics["loss"]["first"], metrics["loss"]["last"]) == (None, 2.0)
    assert "damaged" in metrics["loss"]["problem"]
    assert "damaged" in invoke("show", "last").stdout
    assert "accuracy" in invoke("metrics", "last").stdout
    shown = invoke("metrics", "last", "loss", "--json", code=12)
    assert [(one["rank"], one["value"]) for one in from_json(shown)] == [(1, 13.0), (1, 12.0)]
    assert "2 values of rank 0, steps 0 to 1" in shown.stderr
    nothing = invoke("metrics", "last", "loss", "--rank", "0", code=12)
    assert not nothing.stdout


def test_a_metric_that_does_not_exist_names_those_that_do(
    three_runs: ASite, invoke: Invoke
) -> None:
    """The error tells a wrong name from a choice that leaves nothing."""
    del three_runs
    assert "It has: loss" in invoke("metrics", "last", "lost", code=4).stderr
    assert "No value" in invoke("metrics", "last", "loss", "--rank", "7", code=4).stderr


def test_a_range_of_steps_must_be_one(three_runs: ASite, invoke: Invoke) -> None:
    """A word that is no range is a usage error."""
    del three_runs
    assert "no range of steps" in invoke("metrics", "last", "loss", "--step", "a", code=2).stderr


def test_parameters_keep_their_types(site: ASite, invoke: Invoke) -> None:
    """Values of every type come out as they went in, and a text never looks like another type."""
    content = a_run(0, loss=[1.0])
    content["param"] = []
    said = {
        "i": ("int", -(2**63), -(2**63)),
        "f": ("float", "NaN", "NaN"),
        "g": ("float", math.inf, "Infinity"),
        "b": ("bool", 1, True),
        "s": ("str", "NaN", "NaN"),
        "n": ("null", "null", None),
        "j": ("json", '{"a":[1,null]}', {"a": [1, None]}),
        "big": ("json", str(2**80), 2**80),
    }
    for key, (kind, stored, _) in said.items():
        set_param(content, 0, key, kind, stored)
    site.take(content)
    found = {one["key"]: one for one in from_json(invoke("params", "last", "--json"))}
    assert {key: one["value"] for key, one in found.items()} == {
        key: value for key, (_, _, value) in said.items()
    }
    text = invoke("params", "last").stdout
    assert '"NaN"' in text
    assert " NaN " in text


def test_ranks_that_disagree_on_a_parameter_are_shown(site: ASite, invoke: Invoke) -> None:
    """Both values are there, and are marked."""
    content = a_run(0, loss=[1.0])
    set_param(content, 0, "seed", "int", 1)
    set_param(content, 0, "seed", "int", 2)
    site.take(content)
    lines = invoke("params", "last").stdout.splitlines()
    assert sum("conflict" in line for line in lines) == 2
    assert len(invoke("params", "last", "--csv").stdout.splitlines()) == 6


def test_what_a_job_logged_cannot_steer_a_terminal(site: ASite, invoke: Invoke) -> None:
    """Escape sequences in a value are printed as such."""
    content = a_run(0, loss=[1.0])
    set_param(content, 0, "evil\x1b[2J", "str", "\x1b]0;gotcha\x07")
    site.take(content)
    for words in (("show", "last"), ("params", "last")):
        assert "\x1b" not in invoke(*words).stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("runs", "--days", "inf"), 2),
        (("runs", "-n", "9" * 20), 2),
        (("report", "runtime", "--days", "1e300"), 2),
        (("report", "runtime", "-n", "9" * 20), 2),
        (("show", "@-" + "9" * 20), 4),
    ],
)
def test_numbers_that_are_too_large_are_no_traceback(
    three_runs: ASite, invoke: Invoke, words: tuple[str, ...], code: int
) -> None:
    """They are wrong usage, or name nothing."""
    del three_runs
    invoke(*words, code=code)


HUGE = 2**63 - 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE run SET name = CAST(x'ff' AS TEXT), user = CAST(x'ff41' AS TEXT)",
        "UPDATE execution SET stage = CAST(x'ff' AS TEXT)",
        "UPDATE series SET name = CAST(x'ff' AS TEXT)",
        "UPDATE param SET value_type = 'str', value = CAST(x'ff' AS TEXT)",
        "UPDATE param SET value_type = 'json', value = '{nope'",
        "UPDATE event SET properties = '[1]'",
        f"UPDATE process_state SET cpu_user_ns = {HUGE}, dropped = {HUGE}",
        f"UPDATE chunk SET n_values = {HUGE}, n_nan = {HUGE}",
        f"UPDATE run SET at_ns = {-HUGE}; UPDATE run_end SET at_ns = {HUGE}",
    ],
)
def test_whatever_rows_a_pack_has_every_run_can_be_read(
    site: ASite, invoke: Invoke, tmp_path: Path, change: str
) -> None:
    """A pack from elsewhere may have any texts and numbers that its tables allow."""
    pack = write_pack(tmp_path / "packs", a_run(1, loss=[1.0]))
    with closing(sqlite3.connect(pack)) as db:
        db.executescript(change)
    finish(pack)
    write_pack(tmp_path / "packs", a_run(2, loss=[1.0]), sealed_ns=2)
    assert merge_site(site.path, [tmp_path / "packs"]).absorbed == 2
    runs = [an_id("run", number).hex() for number in (1, 2)]
    assert {run["run"] for run in from_json(invoke("runs", "--json"))} == set(runs)
    for words in (
        ("runs",),
        ("compare", *runs),
        ("report", "runtime"),
        ("report", "runtime", "--by", "stage", "--json"),
        *((word, run) for run in runs for word in ("show", "params", "metrics")),
    ):
        assert invoke(*words).stdout


def test_compare_shows_what_differs(three_runs: ASite, invoke: Invoke) -> None:
    """The rate differs and is shown; the others are equal and only counted."""
    del three_runs
    found = from_json(invoke("compare", "0", "2", "--json"))
    assert [run["run"] for run in found["runs"]] == [RUN[0], RUN[2]]
    differing = [row for row in found["params"] if row["differs"]]
    assert [row["key"] for row in differing] == ["rate"]
    assert [values[0]["value"] for values in differing[0]["values"]] == pytest.approx([0.1, 0.3])
    assert [one["first"] for one in found["metrics"][0]["values"]] == [3.0, 1.0]
    text = invoke("compare", "0", "2").stdout
    assert "3 are equal" in text
    assert "p1" not in text
    assert "p1" in invoke("compare", "0", "2", "--all").stdout


def test_compare_marks_what_a_run_has_not(site: ASite, invoke: Invoke) -> None:
    """A metric and a parameter that only one run has are there, with a gap."""
    one, other = a_run(0, loss=[1.0]), a_run(1, accuracy=[0.5])
    set_param(one, 0, "only", "int", 1)
    site.take(one, other)
    found = from_json(invoke("compare", "0", "1", "--json"))
    only = next(row for row in found["params"] if row["key"] == "only")
    assert only["values"][1] == []
    assert [row["values"][0] is None for row in found["metrics"]] == [True, False]
    assert "best (max)" in invoke("compare", "0", "1").stdout
