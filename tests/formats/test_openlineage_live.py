"""A job is told of while it runs: from its logging calls to a receiver over HTTP."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support.daemons import Daemon, wait_until

from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site

if TYPE_CHECKING:
    from pathlib import Path

    from support.receiver import Received

PROGRAM = """
import sys, cmfd
with cmfd.start("digits", "train") as run:
    run.metric("loss", 2.0, step=0)
    print("logged", flush=True)
    sys.stdin.readline()
    run.metric("loss", 1.0, step=1)
"""


def n_values(received: Received, kind: str) -> set[int]:
    """Return of how many values of the metric events tell."""
    found = [event["run"]["facets"] for event in received if event["eventType"] == kind]
    told = [facets["cmfd_metrics"] for facets in found if "cmfd_metrics" in facets]
    return {one["metrics"]["loss"]["nValues"] for one in told}


@pytest.mark.slow
def test_a_job_is_told_of_while_it_runs(tmp_path: Path, received: Received) -> None:
    """Its checkpoints come to the site, and their values to the receiver, before it ends."""
    site = tmp_path / "site"
    init_site(site)
    daemon = Daemon(
        tmp_path / "node", log=tmp_path / "log", site=str(site), checkpoint_interval_s="0.3"
    )
    follow = ["export", "openlineage", "--send", "--follow", "--every", "0.1", "--site", str(site)]

    def told(kind: str) -> set[int]:
        merge_site(site)
        return n_values(received, kind)

    with ExitStack() as stack:
        stack.callback(daemon.start().close)
        job = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env={**daemon.environ(), "CMFD_AUTOSTART": "false"},
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        stack.callback(job.kill)
        assert job.stdout is not None
        assert job.stdout.readline() == b"logged\n"
        merge_site(site)
        follower = stack.enter_context(subprocess.Popen([sys.executable, "-m", "cmfd", *follow]))
        stack.callback(follower.kill)
        wait_until(lambda: 1 in told("RUNNING"), "told of while it runs", 60)
        assert not told("COMPLETE")
        assert job.poll() is None
        job.communicate(b"go on\n")
        wait_until(lambda: 2 in told("COMPLETE"), "told of at its end", 60)
