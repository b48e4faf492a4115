"""Commands that search executions and rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.packs import an_id
from support.sites import a_run, from_json

if TYPE_CHECKING:
    from support.sites import ASite, Invoke


def test_a_search_lists_executions_with_their_parameters(three_runs: ASite, invoke: Invoke) -> None:
    """As a table, as JSON; words may be given as such; nothing found is said."""
    del three_runs
    found = from_json(invoke("search", "rate > 0.15", "--json"))
    assert [one["execution"] for one in found] == [an_id("exec", n).hex() for n in (2, 1)]
    assert found[0]["params"]["rate"] == [0.1 * 3]
    text = invoke("search", "digits", "and", "rate < 0.15").stdout
    assert "rate=0.1" in text
    assert "digits.train" in text
    assert "No such executions" in invoke("search", "rate > 5").stderr
    assert len(from_json(invoke("search", "digits", "-n", "1", "--json"))) == 1


def test_a_filter_that_makes_no_sense_has_an_exit_code_of_its_own(
    three_runs: ASite, invoke: Invoke
) -> None:
    """And points at the place, on standard error."""
    del three_runs
    lines = invoke("search", "rate <", code=16).stderr.splitlines()
    assert lines[1:] == ["  rate <", "        ^"]


def test_the_leader_board_shows_what_differs(three_runs: ASite, invoke: Invoke) -> None:
    """Best first, with the parameters in which the leaders differ."""
    del three_runs
    board = ("best", "--pipeline", "digits", "--metric", "loss")
    found = from_json(invoke(*board, "--max", "--json"))
    assert [one["job"] for one in found["leaders"]] == ["0", "2", "1"]
    assert [one["value"] for one in found["leaders"]] == [13.0, 12.0, 12.0]
    lines = invoke(*board, "--max").stdout.splitlines()
    assert lines[0].split() == [
        "execution",
        "stage",
        "loss",
        "last",
        "rate",
        "user",
        "began",
        "status",
    ]
    used = from_json(invoke(*board, "--using", "md5:" + "0" * 31 + "1", "--json"))
    assert used["leaders"] == []
    assert "It has: loss" in invoke(*board[:-1], "x", code=4).stderr
    assert "No execution is of" in invoke(*board[:2], "x", *board[3:], code=4).stderr


def test_a_metric_whose_name_does_not_say_what_is_good_needs_to_be_told(
    site: ASite, invoke: Invoke
) -> None:
    """Only one that there is: of another one it is said that there is none."""
    site.take(a_run(1, elapsed=[1.0]))
    board = ("best", "--pipeline", "digits", "--metric", "elapsed")
    assert "is not clear" in invoke(*board, code=3).stderr
    assert len(from_json(invoke(*board, "--min", "--json"))["leaders"]) == 1
