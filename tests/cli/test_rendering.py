"""Figures, series and tables as people see them, and results as machines do."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmfd.cli import progress
from cmfd.query.metrics import goal_of
from cmfd.report import units
from cmfd.report.encode import to_json, write_csv
from cmfd.report.sparkline import BARS, sparkline
from cmfd.report.text import Column, Table, draw, printable

ANY_FLOATS = st.lists(st.floats(), max_size=100)


@given(values=ANY_FLOATS, width=st.integers(1, 40))
def test_any_series_can_be_drawn(values: list[float], width: int) -> None:
    """One character a value, up to the width, whatever the values."""
    drawn = sparkline(values, width)
    assert len(drawn) == min(len(values), width)
    assert set(drawn) <= {*BARS, "x"}


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([5.0], "▄"),
        ([1.0, 1.0, 1.0], "▄▄▄"),
        ([0.0, 1.0], "▁█"),
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([math.nan], "x"),
        ([0.0, math.nan, 1.0], "▁x█"),
        ([math.inf, 0.0, 1.0, -math.inf], "█▁█▁"),
        ([-1.7e308, 1.7e308], "▁█"),
    ],
)
def test_a_series_is_drawn_from_its_least_to_its_greatest(values: list[float], drawn: str) -> None:
    """Constants are in the middle, infinities at the edges, and NaN is marked."""
    assert sparkline(values) == drawn


def test_a_long_series_is_averaged() -> None:
    """A rise of a thousand values is a rise of eight bars."""
    assert sparkline([float(i) for i in range(1000)], 8) == BARS


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "-"),
        (0, "0.0 ms"),
        (12_340_000, "12.3 ms"),
        (4_560_000_000, "4.56 s"),
        (59_996_000_000, "1 min 00 s"),
        (187e9, "3 min 07 s"),
        (7500e9, "2 h 05 min"),
    ],
)
def test_durations_are_readable(ns: float | None, text: str) -> None:
    """In the unit that fits."""
    assert units.duration(ns) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(None, "-"), (-1, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"),
     (1 << 60, "1024.0 PiB")],
)  # fmt: skip
def test_sizes_are_readable(n_bytes: int | None, text: str) -> None:
    """In binary units, and nothing where it is not known."""
    assert units.size(n_bytes) == text


def test_words_that_are_of_many_get_no_second_ending() -> None:
    """Kinds of artifacts are counted by their names."""
    said = [units.count(n, word) for n, word in ((1, "model"), (2, "model"), (2, "metrics"))]
    assert said == ["1 model", "2 models", "2 metrics"]


def test_numbers_are_short_and_literals_exact() -> None:
    """Metrics to six digits; parameters as they are, of each type distinguishable."""
    values = (1 / 3, 2**62 + 1, math.nan, None, 1e300)
    assert [units.number(value) for value in values] == [
        "0.333333", "4611686018427387905", "NaN", "-", "1e+300",
    ]  # fmt: skip
    texts = [units.literal(value) for value in (1, "1", 1.0, True, None, "é", math.inf, 1 / 3)]
    assert texts == ["1", '"1"', "1.0", "true", "null", '"é"', "Infinity", "0.3333333333333333"]


@given(ids=st.lists(st.text("01", min_size=32, max_size=32), unique=True, max_size=20))
def test_short_ids_name_their_run(ids: list[str]) -> None:
    """Each begins its own id and no other."""
    for full, short in units.short_ids(ids).items():
        assert [one for one in ids if one.startswith(short)] == [full]


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("train/accuracy", "max"),
        ("F1-score", "max"),
        ("r2", "max"),
        ("error_rate", "min"),
        ("residual.max", "min"),
        ("temperature", None),
        ("loss_accuracy", None),
        ("glossy", None),
    ],
)
def test_a_goal_is_told_only_where_the_name_says_so(name: str, goal: str | None) -> None:
    """Whole words count, and words that disagree tell nothing."""
    assert goal_of(name) == goal


@given(value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_whatever_was_logged_becomes_standard_json(value: object) -> None:
    """Parsers that refuse NaN take it, and finite values come back as they were."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    for indent in (0, 2):
        text = to_json(value, indent=indent)
        assert ("\n" in text) <= bool(indent)
        back = json.loads(text, parse_constant=refuse)
        if "nan" not in repr(value) and "inf" not in repr(value):
            assert back == value


def test_csv_quotes_what_must_be_quoted() -> None:
    """Commas and newlines stay within their field; nothing is an empty field."""
    stream = io.StringIO()
    write_csv(stream, ("a", "b"), [("x,y\n", None), (math.nan, -math.inf)])
    assert stream.getvalue() == 'a,b\n"x,y\n",\nNaN,-Infinity\n'


def test_a_table_in_a_file_is_neither_folded_nor_padded() -> None:
    """Long cells stay on one line, lines end where their text does, markup is text."""
    stream = io.StringIO()
    rows = [("[red]x[/red]", "y" * 300), ("z", "1")]
    draw(Table((Column("first"), Column("second", right=True)), rows, "title"), stream)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["", "title"]
    assert lines[3] == f"[red]x[/red]  {'y' * 300}"
    assert not any(line.endswith(" ") for line in lines)


def test_a_titled_table_without_rows_is_left_out() -> None:
    """Nothing is said of what there is none of."""
    stream = io.StringIO()
    draw(Table((Column("first"),), [], "title"), stream)
    assert not stream.getvalue()


@given(text=st.text())
def test_text_for_a_terminal_has_no_control_characters(text: str) -> None:
    """Whatever a job logged, a line stays a line."""
    assert printable(text).isprintable()


class _Terminal(io.StringIO):
    """Something that says it is a terminal; how wide, COLUMNS says."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("n_figures", [1, 30])
def test_a_narrow_terminal_folds_texts_and_never_figures(
    n_figures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure in pieces reads as another one. Of a digest, the beginning is enough."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    text, digest = "where it is and " * 8, f"md5:{'a' * 32}"
    figures = [f"{number}.25" for number in range(1000, 1000 + n_figures)]
    columns = [
        Column("a long text"), *[Column("mean value", right=True)] * n_figures,
        Column("digest", short=True),
    ]  # fmt: skip
    out = _Terminal()
    draw(Table(columns, [(text, *figures, digest)]), out)
    lines = out.getvalue().splitlines()
    assert all(figure in out.getvalue().split() for figure in figures)
    assert (max(map(len, lines)) <= 80) == (n_figures == 1)
    assert sum("where" in line for line in lines) > 1
    assert digest[:12] in out.getvalue()
    assert digest not in out.getvalue()


@pytest.mark.parametrize("is_slow", [False, True])
def test_only_what_takes_its_time_has_a_bar(
    is_slow: bool,  # noqa: FBT001 - pytest's
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A short push at a terminal would take twice as long; for an end, none is made."""
    err = _Terminal()
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "AFTER_S", 0.0 if is_slow else 3600.0)
    with progress.progress_bar("pushing", quiet=False) as report:
        assert report is not None
        report(3, 3)
        assert not err.getvalue()
        report(1, 3)
        report(2, 3)
    assert ("2/3" in err.getvalue()) == is_slow
    with progress.progress_bar("pushing", quiet=True) as report:
        assert report is None
