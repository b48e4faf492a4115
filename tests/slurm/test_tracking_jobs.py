"""The tracking pipeline as jobs of SLURM that wait for each other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.tracking import PIPELINE, REGIONS, expected, recorded

if TYPE_CHECKING:
    from support.cluster import Account

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

WRAPPERS = PIPELINE.parents[2] / "wrappers"
PATH = f"{WRAPPERS}:{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIPELINE_S = 500


def test_jobs_have_the_lineage_of_the_pipeline(alice: Account) -> None:
    """A job for each stage; tasks on several nodes share the events, and are one execution."""
    environ = {"PATH": PATH}
    alice.run("cmfd", "site", "init", env=environ)
    said = alice.run(str(PIPELINE), "slurm", "out", "base", "few", env=environ).stdout
    jobs = {where: job for job, where in map(str.split, said.splitlines())}
    assert len(jobs) == 12

    states = {where: alice.wait(job, PIPELINE_S).state for where, job in jobs.items()}

    assert set(states.values()) == {"COMPLETED"}, states
    alice.run("cmfd", "merge", "--wait", env=environ)
    found, digests = recorded(alice.shared / ".cmfd" / "index.db")
    assert found == expected({"base": "preprocess", "few": "embed"})
    assert {path for path, known in digests.items() if len(known) > 1} == REGIONS
