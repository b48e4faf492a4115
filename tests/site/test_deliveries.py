"""Whether a run is complete: which of its nodes have not delivered all they had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.packs import Content, an_id, small_run, write_pack
from support.sites import BEGIN_NS, SECOND_NS

from cmfd.merge.batch import merge_site
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.report.runs import head_lines, runs_table

if TYPE_CHECKING:
    from pathlib import Path

RUN, EXECUTION, ORIGIN = an_id("run", 1), an_id("exec", 1), an_id("proc", 1000)
BEGAN_NS = BEGIN_NS + SECOND_NS
STEP_NODES = "slurm.step_nodes"


def fact(subject: bytes, key: str, value: Any, kind: str = "str") -> tuple[Any, ...]:
    return subject, key, BEGAN_NS, ORIGIN, kind, value


def delivery(
    node: str, *, after_s: float = 9, final: bool = True, job_over: bool = False
) -> tuple[Any, ...]:
    at_ns = BEGAN_NS + round(after_s * 1e9)
    return RUN, node, at_ns, ORIGIN, int(final), int(not final), int(job_over)


def missing(path: Path, content: Content) -> list[str]:
    """Return which nodes the one run lacks, as every command of a site sees it."""
    merge_site(path / "site", [write_pack(path / "packs", small_run(1) | content)])
    with open_index(path / "site") as db:
        (run,) = runs.recent(db)
        detail = runs.detail(db, runs.find(db, "1"))
    assert detail.run == run
    return run.missing_nodes


def test_a_run_of_unknown_nodes_lacks_nothing_that_is_known(tmp_path: Path) -> None:
    """A run without a batch system, or of packs from before nodes said what they delivered."""
    assert missing(tmp_path, {}) == []


def test_every_node_of_a_step_must_deliver(tmp_path: Path) -> None:
    """Those that have not said a word of the run are known by the step's node list."""
    content: Content = {
        "fact": [fact(EXECUTION, STEP_NODES, "n[1-3],x")],
        "delivery": [delivery("n1"), delivery("n3")],
    }
    assert missing(tmp_path, content) == ["n2", "x"]


def test_a_checkpoint_is_not_all_that_a_node_has(tmp_path: Path) -> None:
    """A node that died has left one, and still has the rest."""
    content: Content = {
        "fact": [fact(EXECUTION, STEP_NODES, "n[1-2]")],
        "delivery": [delivery("n1"), delivery("n2", final=False)],
    }
    assert missing(tmp_path, content) == ["n2"]


def test_a_step_that_began_after_a_node_had_delivered_is_still_to_come(tmp_path: Path) -> None:
    """The last pack of one step is not that of the next."""
    content: Content = {
        "fact": [fact(EXECUTION, STEP_NODES, "n[1-2]")],
        "delivery": [delivery("n1"), delivery("n2", after_s=-1)],
    }
    assert missing(tmp_path, content) == ["n2"]


def test_where_daemons_are_told_of_jobs_all_nodes_of_the_job_deliver(tmp_path: Path) -> None:
    """One that says that the job is over stands for all of its kind."""
    facts = [fact(EXECUTION, STEP_NODES, "n1"), fact(RUN, "slurm.node_list", "n[1-3]")]
    content: Content = {
        "fact": facts, "delivery": [delivery("n1", job_over=True), delivery("n2", job_over=True)],
    }  # fmt: skip
    assert missing(tmp_path, content) == ["n3"]


def test_without_such_daemons_only_nodes_of_steps_do(tmp_path: Path) -> None:
    """The others of the job had nothing to deliver, and nobody there who could say so."""
    facts = [fact(EXECUTION, STEP_NODES, "n1"), fact(RUN, "slurm.node_list", "n[1-3]")]
    assert missing(tmp_path, {"fact": facts, "delivery": [delivery("n1")]}) == []


@pytest.mark.parametrize("value", ["n[1-", 4, "n[1-999999999]"])
def test_a_node_list_that_is_none_hides_no_run(tmp_path: Path, value: Any) -> None:
    """Anybody may make a pack."""
    kind = "str" if isinstance(value, str) else "int"
    content: Content = {
        "fact": [fact(EXECUTION, STEP_NODES, value, kind)], "delivery": [delivery("n1")]
    }  # fmt: skip
    assert missing(tmp_path, content) == []


def test_a_node_that_comes_back_completes_its_run(tmp_path: Path) -> None:
    """And the missing nodes are shown for as long as they are missing, and no longer."""
    content: Content = {
        "fact": [fact(EXECUTION, STEP_NODES, "n[1-4]")], "delivery": [delivery("n1")]
    }  # fmt: skip
    assert missing(tmp_path, content) == ["n2", "n3", "n4"]
    with open_index(tmp_path / "site") as db:
        assert runs_table(runs.recent(db)).rows[0][-1] == "incomplete: n[2-4]"
        head = "\n".join(head_lines(runs.detail(db, runs.find(db, "1"))))
    assert "incomplete: n[2-4]" in head
    late = {"delivery": [delivery(f"n{number}", after_s=900) for number in (2, 3, 4)]}
    assert missing(tmp_path, late) == []
    with open_index(tmp_path / "site") as db:
        assert runs_table(runs.recent(db)).rows[0][-1] == ""
        head = "\n".join(head_lines(runs.detail(db, runs.find(db, "1"))))
    assert "incomplete" not in head
