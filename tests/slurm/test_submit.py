"""`cmfd slurm submit`: jobs recorded from their first line to their last, on a real cluster."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess

    from support.cluster import Account

pytestmark = pytest.mark.slurm

WRAPPERS = Path(__file__).parents[2] / "wrappers"
PATH = f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"

JOB = """\
#!/bin/bash
#SBATCH --job-name=heat
#CMFD --pipeline heat --stage all --name warm --param nx=96 --output field.txt
echo "$# arguments: $*"
srun --ntasks={n} cmfd-srun --stage solve -- bash -c 'echo rank $SLURM_PROCID'
echo done >field.txt
exit {code}
"""


def cmfd(user: Account, *words: str) -> subprocess.CompletedProcess[str]:
    return user.run("cmfd", *words, check=False, env={"PATH": f"{WRAPPERS}:{PATH}"})


def submit(user: Account, *words: str) -> str:
    """Submit a job, and check what is said of it."""
    done = cmfd(user, "slurm", "submit", *words)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+\n", done.stdout)
    return done.stdout.strip()


def shown(user: Account, job: str) -> Any:
    done = cmfd(user, "show", job, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def site(alice: Account) -> Path:
    """Return alice's site, which belongs to her directory."""
    cmfd(alice, "site", "init")
    return alice.shared / ".cmfd"


def test_a_job_of_several_nodes_is_in_its_site_when_it_has_ended(
    alice: Account, site: Path
) -> None:
    """Script and steps, with every node's part; nothing is left anywhere, and it ends as it did."""
    alice.write("job.sh", JOB.format(n=6, code=3))
    job = submit(alice, "--nodes=3", "--ntasks=6", "job.sh", "a  b", "c")
    assert alice.wait(job).exit_code == "3:0"
    output = alice.output(job)
    assert output.splitlines()[0] == "2 arguments: a  b c"
    assert sorted(output.splitlines()[1:]) == [f"rank {rank}" for rank in range(6)]
    found = shown(alice, job)
    assert (found["run"]["name"], found["run"]["status"], found["run"]["exit_code"]) == (
        "warm", "failed", 3,
    )  # fmt: skip
    assert found["run"]["stages"] == ["heat.all", "heat.solve"]
    assert found["run"]["missing_nodes"] == []
    solved = [p for p in found["processes"] if p["rank"] >= 0 and p["size"] == 6]
    assert {p["rank"] for p in solved} == set(range(6))
    assert len({p["host"] for p in solved}) == 3
    assert [(p["key"], p["value"]) for p in found["params"]] == [("nx", 96)]
    assert [a["path"] for a in found["artifacts"]] == ["field.txt"]
    assert list((site / "inbox").iterdir()) == []
    assert [left for left in alice.cluster.leftovers("alice") if "/var/tmp/cmfd-" not in left] == []
