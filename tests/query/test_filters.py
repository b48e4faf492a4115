"""The filter language: what it means, in both ways of asking, and where it points at slips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.packs import Content, an_id
from support.sites import ASite, a_run, set_param

from cmfd.errors import FilterError
from cmfd.query import search as search_
from cmfd.query import words
from cmfd.query.index import open_index
from cmfd.query.search import best, search

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


def tag(content: Content, subject: bytes, key: str, kind: str, value: object) -> None:
    origin = an_id("proc", 1)
    content.setdefault("fact", []).append((subject, key, 1, origin, kind, value))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Four runs: rates 0.1 to 0.4 but for a last one, which says it in words; two tags."""
    contents = [a_run(n, loss=[3.0 - n, 2.0, 1.0 + n], acc=[0.1 * n]) for n in range(4)]
    for number, content in enumerate(contents[:3]):
        set_param(content, number, "rate", "float", 0.1 * (number + 1))
    set_param(contents[3], 3, "rate", "str", "Cosine schedule")
    set_param(contents[1], 1, "rate", "int", 7)
    set_param(contents[2], 2, "shuffle", "bool", 1)
    set_param(contents[0], 0, "shuffle", "bool", 0)
    set_param(contents[3], 3, "seed", "null", "null")
    set_param(contents[2], 2, "val.split-a", "float", "NaN")
    tag(contents[0], an_id("exec", 0), "baseline", "bool", 1)
    tag(contents[1], an_id("exec", 1), "baseline", "bool", 0)
    tag(contents[2], an_id("run", 2), "slurm.partition", "str", "gpu-A100")
    site = ASite(tmp_path_factory.mktemp("filters") / "site").take(*contents)
    with open_index(site.path) as index:
        yield index


CASES = {
    "": [3, 2, 1, 0],
    "rate < 0.25": [1, 0],
    "param.rate < 0.25": [1, 0],
    "rate >= 7": [1],
    "rate = 7.0": [1],
    'rate = "Cosine schedule"': [3],
    'rate ~ "cosine"': [3],
    "rate != 7": [2, 1, 0],
    "not rate = 7": [3, 2, 0],
    'rate in (7, "Cosine schedule")': [3, 1],
    "shuffle = true": [2],
    "shuffle = false": [0],
    "shuffle = 1": [],
    "seed = null": [3],
    "param.seed": [3],
    "not param.seed": [2, 1, 0],
    'param."val.split-a" > 0': [],
    "param.val.split-a": [2],
    "tag.baseline": [0],
    "tag.baseline = false": [1],
    'tag.slurm.partition ~ "a100"': [2],
    "metric.loss > 14": [],
    "metric.loss >= 11": [3, 2, 1, 0],
    "metric.loss = 14": [3],
    "metric.loss = 4": [3],
    "metric_max.loss <= 12": [1],
    "metric_min.loss < 1": [3],
    "metric.nothing": [],
    'stage = "train" and pipeline == "digits" and not job = "2"': [3, 1, 0],
    'job = "1" or job = "2" and user = "bob"': [1],
    '(job = "1" or job = "2") and user = "ann"': [2, 1],
    'status = "completed" and ranks = 2 and wall_s = 9 and exit_code = 0': [],
    'node = "n1" and cluster = "c"': [3, 2, 1, 0],
    'output ~ "model" and output = "md5:00000000000000000000000000000001"': [1],
    'output = "model.bin" and not input ~ ""': [3, 2, 1, 0],
    'began > "2023-11-14T22:13:21Z"': [3, 2],
    'ended <= "2023-11-14T22:13:28+00:00"': [0],
    "cosine": [3],
    '"gpu-a100" or baseline': [2, 1, 0],
    "digits and ann": [3, 2, 1, 0],
    "shuffle or seed": [3, 2, 0],
    "split": [2],
    '"slurm.part"': [2],
    "rain and cosine": [3],
    "nowhere": [],
    "name = 'x' or command = \"true\" and job != '3'": [2, 1, 0],
    'rate = "7; DROP TABLE run; --\'"': [],
}


@pytest.mark.parametrize(
    ("window", "most_apart"),
    [(5000, 1000), (1, 1000), (1, 2), (1, 1)],
    ids=["one by one", "by index", "by index and rows", "by rows"],
)
@pytest.mark.parametrize(("text", "jobs"), CASES.items(), ids=CASES)
def test_a_filter_lets_pass_what_it_says(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, *, text: str, jobs: list[int],
    window: int, most_apart: int,
) -> None:  # fmt: skip
    """Latest first, whether the latest are looked at or all are searched, of few texts or many."""
    monkeypatch.setattr(search_, "_WINDOW", window)
    monkeypatch.setattr(words, "MOST_APART", most_apart)
    assert [int(one.job) for one in search(db, text)] == jobs


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("rate <", 7, "expected a number, a text"),
        ("rate < 0.1 and", 15, "a field"),
        ('stage = "x', 9, "this quote is not closed"),
        ("stage = train", 9, 'a text in quotes: "train"'),
        ("(rate < 1", 10, "expected ')'"),
        ("rate < 1)", 9, "no '(' belongs to this"),
        ("rate 5", 6, "expected a comparison, 'in', 'and' or 'or',"),
        ("rat < 1", 1, "rat is no field, and no execution has such a parameter"),
        ('pipline = "x"', 1, "did you mean pipeline?"),
        ("stage = 5", 9, "is a text"),
        ("wall_s > 'long'", 10, "is a number"),
        ("stage < 'x'", 9, "order only for numbers"),
        ("rate > true", 8, "order only"),
        ("rate ~ 5", 8, "no text"),
        ("began > 'soon'", 9, "no time"),
        ("began > 5", 9, "no time"),
        ("metric > 5", 1, "metric.NAME"),
        ("stage", 1, "compare it"),
        ("rate = 99999999999999999999", 8, "as large"),
        ("rate = 1; drop", 9, "expected"),
    ],
)
def test_a_slip_is_pointed_at(db: sqlite3.Connection, text: str, column: int, problem: str) -> None:
    """The message has the filter, and a mark below the place."""
    with pytest.raises(FilterError) as caught:
        search(db, text)
    said, shown, mark = str(caught.value).split("\n")
    assert problem in said
    assert f"at character {column} of" in said
    assert shown.strip() == text.strip()
    assert mark.index("^") - 2 == column - 1


def jobs_of(board: search_.LeaderBoard) -> list[tuple[int, float]]:
    return [(int(one.job), one.value) for one in board.leaders]


def test_the_best_are_ranked_by_the_best_value_of_any_rank(db: sqlite3.Connection) -> None:
    """The least loss, by its name; the greatest if it is asked for; rank 1 logs 10 more."""
    assert jobs_of(best(db, "digits", "loss")) == [(3, 0.0), (2, 1.0), (0, 1.0), (1, 2.0)]
    assert jobs_of(best(db, "digits", "loss", goal="max", limit=2)) == [(3, 14.0), (2, 13.0)]
    board = best(db, "digits", "loss", where="rate < 0.25", stage="train")
    assert jobs_of(board) == [(0, 1.0), (1, 2.0)]
    assert (board.goal, board.leaders[1].last) == ("min", 2.0)
    assert board.leaders[1].params["rate"] == [0.2, 7]
    assert best(db, "digits", "loss", stage="other").leaders == []
