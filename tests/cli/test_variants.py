"""Runs that are variants of one search, and executions that go on from others."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest
from support.wrapper import CMFD

from cmfd.content.files import hash_path

if TYPE_CHECKING:
    from support.wrapper import Node

TRAIN = """
import sys, cmfd
with cmfd.start() as ex:
    ex.metric("accuracy", float(sys.argv[1]))
"""
GO_ON = """
import cmfd
with cmfd.start("digits", "first") as first:
    pass
with cmfd.start("digits", "again") as ex:
    ex.continues(first)
with cmfd.start("digits", "resumed") as ex:
    ex.continues("last.ckpt")
with cmfd.start("digits", "by id") as ex:
    ex.continues(first.id.hex())
"""


@pytest.mark.slow
@pytest.mark.parametrize("inner", [False, True], ids=["run by run", "in one run"])
def test_variants_are_found_by_their_group(lone_node: Node, *, inner: bool) -> None:
    """One run each, or several executions of one run; a leader board knows them, too."""
    (lone_node.cwd / "train.py").write_text(TRAIN)
    options = ("run", "-q", "--pipeline", "p", "--group", "sweep", "--variant")
    each = [(*options, f"v{n}", "--", sys.executable, "train.py", f"0.{n}") for n in (1, 2)]
    if inner:
        script = "; ".join(shlex.join((*CMFD, *words)) for words in each)
        lone_node.cmfd("run", "-q", "--", "sh", "-c", script)
    else:
        for words in each:
            assert lone_node.cmfd(*words).returncode == 0
    lone_node.cmfd("run", "-q", "--group", "other", "--", "true")

    found = lone_node.json("runs", "--group", "sweep")
    expected = [["v1", "v2"]] if inner else [["v2"], ["v1"]]
    assert [run["variants"] for run in found] == expected
    shown = lone_node.cmfd("runs", "--group", "sweep").stdout.decode()
    assert "variant" in shown
    assert "v1" in shown
    where = 'tag.group = "sweep"'
    board = lone_node.json(
        "best", "--pipeline", "p", "--metric", "accuracy", "--max", "--where", where
    )
    assert [leader["value"] for leader in board["leaders"]] == [0.2, 0.1]


@pytest.mark.slow
def test_an_execution_goes_on_from_another_or_from_a_checkpoint(lone_node: Node) -> None:
    """Either is seen: as a fact, or as an input, along which lineage leads."""
    (lone_node.cwd / "go_on.py").write_text(GO_ON)
    checkpoint = lone_node.cwd / "last.ckpt"
    checkpoint.write_text("weights")
    lone_node.cmfd("run", "-q", "--", sys.executable, "go_on.py")
    lone_node.cmfd("run", "-q", "-i", "checkpoint:last.ckpt", "--", "true")

    shown = lone_node.json("show", "@-2")
    ids = {one["stage"]: one["execution"] for one in shown["executions"]}
    said = {one["subject"]: one["value"] for one in shown["facts"] if one["key"] == "continues"}
    assert said == {ids["again"]: ids["first"], ids["by id"]: ids["first"]}
    for run in (shown, lone_node.last()):
        (event,) = run["artifacts"]
        found = event["kind"], event["path"], event["digest"]
        assert found == ("checkpoint", "last.ckpt", hash_path(checkpoint).digest)
