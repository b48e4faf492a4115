"""`cmfd slurm submit`: jobs recorded from their first line to their last, on a real cluster."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.cluster.processes import wait_for

if TYPE_CHECKING:
    import subprocess

    from support.cluster import Account

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

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


def json_of(user: Account, *words: str) -> Any:
    done = cmfd(user, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shown(user: Account, job: str) -> Any:
    return json_of(user, "show", job)


def left_of(user: Account) -> list[str]:
    left = user.cluster.leftovers(user.name)
    return [one for one in left if "/var/tmp/cmfd-" not in one]


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
    # The daemon of a node whose part of the job is over may be about to end.
    wait_for(lambda: not left_of(alice), f"nothing is left, of {left_of(alice)}")


STEP = "srun --ntasks-per-node=1 cmfd-srun --pipeline heat --stage solve -- sleep 0.1"
UNDELIVERED = {"CMFD_AUTOSTART": "false", "CMFD_DELIVER": "job"}
"""What leaves journals on the nodes, as if the job had been killed with all of its processes."""


def submit_plainly(user: Account, script: str, *options: str, env: dict[str, str]) -> str:
    return user.submit(script, *options, env={"PATH": f"{WRAPPERS}:{PATH}", **env})


@pytest.mark.usefixtures("site")
def test_what_nodes_still_have_is_fetched_after_a_job(alice: Account) -> None:
    """A small job follows it, and one on each node that has not delivered; status tells of each."""
    job = submit_plainly(alice, STEP, "--nodes=2", env=UNDELIVERED)
    alice.wait(job)
    (before,) = json_of(alice, "slurm", "status", job)["jobs"]
    assert (before["queue_state"], before["run"]) == ("COMPLETED", "")
    after = cmfd(alice, "slurm", "merge-after", job).stdout.strip()
    alice.wait(after)
    wait_for(lambda: not alice.run("squeue", "--noheader", "--me").stdout, "nodes have delivered")
    (found,) = json_of(alice, "slurm", "status", job)["jobs"]
    assert found["status"] == "completed"
    assert (len(found["delivered_nodes"]), found["missing_nodes"]) == (2, [])
    assert found["waiting_packs"] == 0
    again = cmfd(alice, "slurm", "merge-after", job).stdout.strip()
    alice.wait(again)
    facts = {fact["key"]: fact["value"] for fact in shown(alice, job)["facts"]}
    assert facts["slurm.state"] == "COMPLETED"
    assert shown(alice, job)["run"]["missing_nodes"] == []


def test_status_tells_of_what_runs_and_of_what_waits(alice: Account, site: Path) -> None:
    """Jobs in the queue, nodes that have not delivered, and packs that nobody merged."""
    script = f"{STEP}; cmfd merge --quiet; touch step-1; until test -e go-on; do sleep 0.1; done"
    job = submit_plainly(alice, script, "--nodes=2", env={})
    wait_for((alice.shared / "step-1").exists, "the first step has ended")
    (found,) = json_of(alice, "slurm", "status")["jobs"]
    assert (found["job"], found["queue_state"]) == (job, "RUNNING")
    assert (len(found["delivered_nodes"]), found["missing_nodes"]) == (2, [])
    text = cmfd(alice, "slurm", "status").stdout
    assert "2 of 2" in text
    alice.write("go-on", "")
    alice.wait(job)
    other = submit_plainly(alice, STEP, "--nodes=2", env={"CMFD_AUTO_MERGE": "false"})
    alice.wait(other)
    assert json_of(alice, "slurm", "status", other)["jobs"][0]["waiting_packs"] == 2
    assert "2 packs" in cmfd(alice, "slurm", "status").stdout
    assert len(list((site / "inbox").iterdir())) == 2
    assert cmfd(alice, "slurm", "status", "999999").returncode == 4
    nowhere = {"SLURM_CONF": "/nowhere"}
    without = alice.run("cmfd", "slurm", "status", "--json", check=False, env=nowhere)
    assert without.returncode == 12
    assert "could not be asked" in without.stderr
    assert job in {one["job"] for one in json.loads(without.stdout)["jobs"]}
    assert json.loads(without.stdout)["slurm"]


def test_sbatch_says_what_is_wrong_itself(alice: Account) -> None:
    """Its words, its exit code, of the file that the user knows; directives are checked before."""
    alice.write("text", "echo no script\n")
    for words in (["no-such-file"], ["text"], ["--nodes=many", "text"]):
        own = alice.run("sbatch", "--parsable", *words, check=False)
        ours = cmfd(alice, "slurm", "submit", *words)
        assert (ours.returncode, ours.stdout) == (own.returncode, own.stdout) != (0, "")
        assert ours.stderr == own.stderr
    for directive, said in (
        ("--frobnicate", "--frobnicate"),
        ("pipeline heat", "'pipeline' is no option"),
        ("--stage a -- b", "'b' is no option"),
        ("--param x", "'x' is not key=value"),
        ("--script-as x", "no such option: --script-as"),
    ):
        alice.write("job.sh", f"#!/bin/sh\n#CMFD {directive}\ntrue\n")
        wrong = cmfd(alice, "slurm", "submit", "job.sh")
        assert wrong.returncode == 2
        assert said in wrong.stderr
        assert "Nothing was submitted." in wrong.stderr
    assert not alice.run("squeue", "--noheader", "--me").stdout


@pytest.mark.usefixtures("site")
def test_a_job_without_a_file_is_submitted_as_sbatch_does(alice: Account) -> None:
    """A command to be wrapped, a script from standard input, another interpreter."""
    wrapped = submit(alice, "--wrap=echo $0 ran; exit 5", "--job-name", "w")
    piped = alice.run(
        "cmfd", "slurm", "submit", "--", stdin="#!/usr/bin/env python3\nprint(6 * 7)\n"
    ).stdout.strip()
    assert alice.wait(wrapped).exit_code == "5:0"
    assert "ran" in alice.output(wrapped)
    assert alice.wait(piped).state == "COMPLETED"
    assert alice.output(piped) == "42\n"
    assert shown(alice, wrapped)["run"]["exit_code"] == 5
    assert shown(alice, piped)["run"]["status"] == "completed"


@pytest.mark.usefixtures("site")
def test_a_job_goes_by_the_script_that_was_submitted(alice: Account) -> None:
    """Not by the copy that is there only while the job runs; also where that runs elsewhere."""
    alice.write("warm.slurm", "#!/bin/bash\ntrue\n")
    jobs = {
        submit(alice, "warm.slurm", "a b"): ("/bin/bash warm.slurm 'a b'", "warm"),
        submit(alice, "--chdir=/tmp", "warm.slurm"): (
            f"/bin/bash {alice.shared}/warm.slurm", "warm",
        ),
        submit(alice, "--wrap=echo $0; true"): ("/bin/sh -c 'echo $0; true'", "wrap"),
    }  # fmt: skip
    for job, (words, stage) in jobs.items():
        assert alice.wait(job).state == "COMPLETED"
        found = shown(alice, job)
        assert found["run"]["command"] == words
        assert [one["stage"] for one in found["executions"]] == [stage]
        again = json_of(alice, "repro", job)
        assert shlex.join(again["command"]) == words


@pytest.mark.usefixtures("site")
def test_a_job_that_is_cancelled_brings_in_what_it_has(alice: Account) -> None:
    """Each node has a moment to deliver its part; what is too late for that is fetched."""
    script = f"trap true TERM\n{STEP.replace('0.1', '1000')}\n"
    alice.write("job.sh", f"#!/bin/bash\n{script}")
    job = submit(alice, "--nodes=2", "job.sh")

    def running() -> list[str]:
        found = [seen.command for seen in alice.cluster.processes_of("alice")]
        return [words for words in found if words.startswith("sleep")]

    wait_for(lambda: len(running()) == 2, "both tasks run")
    alice.cancel(job)
    assert alice.wait(job).state == "CANCELLED"
    # This cluster gives jobs that are ended five seconds, in which a busy machine may do little.
    alice.wait(cmfd(alice, "slurm", "merge-after", job).stdout.strip())
    wait_for(lambda: not alice.run("squeue", "--noheader", "--me").stdout, "nodes have delivered")
    found = shown(alice, job)
    assert found["run"]["missing_nodes"] == []
    tasks = [p for p in found["processes"] if p["size"] == 2]
    assert [(p["status"], p["signal"]) for p in tasks] == [("cancelled", 15)] * 2
    assert len({p["host"] for p in tasks}) == 2


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("to", ["--batch", "--full"])
def test_a_script_hears_a_signal_once(alice: Account, to: str) -> None:
    """Whether SLURM sends it to the job's first process, or to all that it has."""
    heard = "trap 'echo heard' USR1; trap 'exit 3' USR2; echo ready; while :; do sleep 0.1; done"
    alice.write("job.sh", f"#!/bin/bash\n{heard}\n")
    job = submit(alice, "job.sh")

    def says(what: str) -> bool:
        path = alice.shared / f"slurm-{job}.out"
        return path.exists() and what in path.read_text("utf-8")

    wait_for(lambda: says("ready"), "the script runs")
    alice.cancel(to, "--signal=USR1", job)
    wait_for(lambda: says("heard"), "the script hears it")
    alice.cancel(to, "--signal=USR2", job)
    assert alice.wait(job).exit_code == "3:0"
    assert alice.output(job).splitlines().count("heard") == 1
