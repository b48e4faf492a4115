"""What SLURM's controller says that a job was given on a node."""

from __future__ import annotations

import pytest

from cmfd.slurm.allocation import Given, read_given

JOB = """\
JobId=7 JobName=train
   UserId=ana(1000) GroupId=ana(1000) MCS_label=N/A
   NumNodes=3 NumCPUs=20 NumTasks=3 CPUs/Task=4 ReqB:S:C:T=0:0:*:*
   JOB_GRES=gpu:a100:5
     Nodes=n1 CPU_IDs=0-3,8-11 Mem=16384 GRES=gpu:a100:3(IDX:0-1,3)
     Nodes=n[2-3] CPU_IDs=0-5 Mem=0 GRES=
   MinCPUsNode=4 MinMemoryNode=0 MinTmpDiskNode=0
   Features=(null) DelayBoot=00:00:00
   OverSubscribe={} Contiguous=0 Licenses=(null) Network=(null)
"""


@pytest.mark.parametrize(
    ("node", "given"),
    [
        ("n1", Given(8, 16384 << 20, (0, 1, 3), exclusive=False)),
        ("n3", Given(6, None, (), exclusive=False)),
        ("n4", None),
    ],
)
def test_each_node_has_its_own(node: str, given: Given | None) -> None:
    """Nodes that were given the same are on one line."""
    assert read_given(JOB.format("OK"), node) == given


def test_a_job_that_has_its_nodes_alone_says_so() -> None:
    """Then it is given all energy of theirs."""
    given = read_given(JOB.format("NO"), "n1")
    assert given is not None
    assert given.exclusive
