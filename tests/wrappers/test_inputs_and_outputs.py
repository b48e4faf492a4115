"""What `cmfd-srun` is told that a step reads and writes: once a step, read as it is delivered."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.tasks import CMFD, CMFD_SRUN, STEP, WRAPPERS, Step

from cmfd.client.artifacts import Said
from cmfd.content.files import hash_path
from cmfd.errors import JournalError
from cmfd.merge.batch import merge_site
from cmfd.model import ArtifactKind
from cmfd.query.index import open_index
from cmfd.wire.messages import Touch

sys.path.insert(0, str(WRAPPERS))
import cmfd_task  # type: ignore[import-not-found,unused-ignore]

EVENTS = "SELECT direction, kind, path, digest, problem FROM events ORDER BY direction, path"


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """Give a step of two tasks on one node, the last of which delivers."""
    here = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0"}
    return Step(tmp_path, here, delivers=True)


def start(
    step: Step, rank: int, *command: str, options: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    environ = step.variables({"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)})
    return subprocess.Popen([CMFD_SRUN, *options, "--", *command], cwd=step.cwd, env=environ)


def events(step: Step) -> list[tuple[Any, ...]]:
    merge_site(step.site)
    with open_index(step.site) as db:
        return db.execute(EVENTS).fetchall()


@pytest.mark.slow
def test_a_step_has_its_inputs_and_outputs_once(step: Step) -> None:
    """Of two tasks, rank 0 ends first; what the other one writes is seen all the same."""
    raw, out = step.cwd / "raw", step.cwd / "out"
    for path in (raw, out):
        path.mkdir()
    (raw / "a").write_text("1")
    options = ("-i", "raw", "--output", "model:out", "--output=out/none")
    wait = "until [ -e ended ]; do sleep 0.02; done; echo 2 >out/late"
    with start(step, 1, "sh", "-c", wait, options=options) as other:
        assert start(step, 0, "sh", "-c", "echo 1 >out/early", options=options).wait() == 0
        (step.cwd / "ended").touch()
        assert other.wait() == 0

    read, written, missing = events(step)
    assert read == ("input", "dataset", "raw", hash_path(raw).digest, "")
    assert written == ("output", "model", "out", hash_path(out).digest, "")
    assert missing[:3] == ("output", "dataset", "out/none")
    assert missing[4] == "not hashed"


def test_two_tasks_that_end_at_once_are_not_both_the_last(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lets go of the step's lock before the other looks: what is written is told once."""
    ids = {"CMFD_RUN": "ab" * 16, "CMFD_EXECUTION": "cd" * 16}
    for key, value in step.variables(ids).items():
        monkeypatch.setenv(key, value)
    (step.node_dir / "steps").mkdir(parents=True)
    tasks = [_task(rank) for rank in (0, 1)]
    for rank, task in enumerate(tasks):
        task._join_step(rank)
    for task in tasks:
        fcntl.flock(task._step_lock, fcntl.LOCK_UN)

    assert [task._begun_if_last() for task in tasks] == [b"0+", b""]
    again = _task(1)  # of what begins after that, one is the last again
    again._join_step(1)
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "1")
    assert again._begun_if_last() == b"+"


def _task(rank: int) -> Any:
    journal_dir, cmfd = "/nowhere", ""
    words = ["1", "1", f"{rank:032x}", "slurm:0", "", "", journal_dir, cmfd, "no", "no", "0", "0"]
    return cmfd_task.Task(cmfd_task.Order(words))


@pytest.mark.slow
def test_what_no_launch_started_has_outputs_of_its_own(step: Step) -> None:
    """Two programs side by side in a job's script: each is an execution, and says what it wrote."""
    script = {"SLURM_STEP_ID": "", "SLURM_STEP_TASKS_PER_NODE": "", "SLURM_PROCID": "0"}
    step.environ.update(script)
    wait = "until [ -e ended ]; do sleep 0.02; done; echo 2 >late"
    with start(step, 0, "sh", "-c", wait, options=("-o", "late")) as other:
        assert start(step, 0, "sh", "-c", "echo 1 >early", options=("-o", "early")).wait() == 0
        (step.cwd / "ended").touch()
        assert other.wait() == 0

    assert [path for _, _, path, _, _ in events(step)] == ["early", "late"]


@pytest.mark.slow
def test_ranks_that_nobody_says_belong_together_are_recorded_each(step: Step) -> None:
    """Of a bare mpirun: each is an execution of its own, with what it was given."""
    (step.cwd / "data").write_text("1")
    ranks = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
    step.environ.update({"SLURM_STEP_ID": "", "SLURM_STEP_TASKS_PER_NODE": "", **ranks})
    assert start(step, 0, "true", options=("-i", "data", "--param", "a=1")).wait() == 0

    (read,) = events(step)
    assert read[:3] == ("input", "dataset", "data")
    with open_index(step.site) as db:
        assert db.execute("SELECT key, value FROM params").fetchall() == [("a", 1)]


@pytest.mark.slow
def test_what_a_failed_step_wrote_does_not_make_it_complete(step: Step) -> None:
    """Who tells of the outputs says how the program ended, too."""
    step.environ["SLURM_STEP_TASKS_PER_NODE"] = "1"
    assert start(step, 0, "sh", "-c", "echo 1 >out; exit 3", options=("-o", "out")).wait() == 3
    merge_site(step.site)
    with open_index(step.site) as db:
        said = db.execute("SELECT DISTINCT status FROM processes").fetchall()
    assert said == [("failed",)]


@pytest.mark.slow
def test_a_killed_wrapper_has_named_its_inputs(step: Step) -> None:
    """Nobody hears of how it ended; the daemon reads what it named."""
    (step.cwd / "data").write_text("1")
    environ = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"}
    step.environ.update(environ)
    task = start(
        step, 0, "sh", "-c", "until [ -e go ]; do sleep 0.02; done", options=("-i", "data")
    )
    try:
        journal = _eventually(step)
    finally:
        task.kill()
        task.wait()
        (step.cwd / "go").touch()
    assert journal
    subprocess.run([CMFD, "slurm", "deliver"], env=step.variables(STEP | environ), check=True)

    (found,) = events(step)
    assert found == ("input", "dataset", "data", hash_path(step.cwd / "data").digest, "")


def _eventually(step: Step) -> bool:
    from support.wrapper import eventually

    def has_touched() -> bool:
        with suppress(JournalError):  # it is just being begun
            return bool(step.journals) and any(isinstance(one, Touch) for one in step.records())
        return False

    return bool(eventually(has_touched, "the touch of an input"))


def test_kinds_are_those_of_the_model() -> None:
    """The wrapper imports nothing of the package."""
    assert sorted(cmfd_task.KINDS) == sorted(kind.value for kind in ArtifactKind)


@pytest.mark.parametrize(
    "text",
    ["data", "model:m.bin", "other:", "x:y", "h.h5::/train/x", "model::a", "::a", "a::", "m:o::d",
     "model:h.h5::x", "real:thing", "model:model:x"],
)  # fmt: skip
def test_words_are_read_as_cmfd_run_reads_them(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kind, path, data set."""
    monkeypatch.chdir(tmp_path)
    Path("real:thing").touch()
    said = Said.of(text)
    assert cmfd_task.named(text) == (said.kind, said.path, *(said.datasets or [""]))
