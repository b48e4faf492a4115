"""A job's facts as SLURM's variables give them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cmfd import slurm

if TYPE_CHECKING:
    from collections.abc import Callable

    Around = Callable[[str], dict[str, str]]


def test_outside_of_jobs_there_are_no_facts(around: Around) -> None:
    """Nor is there a job."""
    assert slurm.facts(around("mpirun")) == {}
    assert slurm.job_from(around("shell")) is None


def test_a_task_knows_its_jobs_facts(around: Around) -> None:
    """Typed: counts are numbers and memory is in bytes; what is not known is not there."""
    assert slurm.facts(around("srun task")) == {
        "slurm.job": "4711",
        "slurm.restart": 0,
        "slurm.job_name": "train",
        "slurm.partition": "debug",
        "slurm.account": "physics",
        "slurm.nodes": 4,
        "slurm.node_list": "node[1-4]",
        "slurm.cpus": 14,
        "slurm.memory_per_node_bytes": 2 << 30,
        "slurm.submit_dir": "/home/alice/work",
        "slurm.submit_host": "login1",
    }


def test_array_het_and_restart_are_facts(around: Around) -> None:
    """With the number of the whole beside that of the part."""
    array, het = slurm.facts(around("array task")), slurm.facts(around("het component"))
    assert (array["slurm.job"], array["slurm.array_job"], array["slurm.array_task"]) == (
        "4711_3",
        4711,
        3,
    )
    assert (het["slurm.job"], het["slurm.het_job"]) == ("4711", 4711)
    assert slurm.facts(around("requeued"))["slurm.restart"] == 2


def test_a_hooks_variables_give_what_they_have(around: Around) -> None:
    """The Prolog has other names for node list and restart count."""
    assert slurm.facts(around("prolog")) == {
        "slurm.job": "4711",
        "slurm.restart": 0,
        "slurm.node_list": "node[1-4]",
    }
    again = around("prolog") | {"SLURM_JOB_RESTART_COUNT": "3"}
    assert slurm.facts(again)["slurm.restart"] == 3


def test_a_jobs_dependency_and_limit_are_facts(around: Around) -> None:
    """Accounting forgets the one; the other is no end yet."""
    environ = {"SLURM_JOB_DEPENDENCY": "afterok:4710", "SLURM_JOB_END_TIME": "1700003600"}
    known = slurm.facts(around("srun task") | environ)
    assert known["slurm.dependency"] == "afterok:4710"
    assert known["slurm.limit_end_time_s"] == 1700003600
    assert "slurm.end_time_s" not in known


@pytest.mark.parametrize("text", ["many", "4(x", "4(xy)", "", "(x2)"])
def test_what_cannot_be_read_is_no_fact(around: Around, text: str) -> None:
    """A newer SLURM may write something else: no fact is better than a wrong one."""
    environ = around("srun task") | {"SLURM_JOB_CPUS_PER_NODE": text, "SLURM_JOB_NUM_NODES": text}
    found = slurm.facts(environ)
    assert "slurm.cpus" not in found
    assert "slurm.nodes" not in found


def test_steps_that_are_not_sruns_have_names() -> None:
    """Their numbers are at the end of the range."""
    assert slurm.step_of({"SLURM_STEP_ID": "4294967291"}) == "batch"
    assert slurm.step_of({"SLURM_STEP_ID": "0"}) == "0"
    assert slurm.step_of({}) == ""


def test_the_nodes_of_a_step_are_those_of_srun() -> None:
    """Those variables are set in a batch script as well, of what is no step."""
    nodes = {"SLURM_STEP_NODELIST": "node[1-4]"}
    assert slurm.step_nodes({"SLURM_STEP_ID": "0", **nodes}) == "node[1-4]"
    assert slurm.step_nodes({"SLURM_STEP_ID": "4294967291", **nodes}) == ""
    assert slurm.step_nodes(nodes) == ""


def test_a_node_has_one_name() -> None:
    """SLURM's, which node lists have; a host without SLURM goes without its domain."""
    assert slurm.node_name({"SLURMD_NODENAME": "n7"}) == "n7"
    assert slurm.node_name({}) == os.uname().nodename.partition(".")[0]
