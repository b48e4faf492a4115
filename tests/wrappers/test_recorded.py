"""What `cmfd-srun` records is what cmfd would: ids, facts, ranks, parameters, no secrets."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.tasks import CMFD, STEP, WRAPPERS, Step
from support.wrapper import eventually

from cmfd import config, identity, slurm
from cmfd.cli.slurm import leaving
from cmfd.client.ranks import rank_from
from cmfd.client.redact import scrub_argv
from cmfd.daemon.clearing import forget_steps
from cmfd.errors import IncompleteError
from cmfd.wire.endpoint import Peer, listener, socket_path
from cmfd.wire.messages import (
    ExecutionBegin,
    Param,
    ProcessBegin,
    ProcessState,
    RunBegin,
)

sys.path.insert(0, str(WRAPPERS))
import cmfd_task  # type: ignore[import-not-found,unused-ignore]


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """Give a step whose tasks do not deliver."""
    return Step(tmp_path)


def test_a_task_tells_its_run_its_execution_and_itself(step: Step) -> None:
    """Under the ids that every rank derives."""
    step.run("./heat.py", "--n", "4", options=("--pipeline", "heat", "--name", "first"))
    run, execution, process, *rest = step.records()

    assert isinstance(run, RunBegin)
    found = identity.run_from(STEP)
    assert found is not None
    assert (run.run, run.cluster, run.job, run.restart) == found[:4]
    assert (run.user, run.name, run.command) == ("ada", "first", "./heat.py --n 4")
    assert (run.cwd, run.site) == (str(step.cwd), str(step.site))
    assert isinstance(execution, ExecutionBegin)
    expected = identity.execution_id(found.run, "slurm:2", "heat", "heat", 0)
    assert (execution.execution, execution.run, execution.parent) == (expected, found.run, None)
    assert (execution.pipeline, execution.stage, execution.step) == ("heat", "heat", "slurm:2")
    assert isinstance(process, ProcessBegin)
    assert (process.rank, process.size, process.local_rank) == (3, 8, 1)
    assert (process.host, process.role) == ("n2", "wrapper")
    assert isinstance(rest[-1], ProcessState)


JOBS: list[dict[str, str]] = [
    {},
    {"SLURM_CLUSTER_NAME": ""},
    {"SLURM_RESTART_COUNT": "2"},
    {"SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3"},
    {"SLURM_HET_JOB_ID": "4700"},
    {"SLURM_STEP_ID": "4294967290"},
    {"CMFD_RUN": "0193e7c0-a500-7abc-8123-456789abcdef"},
    {"CMFD_RUN": "0193e7c0a5007abc8123456789abcdef", "ENVIRONMENT": "BATCH"},
    {"CMFD_PIPELINE": "ein Wälzer", "CMFD_STAGE": "größer"},
    {"SLURM_CLUSTER_NAME": "c" * 70},
]


@pytest.mark.parametrize("more", JOBS)
def test_ids_are_those_of_ranks(step: Step, more: dict[str, str]) -> None:
    """However SLURM names the job, whatever was handed down."""
    step.run("true", env=more)
    run, execution, *_ = step.records()

    environ = {**STEP, **more}
    found = identity.run_from(environ)
    assert found is not None
    assert isinstance(run, RunBegin)
    assert (run.run, run.cluster, run.job, run.restart) == found[:4]
    names = (environ.get("CMFD_PIPELINE", "digits"), environ.get("CMFD_STAGE", "true"))
    expected = identity.execution_id(found.run, identity.step_from(environ), *names, 0)
    assert isinstance(execution, ExecutionBegin)
    assert (execution.execution, execution.pipeline, execution.stage) == (expected, *names)


def test_without_a_job_each_is_a_run_of_its_own(step: Step) -> None:
    """Unless it is told which."""
    without = {name: "" for name in STEP if name.startswith("SLURM")}
    runs = []
    for _ in range(2):
        step.run("true", env=without)
        runs.append(step.records()[0].run)  # type: ignore[union-attr]
    step.run("true", options=("--run", "0193e7c0a5007abc8123456789abcdef"), env=without)

    assert runs[0] != runs[1]
    assert step.records()[0].run.hex() == "0193e7c0a5007abc8123456789abcdef"  # type: ignore[union-attr]


def test_an_execution_around_it_is_its_parent(step: Step) -> None:
    """Of the same run; a job that was queued from within another run has none."""
    found = identity.run_from(STEP)
    assert found is not None
    outer = {
        "CMFD_RUN": found.run.hex(), "CMFD_EXECUTION": "11" * 16, "CMFD_PIPELINE": "p",
        "CMFD_STAGE": "all",
    }  # fmt: skip
    step.run("true", env=outer)
    (within,) = (item for item in step.records() if isinstance(item, ExecutionBegin))
    assert (within.parent, within.pipeline, within.stage) == (b"\x11" * 16, "p", "true")

    step.run("true", env={**outer, "CMFD_RUN": "22" * 16, "ENVIRONMENT": "BATCH"})
    (apart,) = (item for item in step.records() if isinstance(item, ExecutionBegin))
    assert (apart.run, apart.parent) == (found.run, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (("./solver",), "solver"),
        (("python", "-u", "train.py"), "train"),
        (("python", "-m", "tools.prepare", "x"), "tools.prepare"),
        (("bash", "sub/run.sh"), "run"),
        (("./model.v2.py", "--n"), "model.v2"),
    ],
)
def test_stages_are_named_as_cmfd_run_names_them(
    step: Step, command: tuple[str, ...], stage: str
) -> None:
    """After the script or program."""
    from cmfd.cli.wrapped import stage_of

    step.run(*command)
    (execution,) = (item for item in step.records() if isinstance(item, ExecutionBegin))

    assert execution.stage == stage == stage_of(command)


MORE_FACTS = {
    "SLURM_JOB_QOS": "normal", "SLURM_JOB_RESERVATION": "r", "SLURM_CPUS_PER_TASK": "2",
    "SLURM_GPUS": "a100:4", "SLURM_JOB_GPUS": "0,1", "SLURM_GPUS_ON_NODE": "2",
    "SLURM_MEM_PER_CPU": "100", "SLURM_JOB_START_TIME": "1790000000",
    "SLURM_JOB_END_TIME": "1790003600", "SLURM_SUBMIT_DIR": "/home/ada",
    "SLURM_SUBMIT_HOST": "login",
    "SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "9",
    "SLURM_JOB_DEPENDENCY": "afterok:4700", "SLURM_HET_JOB_ID": "4699", "SLURM_HET_SIZE": "2",
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, MORE_FACTS, {"SLURM_JOB_CPUS_PER_NODE": "x"}])
def test_facts_are_those_that_ranks_state(step: Step, more: dict[str, str]) -> None:
    """By the first task of the step on the node, and none by the others."""
    step.run("true", env=more)
    known = step.facts()
    run, execution = (item for item in step.records()[:2])

    subject = run.run  # type: ignore[union-attr]
    of_run = {key: value for (whose, key), value in known.items() if whose == subject}
    assert of_run == slurm.facts({**STEP, **more})
    of_step = {key: value for (whose, key), value in known.items() if whose != subject}
    assert of_step == {"slurm.step_nodes": "n[1-4]", "slurm.step_tasks": 8}
    assert execution.execution in {whose for whose, _ in known}  # type: ignore[union-attr]

    step.run("true", env=more)
    assert step.facts() == {}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "SLURM_STEP_ID": "0"},
        {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"},
        {"MV2_COMM_WORLD_RANK": "3", "MV2_COMM_WORLD_LOCAL_RANK": "1"},
        {"PMI_RANK": "1", "PMI_SIZE": "2", "SLURM_LOCALID": "1"},
        {"PMIX_RANK": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"},
        {"PALS_RANKID": "1"},
        {"FLUX_TASK_RANK": "1", "FLUX_JOB_SIZE": "2"},
        {"SLURM_PROCID": "0"},
        {"SLURM_PROCID": "9", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4"},
        {"SLURM_PROCID": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4"},
        {"RANK": "1", "WORLD_SIZE": "2"},
    ],
)
def test_ranks_are_those_of_ranks(variables: dict[str, str]) -> None:
    """Whatever launched them."""
    assert cmfd_task.rank_of(variables) == rank_from(variables)[:3]


COMMANDS = [
    ["train", "--password", "hunter2", "--lr", "0.1"],
    ["train", "--db-password=hunter2", "x"],
    ["env", "GITHUB_TOKEN=abc", "make"],
    ["train", "--max_tokens=5", "--tokenizer", "bpe", "/data/keys/x"],
    ["curl", "https://ada:hunter2@example.org/x"],
    ["curl", "-H", "Authorization: Bearer hunter2"],
    ["sh", "-c", "export API_KEY=hunter2; ./run"],
    ["sh", "-c", "login --password hunter2"],
    ["x", "ghp_0123456789abcdefghij0123", "sk-0123456789abcdef01"],
    ["train", "--token", "--verbose"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_secrets_are_masked(command: list[str]) -> None:
    """Wherever cmfd masks one; the wrapper may mask more of that word."""
    said = cmfd_task.scrubbed(command)

    assert "hunter2" not in " ".join(said)
    assert len(said) == len(command)
    for ours, theirs, word in zip(said, scrub_argv(command), command, strict=True):
        assert ours == theirs or (theirs != word and "***" in ours)


def test_parameters_have_the_types_of_cmfd_run(step: Step) -> None:
    """JSON where it can be; said by rank 0 alone."""
    words = ("a=1", "b=0.5", "c=true", "d=null", "e=text", 'f={"x": 1}', "g=1e400", "h=x=y", "i=")
    options = tuple(item for word in words for item in ("--param", word))
    step.run("true", options=options, env={"SLURM_PROCID": "0"})
    said = {item.key: (item.type, item.value) for item in step.records() if isinstance(item, Param)}

    assert said == {
        "a": ("int", 1), "b": ("float", 0.5), "c": ("bool", True), "d": ("null", None),
        "e": ("str", "text"), "f": ("json", '{"x": 1}'), "g": ("float", float("inf")),
        "h": ("str", "x=y"), "i": ("str", ""),
    }  # fmt: skip

    step.run("true", options=options)
    assert not [item for item in step.records() if isinstance(item, Param)]


def test_odd_names_are_recorded(tmp_path: Path) -> None:
    """No text, no end of a text, keeps a record from being read."""
    step = Step(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xc3")))
    step.run("true", "x" * 20000, "é" * 5000, "a\nb", env={"USER": "jürgen\udcff"})
    run = step.records()[0]

    assert isinstance(run, RunBegin)
    assert run.command.startswith("true xxx")


def test_usage_is_the_programs(step: Step) -> None:
    """Its times and memory, not those of what stands beside it."""
    program = "x = bytearray(64 << 20)\nimport time\nwhile time.process_time() < 0.3: pass"
    step.run(sys.executable, "-S", "-c", program)
    heavy = step.state()
    step.run("true")
    light = step.state()

    assert heavy.cpu_user_ns + heavy.cpu_system_ns >= 300_000_000
    assert heavy.max_rss_bytes >= 64 << 20
    assert light.cpu_user_ns + light.cpu_system_ns < 300_000_000
    assert light.max_rss_bytes < 64 << 20


def test_a_program_that_logs_joins_the_execution(step: Step) -> None:
    """As under `cmfd run`."""
    program = "import cmfd\nwith cmfd.start() as ex: ex.metric('x', 1.0)"
    step.run(sys.executable, "-c", program)
    begun = []
    for path in step.journals:
        from cmfd.wire.journal import events, read_journal
        from cmfd.wire.messages import decode_record

        _, blocks = read_journal(path)
        records = [decode_record(item) for block in blocks for item in events(block.data)]
        begun += [(item.execution, item.role) for item in records if isinstance(item, ProcessBegin)]

    assert sorted(role for _, role in begun) == ["rank", "wrapper"]
    assert len({execution for execution, _ in begun}) == 1


@pytest.mark.slow
def test_a_killed_wrapper_leaves_a_dead_processs_journal(step: Step) -> None:
    """Which cmfd takes: what it began is there, and that it was lost."""
    task = step.popen("sh", "-c", "echo ready; read word")
    with task:
        assert task.stdout is not None
        task.stdout.readline()
        (journal,) = _until_written(step)
        with journal.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        task.kill()
        task.wait()

    subprocess.run(
        [CMFD, "merge", "--quiet", "--site", str(step.site), str(step.node_dir)], check=True
    )
    shown = subprocess.run(
        [CMFD, "runs", "--site", str(step.site), "--json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert '"status": "lost"' in shown or '"status": "failed"' in shown
    assert '"n_ranks": 1' in shown


def _until_written(step: Step) -> list[Path]:
    def written() -> Any:
        return [path for path in step.journals if path.stat().st_size > 4096 + 64]

    found: list[Path] = eventually(written, "a journal")
    return found


@pytest.fixture
def delivering(tmp_path: Path) -> Step:
    """Give a step whose last task delivers, and no idle node's energy with it."""
    environ = {"SLURM_STEP_TASKS_PER_NODE": "2(x4)", "CMFD_ENERGY": "false"}
    return Step(tmp_path, environ, delivers=True)


