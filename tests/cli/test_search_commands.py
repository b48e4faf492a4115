"""Commands that search executions and rank them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.packs import an_id
from support.sites import from_json

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
    assert "is not clear" in invoke("best", "--pipeline", "digits", "--metric", "x", code=3).stderr
    assert "It has: loss" in invoke(*board[:-1], "x", "--max", code=4).stderr
    assert "No execution is of" in invoke(*board[:2], "x", *board[3:], code=4).stderr
