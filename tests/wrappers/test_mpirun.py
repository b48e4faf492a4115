"""`cmfd-mpirun` is mpirun, and its ranks are one execution of one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.programs import MPI_ENVIRONMENT
from support.tasks import CMFD, CMFD_MPIRUN, Step

HERE = ("--oversubscribe", "--allow-run-as-root")
OUTSIDE = {
    "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NODEID", "SLURM_JOB_NODELIST",
    "SLURM_STEP_NODELIST", "SLURMD_NODENAME", "SLURM_CLUSTER_NAME", "SLURM_LOCALID",
    "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE", "SLURM_JOB_NUM_NODES",
}  # fmt: skip

MPI = """
from mpi4py import MPI
import cmfd
with cmfd.start(comm=MPI.COMM_WORLD) as ex:
    ex.metric("x", float(MPI.COMM_WORLD.Get_rank()))
"""


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """Give a place outside of SLURM."""
    return Step(tmp_path, {**MPI_ENVIRONMENT}, delivers=True)


def launch(step: Step, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `cmfd-mpirun`."""
    env = {name: value for name, value in step.variables({}).items() if name not in OUTSIDE}
    command = [CMFD_MPIRUN, "--site", str(step.site), *words]
    return subprocess.run(
        command, cwd=step.cwd, env=env, capture_output=True, text=True, check=False, timeout=120
    )


def shown(step: Step) -> dict[str, Any]:
    """Return the only run of the site."""
    command = [CMFD, "runs", "--site", str(step.site), "--json"]
    (run,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    command = [CMFD, "show", run["run"], "--site", str(step.site), "--json"]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    return found


@pytest.mark.mpi
@pytest.mark.slow
def test_programs_that_know_nothing_of_cmfd(step: Step) -> None:
    """All ranks in the site when it ends, and nothing left on the node."""
    done = launch(
        step, "--stage", "say", *HERE, "-n", "4", "sh", "-c", "echo $OMPI_COMM_WORLD_RANK"
    )

    assert (done.returncode, sorted(done.stdout.split())) == (0, ["0", "1", "2", "3"])
    run = shown(step)
    (execution,) = run["executions"]
    assert (execution["stage"], execution["n_ranks"], execution["status"]) == (
        "say",
        4,
        "completed",
    )
    assert sorted(process["rank"] for process in run["processes"]) == [0, 1, 2, 3]
    assert not step.node_dir.exists()


@pytest.mark.mpi
@pytest.mark.slow
def test_programs_that_log_join(step: Step) -> None:
    """One execution of wrappers and ranks."""
    program = step.cwd / "heat.py"
    program.write_text(MPI, "utf-8")
    done = launch(step, *HERE, "-n", "2", "--", sys.executable, str(program))

    assert done.returncode == 0, done.stderr
    run = shown(step)
    (execution,) = run["executions"]
    assert (execution["stage"], execution["n_ranks"]) == ("heat", 2)
    assert len(run["processes"]) == 4


@pytest.mark.mpi
@pytest.mark.slow
def test_several_programs_and_an_exit_code(step: Step) -> None:
    """Each is an execution of the one run; it ends as mpirun ends."""
    words = ("-n", "1", "sh", "-c", "sleep 1", ":", "-n", "1", "sh", "-c", "sleep 1; exit 3")
    done = launch(step, *HERE, *words)

    assert done.returncode == 3
    run = shown(step)
    assert {process["exit_code"] for process in run["processes"]} == {0, 3}


FAKE = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "before"),
    [
        (["-n", "4", "./app", "-n", "5"], ["-n", "4"]),
        (["-np", "4", "--mca", "btl", "self,tcp", "-x", "A=1", "./app"],
         ["-np", "4", "--mca", "btl", "self,tcp", "-x", "A=1"]),
        (["--oversubscribe", "--hostfile", "hosts", "./app"],
         ["--oversubscribe", "--hostfile", "hosts"]),
        (["-genv", "A", "1", "-ppn", "2", "./app"], ["-genv", "A", "1", "-ppn", "2"]),
        (["--unknown", "value", "--", "./app"], ["--unknown", "value"]),
        (["--map-by=core", "./app"], ["--map-by=core"]),
        (["./app", "x"], []),
    ],
)  # fmt: skip
def test_the_wrapper_stands_in_front_of_the_program(
    step: Step, words: list[str], before: list[str]
) -> None:
    """Behind mpirun's own options."""
    fake = step.path / "mpirun"
    fake.write_text(FAKE, "utf-8")
    fake.chmod(0o755)
    said = launch(step, "--mpirun", str(fake), *words).stdout.splitlines()
    where = next(i for i, word in enumerate(said) if word.endswith("/cmfd-srun"))

    assert said[:where] == before
    app = words[words.index("./app") :]
    assert said[-len(app) - 1 :] == ["--", *app]
    assert "--run" in said[where:]
    assert "--launch" in said[where:]


@pytest.mark.parametrize(
    "words", [[], ["-n"], ["-n", "4"], [":", "./app"], ["./app", ":"], ["--mpirun"]]
)
def test_wrong_words_start_nothing(step: Step, words: list[str]) -> None:
    """As any command with wrong options."""
    done = launch(step, *words)

    assert done.returncode == 2
    assert "cmfd-mpirun" in done.stderr
    assert not step.node_dir.exists()


@pytest.mark.slow
def test_a_merge_that_hangs_is_not_waited_for(step: Step) -> None:
    """It ends as mpirun did, and says what is kept and what to do later."""
    here = step.path / "bin"
    here.mkdir()
    text = Path(CMFD_MPIRUN).read_text("utf-8")
    hangs = "#!/bin/sh\necho told >&2\nexec sleep 1000\n"
    for name, script in (
        ("cmfd-mpirun", text.replace("cmfd_limit=120 ", "cmfd_limit=1 ")),
        ("mpirun", "#!/bin/sh\nexit 3\n"),
        ("cmfd", hangs),
    ):
        (here / name).write_text(script, "utf-8")
        (here / name).chmod(0o755)
    env = {name: value for name, value in step.variables({}).items() if name not in OUTSIDE}
    env |= {"CMFD_COMMAND": str(here / "cmfd"), "CMFD_MPIRUN": str(here / "mpirun")}
    words = [str(here / "cmfd-mpirun"), "--site", str(step.site), "true"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (3, "")
    told, warning = done.stderr.splitlines()
    assert told == "told"
    assert f"what was recorded is kept; later: cmfd merge --quiet --site {step.site}" in warning