@pytest.mark.slow
def test_the_last_task_delivers_and_leaves_nothing(delivering: Step) -> None:
    """Neither a daemon nor files; the site's inbox has all."""
    first = delivering.popen("sh", "-c", "echo ready; read word")
    with first:
        assert first.stdout is not None
        assert first.stdin is not None
        first.stdout.readline()
        done = delivering.run("sh", "-c", "kill -KILL $$", env={"SLURM_PROCID": "2"})
        assert done.returncode == -signal.SIGKILL
        assert not (delivering.site / "inbox").exists()
        first.stdin.write(b"\n")
        first.stdin.close()
        assert first.wait(60) == 0

    assert len(list((delivering.site / "inbox").iterdir())) == 1
    assert not delivering.node_dir.exists()
    command = [CMFD, "merge", "--quiet", "--site", str(delivering.site)]
    subprocess.run(command, check=True)
    shown = subprocess.run(
        [CMFD, "show", "last", "--json", "--site", str(delivering.site)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert '"n_ranks": 2' in shown
    assert '"signal": 9' in shown


@pytest.mark.slow
def test_a_delivery_whose_daemon_is_killed_asks_another(delivering: Step) -> None:
    """One that another step had started ends with that, mostly just when this one ends, too."""
    alone = {"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}
    with delivering.popen("sh", "-c", "read word", env=alone, stderr=subprocess.PIPE) as task:
        daemon = eventually(lambda: listener(delivering.node_dir), "a daemon")
        os.kill(daemon.pid, signal.SIGSTOP)
        assert task.stdin is not None
        task.stdin.write(b"\n")
        task.stdin.close()
        address = str(socket_path(delivering.node_dir))
        eventually(lambda: _ends_of_sockets(address) > 3, "it is asked, after others have looked")
        os.kill(daemon.pid, signal.SIGKILL)
        assert task.wait(60) == 0
        assert task.stderr is not None
        assert task.stderr.read() == b""

    assert not delivering.node_dir.exists()
    command = [CMFD, "merge", "--quiet", "--site", str(delivering.site)]
    subprocess.run(command, check=True)
    command = [CMFD, "runs", "--json", "--site", str(delivering.site)]
    (run,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert (run["status"], run["missing_nodes"]) == ("completed", ["n1", "n3", "n4"])


@pytest.mark.slow
def test_what_a_killed_daemon_has_and_no_other_can_deliver_is_told(delivering: Step) -> None:
    """Where nobody may start one; it is kept."""
    delivering.site.write_text("in the way")
    store = delivering.node_dir / "node.db"
    with delivering.popen("sh", "-c", "read word") as task:
        daemon = eventually(lambda: listener(delivering.node_dir), "a daemon")
        task.kill()
    eventually(lambda: not delivering.journals and _runs_in(store), "it has stored the run")
    os.kill(daemon.pid, signal.SIGKILL)
    variables = delivering.variables({"CMFD_AUTOSTART": "false"})
    deliver = [CMFD, "slurm", "deliver"]
    done = subprocess.run(deliver, check=False, env=variables, capture_output=True)

    assert done.returncode == IncompleteError.exit_code
    assert "a daemon that was killed has more of it" in done.stderr.decode()
    assert f"cmfd merge {delivering.node_dir}" in done.stderr.decode()
    assert _runs_in(store)


def _runs_in(store: Path) -> list[tuple[bytes]]:
    with closing(sqlite3.connect(store)) as db, suppress(sqlite3.OperationalError):
        return db.execute("SELECT run FROM standing").fetchall()
    return []


def test_a_daemon_of_another_process_namespace_is_not_signalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no number here; 0 would be everything that was started with this process."""
    monkeypatch.setattr(leaving, "_has_done", lambda _: True)
    monkeypatch.setattr(leaving, "listener", lambda _: Peer(os.geteuid(), os.getegid(), 0))
    monkeypatch.setattr(os, "kill", lambda *what: pytest.fail(f"signalled {what}"))
    assert leaving.dismiss(config.load({"CMFD_NODE_DIR": str(tmp_path)}))


def _ends_of_sockets(address: str) -> int:
    """Return how many a listener's end has: itself, and who wait to be let in."""
    lines = Path("/proc/net/unix").read_text("utf-8").splitlines()
    return sum(line.endswith(f" {address}") for line in lines)


def test_a_lock_that_another_step_clears_away_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or this task would count for itself, and none would be the last."""
    (tmp_path / "steps").mkdir()
    order = SimpleNamespace(step="slurm:0", run=b"\x01" * 16, node_dir=str(tmp_path))
    really_lock = fcntl.flock

    def clear_and_lock(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", really_lock)
        (there,) = (tmp_path / "steps").iterdir()
        there.unlink()
        really_lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", clear_and_lock)
    task = cmfd_task.Task(order)
    assert task._join_step(0)

    (there,) = (tmp_path / "steps").iterdir()
    assert there.stat().st_ino == os.fstat(task._step_lock).st_ino
    assert there.stat().st_size == 1


def test_the_last_task_delivers_also_while_another_delivery_clears_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment in which it lets go of its own, to find out whether it is the last."""
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    (tmp_path / "steps").mkdir()
    task = cmfd_task.Task(SimpleNamespace(step="", run=b"\x01" * 16, node_dir=str(tmp_path)))
    task._join_step(0)
    own, really_lock, really_unlink = task._step_lock, fcntl.flock, Path.unlink
    looks_on, goes_on = threading.Event(), threading.Event()

    def unlink(path: Path) -> None:
        looks_on.set()
        assert goes_on.wait(60)
        really_unlink(path)

    def clear() -> None:
        forget_steps(tmp_path)
        looks_on.set()

    other = threading.Thread(target=clear)

    def lock(descriptor: int, how: int) -> None:
        really_lock(descriptor, how)
        if descriptor == own and how == fcntl.LOCK_UN and not other.ident:
            other.start()
            assert looks_on.wait(60)

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(fcntl, "flock", lock)
    begun = task._begun_if_last()
    goes_on.set()
    other.join(60)
    assert begun == cmfd_task.FIRST


def test_a_delivery_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The task ends, as a program may that has no more to do."""
    monkeypatch.setattr(cmfd_task, "DELIVERS_S", 0.0)
    for name in ("CMFD_DELIVER", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "steps").mkdir()
    hanging = tmp_path / "hanging"
    hanging.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    hanging.chmod(0o755)
    order = SimpleNamespace(
        step="", run=b"\x01" * 16, node_dir=str(tmp_path), deliver=str(hanging), is_launch=False
    )
    task = cmfd_task.Task(order)
    task._join_step(0)
    task.leave(0)

    assert "not waited for" in capfd.readouterr().err
    pid = tmp_path / "pid"
    os.kill(int(eventually(lambda: pid.exists() and pid.read_text(), "it")), signal.SIGKILL)


_FILLS_THE_DISK = """
import glob, os, resource, sys, time
size = 0
while size <= 4160:  # its headers
    size = sum(map(os.path.getsize, glob.glob(sys.argv[1])))
    time.sleep(0.01)
resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
"""


@pytest.mark.slow
def test_where_the_end_finds_no_room_the_rest_is_delivered(delivering: Step) -> None:
    """The disk was full by then; the site has room."""
    journals = f"{delivering.node_dir}/journals/*.cmfj"
    words = (sys.executable, "-S", "-c", _FILLS_THE_DISK, journals)
    done = delivering.run(*words, env={"SLURM_STEP_TASKS_PER_NODE": "1(x4)"})

    assert done.returncode == 0
    assert "how the program ended is not recorded" in done.stderr.decode()
    assert len(list((delivering.site / "inbox").glob("*.db"))) == 1


@pytest.mark.slow
def test_a_site_that_cannot_be_written(delivering: Step) -> None:
    """What was recorded stays on the node, the exit code is the program's, and one line says so."""
    delivering.site.write_text("in the way")
    done = delivering.run("sh", "-c", "exit 3", env={"SLURM_STEP_TASKS_PER_NODE": "1(x4)"})
    try:
        assert done.returncode == 3
        assert done.stderr.decode().count("\n") == 1
        assert f"cmfd merge {delivering.node_dir}" in done.stderr.decode()
        assert delivering.node_dir.exists()
    finally:
        with suppress(ProcessLookupError):  # it tries again, by and by
            os.kill(int((delivering.node_dir / "daemon.lock").read_text()), signal.SIGKILL)
